"""A back end's records: the epoch of the last caller obeyed for each volume and snapshot, and a volume's disk format.

A record outlives what was released, so that an older caller cannot bring it back; it is swept some days after.
"""

import os
import re
import time
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.host_commands import HostError

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEPT_SECONDS = 7 * 86400.0
"""The time for which the record of something released is kept: longer than any task runs."""


class SubjectRecord(Struct, frozen=True):
    epoch: int
    disk_format: DiskFormat | None = None
    state: Literal["kept", "released"] = "kept"


def check_subject(subject_id: str) -> None:
    """Raises HostError for what is no UUID: names of files are made of it."""
    if not _ID.fullmatch(subject_id):
        raise HostError(f"{subject_id!r} is not the id of a volume or a snapshot.")


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that nobody else reads, wholly or not at all. Raises HostError."""
    partial = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(partial, "wb", opener=_own) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror}.") from error


def _own(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Records:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, subject_id: str) -> SubjectRecord | None:
        """Raises HostError for a file that is damaged."""
        path = self._place(subject_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=SubjectRecord)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise HostError(f"{path} is damaged: {error}.") from error

    def admit(self, subject_id: str, epoch: int, *, disk_format: DiskFormat | None = None) -> SubjectRecord:
        """Notes the epoch of a call, and for a volume that is new its format. Raises StaleEpoch, HostError."""
        known = self.read(subject_id)
        if known is not None and epoch < known.epoch:
            raise StaleEpoch(subject_id, epoch, known.epoch)
        kept_format = known.disk_format if known is not None and known.state == "kept" else None
        record = SubjectRecord(epoch, kept_format or disk_format)
        if record != known:
            self._write(subject_id, record)
        return record

    def bury(self, subject_id: str, epoch: int) -> None:
        """Notes that a volume or a snapshot was released."""
        self._write(subject_id, SubjectRecord(epoch, state="released"))

    def sweep(self) -> int:
        """Forgets what was released long ago; returns how many."""
        swept, oldest = 0, time.time() - KEPT_SECONDS
        for path in self._directory.glob("*.json") if self._directory.is_dir() else []:
            if path.stat().st_mtime < oldest:
                known = self.read(path.stem)
                if known is not None and known.state == "released":
                    path.unlink()
                    swept += 1
        return swept

    def _write(self, subject_id: str, record: SubjectRecord) -> None:
        write_whole(self._place(subject_id), msgspec.json.encode(record))

    def _place(self, subject_id: str) -> Path:
        check_subject(subject_id)
        return self._directory / f"{subject_id}.json"
