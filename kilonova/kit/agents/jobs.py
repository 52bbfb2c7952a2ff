"""Long commands of a host that outlive the agent which started them, and are found again by the next one.

The rule: a job is named after what it is for, and whoever wants that done asks for the job of that name: the first one
starts it, all others find it. A job's directory says what it is, and a lock in it is held as long as any process of the
job lives, so nothing depends on remembered process ids. A job that was killed, or that the host went down with, has not
ended: it is started afresh by whoever asks next.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import struct
import sys
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from kilonova.kit.host_commands import ENVIRONMENT, Account, Command, HostError, last_words, limited
from kilonova.kit.log import logger

log = logger(__name__)

POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 1.0
START_SECONDS = 10.0
"""How long a job that is to be cancelled may take to say which processes it has."""

ROOM_BYTES = {"group": 16, "output": 4096, "end": 1024}
"""The files that a job writes, and how large they are from the start: a job may end because the disk is full."""


class Job(Struct, frozen=True):
    """A job that runs or has ended."""

    name: str
    is_running: bool
    failure: str = ""
    """Why it has failed, in a sentence; empty while it runs and when it went well."""
    output: str = ""
    """The end of what it has written, where commands tell how far they are."""


class _Description(Struct):
    name: str
    program: str
    arguments: list[str]
    timeout_seconds: float
    account: Account | None
    environment: dict[str, str]


class _End(Struct):
    status: int | None
    reason: str


class Jobs:
    """The jobs of one agent; `directory` is theirs alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[int] = []
        """Processes started by this one, which has to collect them when they end."""
        self._collecting = threading.Lock()

    async def start(self, name: str, command: Command) -> None:
        """Runs a command as the job of this name, unless that runs or has ended. Raises HostError."""
        limits = command.limits
        words = command.arguments if limits is None else limited(command.arguments, limits)
        arguments = [os.fspath(each) for each in words]
        program = os.fspath(command.arguments[0])
        description = _Description(name, program, arguments, command.timeout_seconds, command.account, ENVIRONMENT)
        await asyncio.to_thread(self._start, description)

    def _start(self, description: _Description) -> None:
        place = self._place(description.name)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with contextlib.closing(os.fdopen(lock)):
                if not _try_lock(lock) or (place / "ended.json").exists():
                    return
                for file, size in ROOM_BYTES.items():
                    _write(place / file, b" " * size)
                _write(place / "job.json", msgspec.json.encode(description))
                log.info("starting a job", job=description.name)
                self._children.append(_spawn(place, lock))
        except OSError as error:
            raise HostError(f"The job {description.name} cannot be started: {error.strerror}.") from error

    async def observe(self, name: str) -> Job | None:
        """The job of this name; None when there is none, or when it was killed before its end."""
        return await asyncio.to_thread(self._observe, self._place(name))

    def _observe(self, place: Path) -> Job | None:
        with self._collecting:
            self._children = [child for child in self._children if os.waitpid(child, os.WNOHANG)[0] == 0]
        is_running = _is_locked(place)
        try:
            job = msgspec.json.decode((place / "job.json").read_bytes(), type=_Description)
            output = (place / "output").read_text(errors="replace").rstrip(" ")
            if is_running:
                return Job(job.name, True, output=output)
            end = msgspec.json.decode((place / "ended.json").read_bytes(), type=_End)
        except FileNotFoundError:
            return None
        return Job(job.name, False, _failure(job.program, end, output), output)

    async def wait(self, name: str) -> Job | None:
        """The job of this name once it does not run any more."""
        pause_seconds = POLL_SECONDS
        while (job := await self.observe(name)) is not None and job.is_running:
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_POLL_SECONDS)
        return job

    async def list_all(self) -> list[Job]:
        """Every job that runs or has ended and was not cleaned."""

        def look() -> list[Job]:
            places = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
            return [job for place in places if (job := self._observe(place)) is not None]

        return await asyncio.to_thread(look)

    async def cancel(self, name: str) -> None:
        """Ends the processes of a job and forgets it; ok when there is none. Raises HostError."""
        place = self._place(name)
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while await asyncio.to_thread(_is_locked, place):
            await asyncio.to_thread(_kill, place)
            if asyncio.get_running_loop().time() > deadline:
                raise HostError(f"The job {name} does not end.")
            await asyncio.sleep(POLL_SECONDS)
        await self.clean(name)

    async def clean(self, name: str) -> None:
        """Forgets a job that has ended; ok when there is none."""
        await asyncio.to_thread(shutil.rmtree, self._place(name), ignore_errors=True)

    def _place(self, name: str) -> Path:
        return self._directory / hashlib.sha256(name.encode()).hexdigest()[:32]


def _spawn(place: Path, lock: int) -> int:
    """Starts a job in a session of its own, which has the lock and nothing else of ours; returns its process id."""
    os.set_inheritable(lock, True)
    runner = os.fspath(Path(__file__).with_name("job_runner.py"))
    command = [sys.executable, "-I", "-S", runner, os.fspath(place), str(lock)]
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    return os.posix_spawn(sys.executable, command, ENVIRONMENT, file_actions=silent, setsid=True)


_LOCK = struct.Struct("hhqqi4x")
"""fcntl(2), `struct flock`: type, whence, start, length, process."""


def _try_lock(descriptor: int) -> bool:
    """Takes the lock for this open file, and whoever inherits it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_locked(place: Path) -> bool:
    """Whether somebody holds the lock; taking it to find out would keep a job from being started meanwhile."""
    try:
        descriptor = os.open(place / "lock", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with contextlib.closing(os.fdopen(descriptor)):
        wanted = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = _LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, wanted))
        return bool(found[0] != fcntl.F_UNLCK)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.chmod(0o600)
    partial.replace(path)


def _kill(place: Path) -> None:
    """Ends the processes of a job whose lock is held, as soon as it has said which they are."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if group := (place / "group").read_text().strip():
            os.killpg(int(group), signal.SIGKILL)


def _failure(program: str, end: _End, output: str) -> str:
    if end.reason:
        return f"{program} {end.reason}."
    return "" if end.status == 0 else f"{program} failed with status {end.status}: {last_words(output)}"
