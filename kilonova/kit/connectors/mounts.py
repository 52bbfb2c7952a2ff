"""Mounting NFS exports on this host, each in a directory that its name is made of."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kilonova.kit import host_commands
from kilonova.kit.host_commands import HostError

MOUNT_INFO = Path("/proc/self/mountinfo")
TIMEOUT_SECONDS = 60.0
LONGEST_EXPORT = 120
_EXPORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][^\s:\[\],/]*):(/\S*)")


class Mounts(Protocol):
    def is_mounted(self, export: str, directory: Path) -> bool:
        """Raises HostError where something else is mounted there."""
        ...

    async def ensure(self, export: str, directory: Path, options: Sequence[str]) -> None:
        """Mounts an export unless it is. Raises HostError."""
        ...


class HostMounts:
    """The mounts of this host."""

    def is_mounted(self, export: str, directory: Path) -> bool:
        found = read_mounts(MOUNT_INFO.read_text()).get(str(directory))
        if found is not None and found.rstrip("/") != export.rstrip("/"):
            raise HostError(f"{found} is mounted at {directory}, where {export} belongs.")
        return found is not None

    async def ensure(self, export: str, directory: Path, options: Sequence[str]) -> None:
        if self.is_mounted(export, directory):
            return
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        except OSError as error:
            raise HostError(f"{directory} cannot be made: {error.strerror}.") from error
        chosen = ["-o", ",".join(options)] if options else []
        command: list[str | Path] = ["mount", "-t", "nfs", *chosen, "--", export, directory]
        await host_commands.run(command, timeout_seconds=TIMEOUT_SECONDS)


def check_export(export: str) -> None:
    """Raises HostError for what is not `server:/directory`."""
    if len(export) > LONGEST_EXPORT or not _EXPORT.fullmatch(export):
        raise HostError(f"{export!r} is not SERVER:/DIRECTORY, in at most {LONGEST_EXPORT} characters.")


def mount_point(base: Path, export: str) -> Path:
    """Returns the directory of an export, which upstream names alike."""
    return base / hashlib.md5(export.encode(), usedforsecurity=False).hexdigest()


def read_mounts(mount_info: str) -> dict[str, str]:
    """Returns mount point → what is mounted there, the last of several; proc(5), `mountinfo`."""
    found = {}
    for line in mount_info.splitlines():
        fields, _, behind = line.partition(" - ")
        found[_plain(fields.split(" ")[4])] = _plain(behind.split(" ")[1])
    return found


def _plain(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), field)
