"""Several processes of one daemon, for more than one core: `--workers N`, or the option of its file.

The parent serves nothing: it starts the workers, starts one that died again, and passes the end on to all of them. Each
worker listens on the same port by itself (SO_REUSEPORT), and the kernel deals the connections out.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from kilonova.kit.config import ConfigError
from kilonova.kit.log import logger

log = logger(__name__)

OPTIONS = {
    "nova-api": (("DEFAULT", "osapi_compute_workers"), ("DEFAULT", "metadata_workers")),
    "nova-api-metadata": (("DEFAULT", "metadata_workers"),),
    "nova-conductor": (("conductor", "workers"),),
    "nova-scheduler": (("scheduler", "workers"),),
    "glance-api": (("DEFAULT", "workers"),),
    "cinder-api": (("DEFAULT", "osapi_volume_workers"),),
    "neutron-server": (("DEFAULT", "api_workers"),),
    "keystone": (),
    "placement-api": (),
}
"""Program → where its file says how many; the programs that are not here are one process."""

LOOK_SECONDS = 0.25
PAUSE_SECONDS = 1.0
"""Before a worker that died is started again, so that one that cannot live does not do so all the time."""
SHUTDOWN_SECONDS = 30.0
_READY = b"1"


def split_words(program: str, words: Sequence[str]) -> tuple[int | None, list[str]]:
    """`--workers N` or `--workers=N` and the other words. Raises ConfigError."""
    count, rest = None, []
    left = iter(words)
    for word in left:
        name, _, value = word.partition("=")
        if name != "--workers":
            rest.append(word)
            continue
        text = value or next(left, "")
        if program not in OPTIONS:
            raise ConfigError(f"{program} is one process a host: it has no --workers")
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError(f"--workers {text!r}: a number from 1 on is expected")
        count = int(text)
    return count, rest


def count_of(program: str, config: Any) -> int:
    """What the file says; 1 where it says nothing."""
    counts = [1]
    for group, name in OPTIONS.get(program, ()):
        section = config if group == "DEFAULT" else config[group]
        counts.append(section[name] or 1)
    return max(counts)


@dataclass(frozen=True, slots=True)
class Place:
    """Which of a daemon's processes this is, and how it speaks with its parent."""

    ready: Callable[[], None]
    """To be called once this process answers."""
    worker: int | None = None
    """None: the only process."""
    parent: int | None = None
    """A descriptor that becomes readable when the parent is gone: a worker alone would keep the port for ever."""


Work = Callable[[Place], int]


def supervise(count: int, work: Work, on_ready: Callable[[], None]) -> int:
    """Runs `work` in `count` processes until told to stop; returns an exit code.

    A worker that ends before all of them were ready ends them all, with its code: what is wrong with one is wrong with
    the next. Called before the process has a thread or a loop.
    """
    workers = _Workers(work)
    stopping: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    for number in range(count):
        workers.start(number)
    ready = 0
    while not stopping:
        if ready < count:
            ready += workers.wait_ready()
            if ready >= count:
                on_ready()
        else:
            time.sleep(LOOK_SECONDS)
        for number, code in workers.ended():
            if ready < count:
                workers.stop()
                return code or 1
            log.error("a worker ended and is started again", worker=number, code=code)
            time.sleep(PAUSE_SECONDS)
            workers.start(number)
    return workers.stop()


class _Workers:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._pids: dict[int, int] = {}
        self._ready, self._say_ready = os.pipe()
        self._parent, self._alive = os.pipe()

    def start(self, number: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_worker(number)
        self._pids[pid] = number

    def _be_worker(self, number: int) -> NoReturn:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        # Only the parent tells systemd.
        os.environ.pop("NOTIFY_SOCKET", None)
        os.close(self._alive)
        code = 1
        try:
            code = self._work(Place(lambda: _tell(self._say_ready), number, self._parent))
        except Exception:
            log.exception("a worker failed", worker=number)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Not sys.exit: what the parent wants to do at its end is the parent's.
            os._exit(code)

    def wait_ready(self) -> int:
        """How many said so within a moment."""
        readable, _, _ = select.select([self._ready], [], [], LOOK_SECONDS)
        return len(os.read(self._ready, 64)) if readable else 0

    def ended(self) -> list[tuple[int, int]]:
        """(number, exit code) of those that ended since."""
        found = []
        for pid in list(self._pids):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                found.append((self._pids.pop(pid), os.waitstatus_to_exitcode(status)))
        return found

    def stop(self) -> int:
        """Ends all; 0 when each ended in time."""
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + SHUTDOWN_SECONDS
        while self._pids and time.monotonic() < until:
            self.ended()
            time.sleep(0.05)
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return 1 if self._pids else 0


def _tell(pipe: int) -> None:
    os.write(pipe, _READY)
