"""Stores of backups: objects by name. An object is whole or not there.

Only the standard library: jobs that outlive the agent use them.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

PARTIAL = ".part"
"""The name of the file that an object is on its way."""


class ObjectMissing(Exception):
    """There is no object of this name."""


class Store(Protocol):
    """A name is `CONTAINER/BACKUP/OBJECT`. Failures are OSErrors."""

    def put(self, name: str, data: bytes) -> None:
        """Stores an object, wholly or not at all."""
        ...

    def get(self, name: str) -> bytes:
        """Raises ObjectMissing."""
        ...

    def delete_all(self, prefix: str) -> None:
        """Removes the objects of a backup, `CONTAINER/BACKUP/`; ok when there are none."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yields the names of the objects of a backup, `CONTAINER/BACKUP/`."""
        ...


class PosixStore:
    """Objects as files below a directory of this host, or of a file system that it has mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        path = self._root / name
        # One job at a time writes a backup's objects.
        partial = path.with_name(PARTIAL)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(partial, "wb", opener=_own) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def get(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(name) from error

    def delete_all(self, prefix: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._root / prefix)

    def list(self, prefix: str) -> Iterator[str]:
        directory = self._root / prefix
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if path.name != PARTIAL:
                yield prefix + path.name


def _own(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
