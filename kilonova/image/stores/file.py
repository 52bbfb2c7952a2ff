"""Image data as files of one directory. Everything that touches the disk runs in a thread.

Errors other than a full disk are the file system's own (OSError).
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from kilonova.image.stores.interface import DataLost, DataMissing, StorageFull

CHUNK_BYTES = 1 << 20
RESERVED_PART = 20
MOST_RESERVED_BYTES = 1 << 30
"""A twentieth of the file system stays free, or this where that would be more."""
FULL = (errno.ENOSPC, errno.EDQUOT)


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

    def require(self, size_bytes: int) -> None:
        """Raises StorageFull when the data would take what uploads leave free."""
        if size_bytes > self.room:
            raise StorageFull(self.refusal or f"Image storage media is full: there is room for {self.room} bytes.")


def measure(directory: Path, reserve_bytes: int) -> Space:
    """The space for images in a directory. Blocks."""
    disk = os.statvfs(directory)
    if reserve_bytes < 0:
        reserve_bytes = min(disk.f_blocks * disk.f_frsize // RESERVED_PART, MOST_RESERVED_BYTES)
    return Space(disk.f_bavail * disk.f_frsize, reserve_bytes)


class FileStore:
    """`directory` is made when it is missing, readable by this service's user alone.

    `reserve_bytes` of its file system are left free; with -1 it is 5 % of it, at most 1 GiB.
    """

    type = "file"
    description = "Files on the image host"

    def __init__(self, directory: Path, reserve_bytes: int = -1, store_id: str = "file") -> None:
        self.id = store_id
        self.directory = directory
        self._reserve_bytes = reserve_bytes
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def begin(self, name: str) -> "IncomingFile":
        with _full_disk_said():
            return await asyncio.to_thread(IncomingFile, self.directory / name, self._reserve_bytes)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        # Whoever has opened the file keeps it, even if it is removed meanwhile.
        try:
            file = await asyncio.to_thread((self.directory / name).open, "rb", 0)
        except FileNotFoundError as error:
            raise DataMissing(name) from error
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
        await asyncio.to_thread((self.directory / name).unlink, missing_ok=True)

    async def names(self) -> set[str]:
        return await asyncio.to_thread(lambda: {path.name for path in self.directory.iterdir() if path.is_file()})

    async def require_room(self, size_bytes: int) -> None:
        (await asyncio.to_thread(measure, self.directory, self._reserve_bytes)).require(size_bytes)

    async def refusal(self) -> str | None:
        return (await asyncio.to_thread(measure, self.directory, self._reserve_bytes)).refusal


class IncomingFile:
    """A file that one upload writes. Making one blocks."""

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        self._path = path
        self._reserve_bytes = reserve_bytes
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "wb")

    async def write(self, data: bytes) -> None:
        with _full_disk_said():
            await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        measure(self._path.parent, self._reserve_bytes).require(len(data))
        self._file.write(data)

    async def commit(self) -> None:
        with _full_disk_said():
            await asyncio.to_thread(self._commit)

    def _commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        _sync_directory(self._path.parent)
        try:
            is_there = os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            is_there = False
        self._file.close()
        if not is_there:
            raise DataLost(self._path.name)

    async def abort(self) -> None:
        await asyncio.to_thread(self._abort)

    def _abort(self) -> None:
        self._path.unlink(missing_ok=True)
        # What was not written yet may find no room: it is not wanted any more.
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def _full_disk_said() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StorageFull("Image storage media is full: there is no room left for this image.") from error


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
