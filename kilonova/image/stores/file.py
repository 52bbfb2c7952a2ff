"""Image data as files, one for each upload.

A file is whole when an image's record names it, and is written to by nobody but its upload, which holds its lock until
then. Everything that touches the disk runs in a thread. Errors are the file system's own (OSError).
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

CHUNK_BYTES = 1 << 20
RESERVED_PART = 20
MOST_RESERVED_BYTES = 1 << 30
"""A twentieth of the file system stays free, or this where that would be more."""


class Part:
    """Data on its way in. All but `close` block: call them in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "wb")
        # It goes with the process: a file without a lock that no record names belongs to an upload that died.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def keep(self) -> bool:
        """Puts all of it on the disk, before a record says that it is there; False when somebody took the file away."""
        self._file.flush()
        os.fsync(self._file.fileno())
        _sync_directory(self._path.parent)
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """After the record names the file."""
        self._file.close()

    def discard(self) -> None:
        """Safe to repeat."""
        self._path.unlink(missing_ok=True)
        # What was not written yet may find no room: it is not wanted any more.
        with contextlib.suppress(OSError):
            self._file.close()


class Found(Struct, frozen=True):
    name: str
    is_being_written: bool
    """By an upload of this process or another one."""


class Space(Struct, frozen=True):
    """Of the file system the images are on, in bytes."""

    free: int
    reserve: int
    """What uploads leave free, for everything else that lives there."""

    @property
    def room(self) -> int:
        """What uploads may take."""
        return max(0, self.free - self.reserve)

    @property
    def refusal(self) -> str | None:
        """Why uploads are refused, if they are."""
        if self.room:
            return None
        return f"Image storage media is full: {self.free} bytes are free, and uploads leave {self.reserve} to others."


class FileStore:
    """`directory` is made when it is missing, readable by this service's user alone.

    `reserve_bytes` of its file system are left free; with -1 it is 5 % of it, at most 1 GiB.
    """

    def __init__(self, directory: Path, reserve_bytes: int = -1) -> None:
        self.directory = directory
        self._reserve_bytes = reserve_bytes
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def space(self) -> Space:
        """Blocks."""
        disk = os.statvfs(self.directory)
        reserve = self._reserve_bytes
        if reserve < 0:
            reserve = min(disk.f_blocks * disk.f_frsize // RESERVED_PART, MOST_RESERVED_BYTES)
        return Space(disk.f_bavail * disk.f_frsize, reserve)

    def begin(self, name: str) -> Part:
        """Blocks. Raises FileExistsError: a name is written to once."""
        return Part(self.directory / name)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `start` on, in chunks. Raises FileNotFoundError.

        Whoever has begun to read keeps the file, even if it is removed meanwhile.
        """
        file = await asyncio.to_thread((self.directory / name).open, "rb", 0)
        return self._chunks(file, name, start, length)

    async def _chunks(self, file: BinaryIO, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        try:
            await asyncio.to_thread(file.seek, start)
            while length > 0:
                chunk = await asyncio.to_thread(file.read, min(length, CHUNK_BYTES))
                if not chunk:
                    raise OSError(f"image data {name} ends {length} bytes early")
                length -= len(chunk)
                yield chunk
        finally:
            file.close()

    async def remove(self, name: str) -> None:
        """Safe to repeat."""
        await asyncio.to_thread((self.directory / name).unlink, missing_ok=True)

    def listing(self) -> list[Found]:
        """All files. Blocks."""
        paths = sorted(path for path in self.directory.iterdir() if path.is_file())
        return [Found(path.name, _is_locked(path)) for path in paths]


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        # Gone since it was listed.
        return False
    return False


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
