"""Image data as files: one for each image, named by its id, complete or not there.

Data is written to `<id>.part` and renamed when all of it is on the disk. Everything that touches the disk runs in a
thread. Errors are the file system's own (OSError).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
PART_SUFFIX = ".part"


class Part:
    """Data on its way in. `write` and `keep` block: call them in a thread."""

    def __init__(self, path: Path, final: Path) -> None:
        self._path = path
        self._final = final
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._file: BinaryIO = os.fdopen(os.open(path, flags, 0o600), "wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def keep(self) -> None:
        """Makes the data the image's, on the disk before its name says so."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._final)
        _sync_directory(self._final.parent)

    def discard(self) -> None:
        """Safe to repeat, and after `keep`, which it does not undo."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class FileStore:
    """`directory` is made when it is missing, readable by this service's user alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path_of(self, image_id: str) -> Path:
        return self.directory / image_id

    def begin(self, image_id: str) -> Part:
        """Blocks."""
        final = self.path_of(image_id)
        return Part(final.with_name(image_id + PART_SUFFIX), final)

    async def read(self, image_id: str, start: int, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `start` on, in chunks. Raises FileNotFoundError.

        Whoever has begun to read keeps the file, even if it is removed meanwhile.
        """
        file = await asyncio.to_thread(self.path_of(image_id).open, "rb", 0)
        return self._chunks(file, image_id, start, length)

    async def _chunks(self, file: BinaryIO, image_id: str, start: int, length: int) -> AsyncIterator[bytes]:
        try:
            await asyncio.to_thread(file.seek, start)
            while length > 0:
                chunk = await asyncio.to_thread(file.read, min(length, CHUNK_BYTES))
                if not chunk:
                    raise OSError(f"image {image_id} ends {length} bytes early")
                length -= len(chunk)
                yield chunk
        finally:
            file.close()

    async def remove(self, image_id: str) -> None:
        """Safe to repeat."""
        await asyncio.to_thread(self.path_of(image_id).unlink, missing_ok=True)

    def listing(self) -> list[str]:
        """The names of all files: ids, and ids with `.part`. Blocks."""
        return sorted(path.name for path in self.directory.iterdir() if path.is_file())

    def sweep(self, names: Collection[str], kept: Collection[str]) -> list[str]:
        """Removes those of `names` that belong to no image in `kept`, and every part; what was removed. Blocks."""
        removed = [name for name in names if name not in kept]
        for name in removed:
            (self.directory / name).unlink(missing_ok=True)
        return removed


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
