"""Carries the steps of a guide out on its lab: what a person would do at the keyboards of its hosts."""

import re
import shlex
import subprocess
from collections.abc import Sequence
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path

from tests.guides.steps import (
    GUEST,
    OUTSIDE,
    Check,
    Command,
    Guide,
    Operation,
    Setting,
    Sql,
    Step,
    substitute,
    substituted,
)
from tools.lab import engines
from tools.lab.hosts import Host, wait_for
from tools.lab.lab import Lab
from tools.lab.wires import OUTSIDE_PREFIX
from tools.stages import ROOT

INTERFACE = "eth1"
READY_SECONDS = 90.0
SHOWN_SECONDS = 90.0
"""How long what the guide shows may take to come true."""
INTO_GUEST = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -i .ssh/id_rsa demo"
"""The shell that a guide has opened in the server before."""
_SU = re.compile(r"su -s /bin/sh -c \"(?P<words>.*)\" (?P<user>\w+)$")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNIT_WORDS = ("enable", "start", "restart")

NOT_DAEMONS = {
    "nova-cert": "there is no certificate service any more",
    "httpd": "keystone and placement-api serve their APIs themselves",
    "mariadb": "the lab has started it",
    "apache2": "the APIs serve themselves",
}
"""Units of the guides that nothing stands for, unless a console script has the name."""


class LineFailed(Exception):
    """What a line did instead of what the guide says."""


def units() -> dict[str, str]:
    """A unit's name or alias → its daemon."""
    found = {}
    for path in (ROOT / "packaging/systemd").glob("*.service"):
        parsed = RawConfigParser(strict=False)
        parsed.read(path)
        for name in (path.name, *parsed["Install"].get("alias", "").split()):
            found[name.removesuffix(".service")] = path.stem
    return found


def wait_listening(host: Host, port: int) -> None:
    wait_for(lambda: engines.is_listening(host, port), f"port {port} of {host.name}", READY_SECONDS)


def start_memcached(host: Host) -> None:
    """As its package starts it. Safe to repeat."""
    if not host.is_running("memcached"):
        host.start("memcached", ["memcached", "-u", "nobody", "-l", host.address])
    wait_listening(host, 11211)


def start_tgtd(host: Host) -> None:
    """As its package starts it, in the place of the kernel's targets. Safe to repeat."""
    host.path("/run/tgtd").mkdir(exist_ok=True)
    if not host.is_running("tgtd"):
        host.start("tgtd", ["tgtd", "-f"])
    wait_listening(host, 3260)


def restart_broker(host: Host) -> None:
    host.run(["rabbitmqctl", "stop"])
    wait_for(lambda: not host.is_running(engines.RABBITMQ), "RabbitMQ ends", READY_SECONDS)
    engines.start_rabbitmq(host)


@dataclass
class Run:
    """One guide on its lab: what its files hold so far, and each host's shell. All is done as root: where the guide
    says `su … nova`, the lab has no such account."""

    guide: Guide
    lab: Lab
    interface: str = INTERFACE
    notes: list[str] = field(default_factory=list)
    _files: dict[tuple[str, str], RawConfigParser] = field(default_factory=dict)
    _environments: dict[str, dict[str, str]] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)
    """Host → the directory its shell is in."""
    _values: dict[str, str] = field(default_factory=dict)
    """What earlier lines have printed and later ones name."""
    _units: dict[str, str] = field(default_factory=units)

    @property
    def controller(self) -> Host:
        return self.lab.controller

    # --- steps --------------------------------------------------------------------------------------------------------

    def do(self, step: Step) -> str:
        """What there is to say of it. Raises LineFailed, HostError."""
        self.notes.clear()
        match step:
            case Setting():
                self.set(
                    step.host,
                    step.file,
                    step.section,
                    step.key,
                    self.fill(substitute(self.guide, step)).partition(" = ")[2],
                )
            case Sql():
                engines.run_sql(self.controller, self.fill(substitute(self.guide, step)) + ";")
            case Check():
                self._check(step)
            case Command():
                self._command(step.host, self._words(step), step.password)
            case Operation():
                self._command(step.host, self.fill(substituted(self.guide, step.words)))
        return "; ".join(self.notes)

    def _words(self, step: Command | Check) -> str:
        instead = next((each for each in self.guide.instead if each.line == step.line), None)
        if instead is not None:
            self.notes.append(instead.reason)
        return self.fill(substituted(self.guide, instead.words) if instead else substitute(self.guide, step))

    def fill(self, text: str) -> str:
        values = {
            "controller": self.controller.address,
            "compute": self.lab.host("compute").address,
            "interface": self.interface,
            "provider_prefix": OUTSIDE_PREFIX,
            "image": "/root/guest.img",
            "image_format": "qcow2",
            **self._values,
        }
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _check(self, step: Check) -> None:
        words = self._words(step)
        if not words:
            return
        wanted = [_squeezed(self.fill(substituted(self.guide, each))) for each in step.shows]
        said = ""

        def is_shown() -> bool:
            nonlocal said
            try:
                said = self._command(step.host, words)
            except (LineFailed, subprocess.TimeoutExpired) as failure:
                said = str(failure)
            return all(each in _squeezed(said) for each in wanted)

        try:
            wait_for(is_shown, "what the guide shows", SHOWN_SECONDS)
        except TimeoutError:
            missing = [each for each in wanted if each not in _squeezed(said)]
            raise LineFailed(f"does not show {', '.join(map(repr, missing))}:\n{said}") from None

    # --- files --------------------------------------------------------------------------------------------------------

    def set(self, host: str, file: str, section: str, key: str, value: str) -> None:
        parsed = self._files.get((host, file))
        if parsed is None:
            parsed = self._files[(host, file)] = RawConfigParser(default_section="\0")
            parsed.optionxform = str  # type: ignore[assignment,method-assign]
        if not parsed.has_section(section):
            parsed.add_section(section)
        parsed.set(section, key, value)
        path = self.lab.host(host).path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as written:
            parsed.write(written)

    def _copy(self, source: str, target: str) -> None:
        """`scp` between the hosts; the copy is set further there."""
        address, _, place = target.partition(":")
        host = next(each for each in self.lab.hosts.values() if address in (each.address, each.name))
        parsed = self._files[("controller", source)]
        file = place + Path(source).name if place.endswith("/") else place
        for section in parsed.sections():
            for key, value in parsed.items(section):
                self.set(host.name, file, section, key, value)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _command(self, host: str, words: str, password: str = "") -> str:
        """Standard output and error of it."""
        if not words:
            return ""
        first, *rest = words.split()
        match first:
            case "source" | ".":
                try:
                    self.use_openrc(host, self.lab.host(host).read(Path("/root") / rest[0]))
                except FileNotFoundError as error:
                    raise LineFailed(f"/root/{rest[0]}: there is no such file") from error
            case "export":
                self._environments.setdefault(host, {}).update([_assignment(words)])
            case "unset":
                self._environments.setdefault(host, {}).pop(rest[0], None)
            case "cd":
                self._places[host] = rest[0]
            case "systemctl":
                self._control(host, rest[0], rest[1:])
            case "service":
                self._control(host, rest[-1], rest[:-1])
            case "scp":
                self._copy(*rest)
            case _:
                return self._shell(host, words, password)
        return ""

    def _shell(self, host: str, words: str, password: str) -> str:
        if match := _SU.match(words):
            words = match["words"]
        if password and "--password-prompt" in words:
            words = words.replace("--password-prompt", f"--password {shlex.quote(password)}")
        if host == GUEST:
            words = f"{INTO_GUEST}@{self._values['server_address']} {shlex.quote(words)}"
        if host in (OUTSIDE, GUEST):
            return self._from_outside(words)
        environment = dict(self._environments.get(host, {}))
        if password and "--password-prompt" not in words and "OS_PASSWORD" not in environment:
            environment["OS_PASSWORD"] = password
        script = f"cd {self._places.get(host, '/root')} && {words}"
        done = self.lab.host(host).run(["sh", "-c", script], check=False, timeout_seconds=300, environment=environment)
        if done.returncode != 0:
            raise LineFailed(f"ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        self._remember(words, done.stdout)
        return done.stdout + done.stderr

    def _from_outside(self, words: str) -> str:
        """In front of the cloud, with what the controller's root has at hand."""
        place = self.controller.path("/root")
        outside = self.lab.outside()
        try:
            done = outside.run(["sh", "-c", f"cd {place} && {words}"])
        finally:
            outside.close()
        if done.returncode != 0:
            raise LineFailed(f"ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def _remember(self, words: str, said: str) -> None:
        if words.startswith("openstack floating ip create") and (
            found := re.search(r"floating_ip_address\s*\| (\S+)", said)
        ):
            self._values["floating_ip"] = found[1]
        if words.startswith("openstack network create") and (found := re.search(r"\| id\s*\| (\S+)", said)):
            self._values.update(network=found[1], network_prefix=found[1][:11])
        if words.startswith("openstack image create") and (found := re.search(r"\| id\s*\| (\S+)", said)):
            self._values["image_id"] = found[1]
        if "cell_v2 create_cell --name=cell1 --verbose" in words and (found := UUID.search(said)):
            self._values["cell1"] = found[0]
        if words.startswith("openstack server create") and (found := re.search(r"\| id\s*\| (\S+)", said)):
            self._values["server"] = found[1]
        if words.startswith("openstack server list") and (found := re.search(r"flat=([\d.]+)", said)):
            self._values["server_address"] = found[1]

    def use_openrc(self, host: str, text: str) -> None:
        lines = [line for line in text.splitlines() if line.startswith("export ")]
        self._environments.setdefault(host, {}).update(map(_assignment, lines))

    def openstack(self, words: Sequence[str]) -> str:
        """A command of the ground, as the administrator."""
        kept = dict(self._environments.get("controller", {}))
        self.use_openrc("controller", self.controller.read("/root/admin-openrc"))
        try:
            return self._shell("controller", shlex.join(["openstack", *words]), "")
        finally:
            self._environments["controller"] = kept

    # --- daemons ------------------------------------------------------------------------------------------------------

    def _control(self, host: str, verb: str, names: Sequence[str]) -> None:
        """What systemd would do with the units of `packaging/`."""
        if verb not in _UNIT_WORDS:
            raise LineFailed(f"systemctl {verb} is not carried out here")
        for name in (each.removesuffix(".service").removeprefix("openstack-") for each in names):
            found = [each for each in self._units if re.fullmatch(name.replace("*", ".*"), each)]
            if found:
                for daemon in dict.fromkeys(self._units[each] for each in found):
                    if verb != "enable":
                        self.restart(host, daemon)
            elif name == "libvirtd":
                self.lab.start_libvirtd(host)
            elif name == "rabbitmq-server" and verb == "restart":
                restart_broker(self.lab.host(host))
            elif name == "rabbitmq-server" and engines.is_listening(self.lab.host(host), 5672):
                self.notes.append("the lab has started it")
            elif name == "target":
                if verb != "enable":
                    start_tgtd(self.lab.host(host))
            elif name == "memcached":
                if verb != "enable":
                    start_memcached(self.lab.host(host))
            elif name in NOT_DAEMONS:
                self.notes.append(f"{name}: {NOT_DAEMONS[name]}")
            else:
                raise LineFailed(f"there is no unit {name}")

    def restart(self, host: str, daemon: str) -> None:
        self.lab.host(host).kill(daemon, gently=True)
        self.start(host, daemon)

    def start(self, host: str, daemon: str) -> None:
        """Returns when it says that it is ready, as systemd does."""
        there = self.lab.host(host)
        log = there.path(f"/var/log/lab/{daemon}.log")
        begun = log.stat().st_size if log.exists() else 0
        there.start(daemon, [daemon])

        def is_ready() -> bool:
            if not there.is_running(daemon):
                raise LineFailed(f"{daemon} has ended:\n{there.log_end(daemon)}")
            return log.exists() and f" ready program={daemon}" in log.read_text(errors="replace")[begun:]

        wait_for(is_ready, f"{daemon} is ready", READY_SECONDS)


def _squeezed(text: str) -> str:
    """Tables are as wide as their widest cell, which changes from run to run."""
    return re.sub(" +", " ", text)


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.removeprefix("export ").partition("=")
    return name.strip(), value.strip()
