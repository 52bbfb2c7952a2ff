"""A machine of its own on this machine: namespaces for network, processes, mounts, names and IPC.

The rule: killing its first process is a power cut. The kernel then ends every process of it and frees every device,
rule and mount, so nothing of a test stays here, however the test ends. Its `/run`, `/proc` and `/sys` are its own;
files are written below one directory alone.
"""

import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

FIRST_PROCESS = """
set -e
hostname "$1"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
ip link set lo up
echo ready
# The parent of every orphan: collects what ends.
while :; do sleep 1000 & wait $! || true; done
"""
NAMESPACES = ("mount", "net", "uts", "ipc", "pid")
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    argv: Sequence[str]
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"{' '.join(self.argv)}: status {self.status}\n{self.out}{self.err}"


class OwnHost:
    """Start with `start`, end with `power_off`; commands run inside through `run`."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.directory = directory
        self._environment = {"HOME": str(directory), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment}
        self._process: subprocess.Popen[str] | None = None
        self._first_pid = 0
        self._inside: ThreadPoolExecutor | None = None

    def start(self) -> None:
        flags = [f"--{name}" for name in NAMESPACES]
        command = ["unshare", *flags, "--fork", "--kill-child", "--propagation", "private", "--"]
        command += ["bash", "-c", FIRST_PROCESS, "bash", self.name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        pid = self._process.pid
        self._first_pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        self._inside = ThreadPoolExecutor(1, "inside", initializer=self._enter_network)

    def power_off(self) -> None:
        """Everything in it is gone when this returns. Safe to repeat."""
        if self._inside is not None:
            self._inside.shutdown()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            wait_for(lambda: not Path(f"/proc/{self._first_pid}").exists(), 10, "the host's first process ends")
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    def argv(self, *command: str) -> list[str]:
        """The command as this machine starts it inside the host."""
        flags = [f"--{name}" for name in NAMESPACES]
        place = f"--wdns={self.directory}"
        return ["nsenter", "--target", str(self._first_pid), *flags, place, "--", *command]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**self._environment, **(more or {})}

    def attempt(
        self, *command: str, stdin: str = "", timeout_seconds: float = 60, env: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command inside, whatever becomes of it; one that takes too long is killed there (status 124 or 137)."""
        limit = ["timeout", "--kill-after", "1", f"{timeout_seconds:g}"]
        done = subprocess.run(
            self.argv(*limit, *command),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=self.environment(env),
        )
        return Done(command, done.returncode, done.stdout, done.stderr)

    def run(
        self, *command: str, stdin: str = "", timeout_seconds: float = 60, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a command inside that must succeed; its standard output."""
        done = self.attempt(*command, stdin=stdin, timeout_seconds=timeout_seconds, env=env)
        assert done.status == 0, str(done)
        return done.out

    def call(self, function: Callable[[], T]) -> T:
        """Call a function whose sockets are the host's."""
        assert self._inside
        return self._inside.submit(function).result()

    def _enter_network(self) -> None:
        descriptor = os.open(f"/proc/{self._first_pid}/ns/net", os.O_RDONLY)
        try:
            if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns in {threading.current_thread().name}")
        finally:
            os.close(descriptor)


def wait_for(
    condition: Callable[[], T],
    timeout_seconds: float,
    what: str,
    *,
    pause_seconds: float = 0.1,
    explain: Callable[[], object] | None = None,
) -> T:
    """The first true answer of `condition`; a failure says what was waited for, and what `explain` finds then."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            more = f"\n{explain()}" if explain is not None else f" (last answer: {answer!r})"
            raise AssertionError(f"not within {timeout_seconds:g} s: {what}{more}")
        time.sleep(pause_seconds)
