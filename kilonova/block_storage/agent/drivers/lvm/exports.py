"""The exports of a back end: which attachment reaches which volume, by which target and with which secret.

Each attachment has a target of its own, so that its name and secret open that volume alone and end with it. An export
is written down before its target is made, and goes after it: whatever dies between, the next agent finds what there is.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from kilonova.block_storage.agent.drivers.records import check_subject, write_whole
from kilonova.kit.host_commands import HostError

SECRET_BYTES = 12
"""16 characters: the most that every initiator takes for CHAP."""
UNIT = 1


class Export(Struct, frozen=True, kw_only=True):
    attachment_id: str
    volume_id: str
    target: str
    """The target's iSCSI qualified name."""
    username: str
    secret: str

    def __repr__(self) -> str:
        return f"Export(target={self.target!r})"


class Targets(Protocol):
    """The server of targets on this host: tgtd, or the kernel."""

    async def find_all(self) -> set[str]:
        """Returns the names of the targets there are. Raises HostError."""
        ...

    async def ensure(self, export: Export, device: Path) -> None:
        """Makes a target whose logical unit 1 is the device, as large as it is now. Raises HostError."""
        ...

    async def remove(self, export: Export) -> None:
        """Ends the sessions of a target and removes it; ok when there is none. Raises HostError."""
        ...


@dataclass(frozen=True)
class Exports:
    directory: Path
    target_prefix: str

    def find_all(self) -> list[Export]:
        """Raises HostError for a file that is damaged."""
        paths = sorted(self.directory.glob("*.json")) if self.directory.is_dir() else []
        return [export for path in paths if (export := self._read(path)) is not None]

    def of_volume(self, volume_id: str) -> list[Export]:
        """Raises HostError for a file that is damaged."""
        return [each for each in self.find_all() if each.volume_id == volume_id]

    def is_known(self, attachment_id: str) -> bool:
        """Raises HostError for what is no UUID."""
        return self._path(attachment_id).exists()

    def ensure(self, attachment_id: str, volume_id: str) -> Export:
        """Returns an attachment's export, which is written down. Raises HostError for one of another volume."""
        known = self._read(self._path(attachment_id))
        if known is not None:
            if known.volume_id != volume_id:
                raise HostError(f"Attachment {attachment_id} is one of volume {known.volume_id}.")
            return known
        made = Export(
            attachment_id=attachment_id,
            volume_id=volume_id,
            target=f"{self.target_prefix}volume-{volume_id}.{attachment_id}",
            username=attachment_id,
            secret=secrets.token_urlsafe(SECRET_BYTES),
        )
        write_whole(self._path(attachment_id), msgspec.json.encode(made))
        return made

    def remove(self, export: Export) -> None:
        """Raises OSError."""
        self._path(export.attachment_id).unlink(missing_ok=True)

    def _read(self, path: Path) -> Export | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Export)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise HostError(f"{path} is damaged: {error}.") from error

    def _path(self, attachment_id: str) -> Path:
        check_subject(attachment_id)
        return self.directory / f"{attachment_id}.json"
