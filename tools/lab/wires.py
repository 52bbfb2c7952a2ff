"""The wires of a lab: a namespace with the underlay's bridge and the outside's, and one cable a host into each.

The namespace is also the place of the person in front of the cloud: it has an address in both networks, and `Outside`
runs code there.
"""

import contextlib
import ctypes
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tools.lab.hosts import Anchor, Host, HostError, anchor, detach, wait_for

UNDERLAY_PREFIX = "10.99.0."
OUTSIDE_PREFIX = "172.24.4."
OWN_NUMBER = 254
UNDERLAY_MTU = 1500
BRIDGE_SYSCTL = "/proc/sys/net/bridge/bridge-nf-call-iptables"
_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wires:
    anchor: Anchor

    def run(self, *command: str, stdin: str = "", check: bool = True) -> str:
        """A command in the wires' namespace. Raises HostError."""
        words = ["nsenter", "-t", str(self.anchor.pid), "-n", "--", *command]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise HostError(f"wires: `{' '.join(command)}` ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def plug(self, host: Host) -> None:
        """Both cables of a host: `eth0` with its address on the underlay, `eth1` into the outside, without one."""
        pid, index = str(host.anchor.pid), host.index
        lines = []
        for bridge, port, device in (("ul0", f"ul-{index}", "eth0"), ("ext0", f"ext-{index}", "eth1")):
            lines += [
                f"link add {port} mtu {UNDERLAY_MTU} type veth peer name {device} mtu {UNDERLAY_MTU} netns {pid}",
                f"link set {port} master {bridge}",
                f"link set {port} up",
            ]
        self.run("ip", "-batch", "-", stdin="\n".join(lines))
        own = [f"address add {host.address}/24 dev eth0", "link set eth0 up", "link set eth1 up"]
        host.run(["ip", "-batch", "-"], stdin="\n".join(own))

    def cut(self, host: Host) -> None:
        """Take the host off the underlay."""
        self.run("ip", "link", "set", f"ul-{host.index}", "down")

    def mend(self, host: Host) -> None:
        self.run("ip", "link", "set", f"ul-{host.index}", "up")

    def drop(self, share: float) -> None:
        """Lose this share of the frames between hosts on the underlay, at random; 0 ends it."""
        rules = ["*filter", ":FORWARD ACCEPT [0:0]"]
        if share:
            match = "-m physdev --physdev-in ul-+ -m statistic --mode random"
            rules.append(f"-A FORWARD {match} --probability {share:.3f} -j DROP")
        self.run("iptables-restore", stdin="\n".join([*rules, "COMMIT", ""]))
        self.run("sh", "-c", f"echo {int(bool(share))} > {BRIDGE_SYSCTL}")


def lay() -> Wires:
    """The namespace with its two bridges; held by a process of its own."""
    pid = detach(["unshare", "-n", "--", "sleep", "infinity"], Path("/dev/null"))
    ours = str(Path("/proc/self/ns/net").readlink())

    def is_apart() -> bool:
        with contextlib.suppress(FileNotFoundError):
            comm = Path(f"/proc/{pid}/comm").read_text().strip()
            return comm == "sleep" and str(Path(f"/proc/{pid}/ns/net").readlink()) != ours
        return False

    wait_for(is_apart, "the wires have a namespace")
    wires = Wires(anchor(pid))
    lines = ["link set lo up"]
    for bridge, prefix in (("ul0", UNDERLAY_PREFIX), ("ext0", OUTSIDE_PREFIX)):
        lines += [
            f"link add {bridge} type bridge forward_delay 0",
            f"link set {bridge} mtu {UNDERLAY_MTU} up",
            f"address add {prefix}{OWN_NUMBER}/24 dev {bridge}",
        ]
    wires.run("ip", "-batch", "-", stdin="\n".join(lines))
    wires.run("sh", "-c", f"echo 0 > {BRIDGE_SYSCTL}")
    return wires


class Outside:
    """Threads in the wires' namespace: what they connect to is the lab's, and so is what their children do."""

    def __init__(self, wires: Wires, threads: int = 8) -> None:
        self._wires = wires
        self._pool = ThreadPoolExecutor(threads, initializer=self._enter, thread_name_prefix="outside")

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{self._wires.anchor.pid}/ns/net") as file:  # noqa: PTH123 - a namespace is not a path
            if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def call(self, work: Callable[[], T]) -> T:
        return self._pool.submit(work).result()

    def run(self, command: Sequence[str], timeout_seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
        """A command, such as ping or ssh, from in front of the cloud; never raises for its exit code."""

        def work() -> subprocess.CompletedProcess[str]:
            return subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds)

        return self.call(work)

    def close(self) -> None:
        self._pool.shutdown()
