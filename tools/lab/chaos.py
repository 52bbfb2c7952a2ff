"""Break everything at random under a steady load of changes to servers, then look whether all is well.

What is broken, when and for how long follows from the seed alone; what the load meets does not. Daemons that end by
themselves are started again, as systemd would, and told of. At the end everything is whole again, the load has
stopped, and the audit has to find nothing.
"""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tools.lab import audit, cloud, engines, tenant
from tools.lab.api import Refused, Unreachable
from tools.lab.cloud import Cloud
from tools.lab.lab import CONTROLLER, Lab
from tools.lab.load import Load, Story
from tools.lab.tenant import Ground

CALM_SECONDS = (2.0, 6.0)
"""Between two things that are broken."""
QUIET_SECONDS = 240.0
"""How long the cloud has to come to rest: a lease of an operation, and the longest patience of an agent."""
SHARE_LOST = 0.2
RESTART_SECONDS = 1.0
"""After which a daemon that ended by itself is started again."""
START_SECONDS = 15.0
"""A daemon that ends within that time could not start, and has said why; one that ends later should have gone on."""
LIBVIRTD = ("virtlogd", "libvirtd")
WORKING = ("nova-scheduler", "nova-conductor")
"""What carries operations out: two of each share the work."""


class Chaos:
    """What can be broken. Each breaks one thing, waits and mends it; with `lossy` messages are lost all the time."""

    def __init__(self, cloud: Cloud, story: Story, seed: int, *, lossy: bool = False) -> None:
        self._cloud, self._story, self._lossy = cloud, story, lossy
        self._lab = cloud.lab
        self._dice = random.Random(f"{seed} chaos")
        self._held: set[tuple[str, str]] = set()
        """(host, daemon) that is down on purpose."""
        # The doubles have only just been started; the others are known to work.
        self._started = {(CONTROLLER, name): time.monotonic() for name in cloud.doubles}
        self._stop = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def run(self, seconds: float) -> None:
        """Everything is whole again when it returns."""
        self._watching.start()
        deadline = time.monotonic() + seconds
        rare = self._rare(seconds)
        if self._lossy:
            self._story.say(f"lose {SHARE_LOST:.0%} of what is sent between hosts until the end")
            self._lab.wires.drop(SHARE_LOST)
        while time.monotonic() < deadline:
            act = (
                rare.pop() if rare and self._dice.random() < self._share_of_rare(rare, deadline) else self._kill_daemon
            )
            act()
            time.sleep(self._dice.uniform(*CALM_SECONDS))
        self._stop.set()
        self._watching.join()
        self._lab.wires.drop(0)
        self._start_missing()

    def _share_of_rare(self, rare: list[Callable[[], None]], deadline: float) -> float:
        """So that all of them fit into the time that is left."""
        left = max(deadline - time.monotonic(), 1.0)
        return min(1.0, len(rare) * 25.0 / left)

    def _rare(self, seconds: float) -> list[Callable[[], None]]:
        """Each at least once, more of each in a longer run; in an order of their own."""
        kinds = [self._restart_broker, self._restart_database, self._cut_host]
        if not self._lossy:
            kinds.append(self._lose_messages)
        found = kinds * max(1, round(seconds / 200))
        self._dice.shuffle(found)
        return found

    # --- daemons ------------------------------------------------------------------------------------------------------

    def _daemons(self) -> list[tuple[str, str]]:
        """All that are killed: the cloud's, and each hypervisor's own."""
        hypervisors = [each.name for each in self._cloud.places if each.carries_servers]
        return [*self._cloud.daemons(), *((host, "libvirtd") for host in hypervisors)]

    def _kill_daemon(self) -> None:
        host, name = self._dice.choice(self._daemons())
        pause = self._dice.uniform(0.2, 5.0)
        what = "restart" if name == "libvirtd" else "kill"
        self._story.say(f"{what} {name} on {host}, start it after {pause:.1f} s")
        self._story.counts["daemons killed"] += 1
        self._held.add((host, name))
        # libvirtd is not ours, and the one of Debian 12 that is killed while it starts a guest holds it as starting up
        # for ever: it ends as its package would have it.
        self._lab.host(host).kill(name, gently=name == "libvirtd")
        time.sleep(pause)
        self._start(host, name)
        self._held.discard((host, name))

    def _start(self, host: str, name: str) -> None:
        if self._lab.host(host).is_running(name):
            return
        self._started[(host, name)] = time.monotonic()
        if name in LIBVIRTD:
            self._lab.start_libvirtd(host)
        else:
            self._cloud.start(host, name)

    def _watch(self) -> None:
        """Start again what has ended by itself."""
        while not self._stop.wait(RESTART_SECONDS):
            for host, name in self._daemons():
                if (host, name) in self._held or self._lab.host(host).is_running(name):
                    continue
                said = self._lab.host(host).log_end(name, 1)[:200]
                had_started = time.monotonic() - self._started.get((host, name), 0.0) > START_SECONDS
                if had_started:
                    self._story.endings[f"{name}: {said}"] += 1
                what = "has ended by itself" if had_started else "could not start"
                self._story.say(f"{name} on {host} {what}, started again: {said}")
                self._start(host, name)

    def _start_missing(self) -> None:
        for host, name in self._daemons():
            self._start(host, name)

    # --- the rare ones ------------------------------------------------------------------------------------------------

    def _restart_broker(self) -> None:
        pause = self._dice.uniform(0.5, 10.0)
        self._story.say(f"kill the broker, start it after {pause:.1f} s")
        self._story.counts["broker restarts"] += 1
        engines.kill_rabbitmq(self._lab.controller)
        time.sleep(pause)
        engines.start_rabbitmq(self._lab.controller)
        self._story.say("the broker is back")

    def _restart_database(self) -> None:
        pause = self._dice.uniform(0.5, 10.0)
        self._story.say(f"kill the database, start it after {pause:.1f} s")
        self._story.counts["database restarts"] += 1
        self._lab.controller.kill(engines.MARIADB)
        time.sleep(pause)
        engines.start_mariadb(self._lab.controller)
        self._story.say("the database is back")

    def _lose_messages(self) -> None:
        seconds = self._dice.uniform(15.0, 30.0)
        self._story.say(
            f"lose {SHARE_LOST:.0%} of what is sent between hosts for {seconds:.0f} s, and kill daemons meanwhile"
        )
        self._story.counts["times messages were lost"] += 1
        self._lab.wires.drop(SHARE_LOST)
        self._kill_for(seconds)
        self._lab.wires.drop(0)
        self._story.say("nothing is lost any more")

    def _cut_host(self) -> None:
        host = self._dice.choice(self._lab.others)
        seconds = self._dice.uniform(15.0, 40.0)
        self._story.say(f"cut {host.name} off for {seconds:.0f} s")
        self._story.counts["times a host was cut off"] += 1
        self._lab.wires.cut(host)
        self._kill_for(seconds)
        self._lab.wires.mend(host)
        self._story.say(f"{host.name} is back")

    def _kill_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 6:
            self._kill_daemon()
            time.sleep(min(left, self._dice.uniform(*CALM_SECONDS)))
        time.sleep(max(0.0, until - time.monotonic()))


def run(
    directory: Path, *, seconds: float, seed: int | None, hosts: int, lossy: bool = False, keep: bool = False
) -> int:
    """The whole test in a lab of its own; 0 when all is well at the end."""
    chosen = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    story = Story()
    story.say(f"seed {chosen}: {seconds:.0f} s on {hosts} hosts and a controller")
    lab = Lab.up(hosts, directory)
    try:
        engines.start(lab.controller)
        stands = cloud.install(lab)
        for daemon in WORKING:
            stands.double(daemon, 2)
        story.say("the cloud is up")
        wrong = _break(stands, story, seconds, Chaos(stands, story, chosen, lossy=lossy), chosen)
        _tell(story, wrong)
        _tell_errors(stands, story)
        stands.close()
    finally:
        lab.keep_logs(directory.with_name(f"{directory.name}-logs"))
        if not keep:
            lab.down()
    print(f"seed {chosen}: " + (f"{len(wrong)} things are wrong" if wrong else "all is well"), flush=True)
    return 1 if wrong else 0


def _break(stands: Cloud, story: Story, seconds: float, chaos: Chaos, seed: int) -> list[str]:
    # A disk with nothing on it: hypervisors run real domains at little cost.
    disk = stands.lab.directory / "empty.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    # Nothing in such a guest hears the power button.
    ground = tenant.prepare(stands, disk, os_shutdown_timeout="1")
    load = Load(stands, ground, story, seed)
    load.start()
    chaos.run(seconds)
    load.stop()
    story.say("everything is whole, the load has ended: quiet")
    began = time.monotonic()
    wrong = audit.wait_settled(stands, QUIET_SECONDS, meanwhile=load.confirm_resizes)
    story.say(f"{'still wrong' if wrong else 'all is well'} after {time.monotonic() - began:.1f} s of quiet")
    wrong += _try_again(stands, ground, story)
    return wrong + [f"{what} (ended by itself {count} times)" for what, count in sorted(story.endings.items())]


def _try_again(stands: Cloud, ground: Ground, story: Story) -> list[str]:
    """A last server, to see that the cloud works."""
    began = time.monotonic()
    try:
        server_id = tenant.create_server(stands, ground, "afterwards")
        tenant.wait_active(stands, server_id)
        story.say(f"a new server is ACTIVE after {time.monotonic() - began:.1f} s")
        tenant.delete_server(stands, server_id)
    except (tenant.BuildFailed, TimeoutError, Refused, Unreachable) as error:
        return [f"a new server afterwards: {error}"]
    return []


def _tell(story: Story, wrong: list[str]) -> None:
    for what, count in sorted(story.counts.items()):
        print(f"{count:7}  {what}")
    for sentence in wrong:
        print(f"  WRONG  {sentence}")


def _tell_errors(stands: Cloud, story: Story) -> None:
    """What servers in ERROR say of themselves: allowed, but looked at."""
    reasons = Counter(
        each.get("fault", {}).get("message", "")[:160]
        for each in audit.read_servers(stands)
        if each["status"] == "ERROR"
    )
    for reason, count in reasons.items():
        print(f"{count:7}  in ERROR: {reason}")
