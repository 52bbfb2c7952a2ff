"""Room on the disk that a database has when there is none left: a file beside it that is thrown away then.

SQLite writes before it frees anything: on a full disk nothing could be deleted, and the disk would stay full.
"""

import os
from pathlib import Path

from kilonova.kit.log import logger

log = logger(__name__)

SIZE_BYTES = 8 << 20
"""Twice what SQLite's journal grows to between two checkpoints."""

LOW_BYTES = 2 << 20
"""The disk counts as full from here on: a transaction may need as much, and other programs write as well."""

ROOMY_BYTES = 8 * SIZE_BYTES
"""From here on room is set aside again."""


class Ballast:
    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.ballast")
        self._is_there = self._path.exists()

    def trim(self) -> None:
        """At the start and before each write: gives the room back when the disk is full, and sets it aside again when
        it is not. What it cannot do is no failure of the write."""
        disk = os.statvfs(self._path.parent)
        free = disk.f_bavail * disk.f_frsize
        try:
            if free < LOW_BYTES and self._is_there:
                self._is_there = False
                log.warning("the disk is full: room that was set aside is given back", file=str(self._path))
                self._path.unlink(missing_ok=True)
            elif free >= ROOMY_BYTES and not self._is_there:
                self._is_there = True
                self._set_aside()
        except OSError as error:
            log.warning("no room can be set aside for a full disk", file=str(self._path), reason=error.strerror)

    def _set_aside(self) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, SIZE_BYTES)
        finally:
            os.close(handle)
