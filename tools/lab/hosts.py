"""One lab host: namespaces of its own under a first process, seen from outside by that process's id.

The rule: a process is believed to be ours only while its start time is the remembered one, so no id of an earlier run
can name a stranger.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stages import ROOT

NAMESPACES = ("mnt", "net", "uts", "ipc", "pid")
START_SECONDS = 10.0
RUN_SECONDS = 120.0
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_SCRIPT = Path(__file__).with_name("host_init.sh")

Words = Sequence[str | Path]


class HostError(Exception):
    """A command on a host failed; the message carries what it said."""


def wait_for(condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    """What `condition` returns as soon as that is true. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def start_time(pid: int) -> int | None:
    """Ticks since the machine's start at which a process began; None when it is gone or waits to be collected."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def namespaces_of(pid: int) -> set[str]:
    return {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in NAMESPACES}


@dataclass(frozen=True, slots=True)
class Anchor:
    """A process that holds namespaces open: its id in the machine, and when it began."""

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        return start_time(self.pid) == self.started

    def kill(self) -> None:
        if self.is_alive:
            os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not self.is_alive, f"process {self.pid} is gone")


def anchor(pid: int) -> Anchor:
    started = start_time(pid)
    if started is None:
        raise HostError(f"the process {pid} ended at its start")
    return Anchor(pid, started)


@dataclass(frozen=True, slots=True)
class Host:
    """`index` numbers its cables; `address` is the one on the underlay (`eth0`)."""

    name: str
    index: int
    address: str
    directory: Path
    anchor: Anchor

    # --- files --------------------------------------------------------------------------------------------------------

    def path(self, inside: str | Path) -> Path:
        """Where a file of the host is found from outside."""
        return Path(f"/proc/{self.anchor.pid}/root") / str(inside).lstrip("/")

    def write(self, path: str | Path, text: str, mode: int = 0o644) -> None:
        found = self.path(path)
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        found.chmod(mode)

    def read(self, path: str | Path) -> str:
        return self.path(path).read_text(errors="replace")

    # --- commands -----------------------------------------------------------------------------------------------------

    def _enter(self, command: Words) -> list[str]:
        if not self.anchor.is_alive:
            raise HostError(f"the host {self.name} is down")
        return ["nsenter", "-t", str(self.anchor.pid), "-m", "-n", "-u", "-i", "-p", "--", *map(str, command)]

    def run(
        self,
        command: Words,
        *,
        stdin: str = "",
        check: bool = True,
        timeout_seconds: float = RUN_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end. Raises HostError with the command's words when it fails."""
        done = subprocess.run(
            self._enter(command),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            env=self._environment(environment),
            cwd="/",
        )
        if check and done.returncode != 0:
            words = " ".join(map(str, command))
            raise HostError(f"{self.name}: `{words}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    @staticmethod
    def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
        found = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
        if source := os.environ.get("PYTHONPATH"):
            # Another checkout than the one that is installed is tried.
            found["PYTHONPATH"] = source
        return {**found, **(more or {})}

    # --- daemons ------------------------------------------------------------------------------------------------------

    def start(self, name: str, command: Words, environment: Mapping[str, str] | None = None) -> int:
        """Start a process that outlives this one, its output in /var/log/lab/<name>.log; returns its id in the host."""
        if self.is_running(name):
            raise HostError(f"{self.name}: {name} runs already")
        pid_file = f"/run/lab/{name}.pid"
        self.path(pid_file).unlink(missing_ok=True)
        script = 'echo $$ > "$0.new"; mv "$0.new" "$0"; log=$1; shift; exec "$@" >> "$log" 2>&1 < /dev/null'
        words = ["setsid", "--fork", "/bin/sh", "-c", script, pid_file, f"/var/log/lab/{name}.log", *map(str, command)]
        subprocess.run(
            self._enter(words),
            check=True,
            env=self._environment(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found: int = wait_for(lambda: self.pid_of(name), f"{self.name}: {name} starts")
        return found

    def pid_of(self, name: str) -> int | None:
        """Its process id in the host, as it was started."""
        try:
            return int(self.path(f"/run/lab/{name}.pid").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_running(self, name: str) -> bool:
        pid = self.pid_of(name)
        return pid is not None and self.is_alive(pid)

    def is_alive(self, pid: int) -> bool:
        """Whether a process of the host's own numbering lives."""
        try:
            stat = self.path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"

    def daemons(self) -> dict[str, bool]:
        """Everything that was started, and whether it runs."""
        names = sorted(each.stem for each in self.path("/run/lab").glob("*.pid"))
        return {name: self.is_running(name) for name in names}

    def kill(self, name: str, *, gently: bool = False) -> None:
        """SIGKILL, or SIGTERM and the time to end. It is gone afterwards."""
        pid = self.pid_of(name)
        if pid is None or not self.is_alive(pid):
            return
        self.signal(pid, signal.SIGTERM if gently else signal.SIGKILL)
        wait_for(lambda: not self.is_alive(pid), f"{self.name}: {name} ends", 30)

    def signal(self, pid: int, number: signal.Signals) -> None:
        self.run(["kill", f"-{int(number)}", str(pid)], check=False)

    def log_end(self, name: str, lines: int = 30) -> str:
        try:
            return "\n".join(self.read(f"/var/log/lab/{name}.log").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def processes(self) -> dict[int, list[str]]:
        """Process id in the host → command line of everything that runs there."""
        found = {}
        for entry in self.path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if words:
                    found[int(entry.name)] = words
        return found

    def memory_mib(self) -> dict[str, float]:
        """Proportional set size of its processes, by their programs' names."""
        found: dict[str, float] = {}
        for pid, words in self.processes().items():
            try:
                lines = self.path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            sizes = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
            script = next((each for each in words[1:2] if "/bin/" in each), words[0])
            name = Path(script).name
            found[name] = found.get(name, 0) + sum(sizes) / 1024
        return found


def detach(command: Words, output: Path) -> int:
    """Start a process that nobody here has to wait for; returns its id."""
    script = 'log=$1; shift; setsid "$@" > "$log" 2>&1 < /dev/null & echo $!'
    words = ["/bin/sh", "-c", script, "sh", str(output), *map(str, command)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True, cwd="/").stdout)


def boot(name: str, index: int, address: str, directory: Path, programs: Path) -> Host:
    """Start a host's first process; it has no cables yet. Raises HostError with what the script said."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "boot.log"
    command: Words = [
        *("unshare", "-m", "-n", "-u", "-i", "-p", "--fork", "--kill-child", "--propagation", "private", "--"),
        *("bash", INIT_SCRIPT, name, directory, programs, ROOT, directory),
    ]
    holder = anchor(detach(command, log))

    def first_child() -> int | None:
        if not holder.is_alive:
            raise HostError(f"{name} does not boot: {log.read_text()}")
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        return int(children[0]) if children else None

    pid = wait_for(first_child, f"{name} has a first process")
    host = Host(name, index, address, directory, anchor(pid))

    def is_ready() -> bool:
        if not host.anchor.is_alive:
            raise HostError(f"{name} does not boot: {log.read_text()}")
        own = str(Path(f"/proc/{pid}/ns/mnt").readlink()) != str(Path("/proc/self/ns/mnt").readlink())
        return own and host.path("/run/lab/ready").exists()

    wait_for(is_ready, f"{name} is up")
    return host
