"""The disk that a host gets by connecting a volume."""

from pathlib import Path

from msgspec import Struct

from kilonova.kit.connectors.connections import DiskFormat


class ConnectedDisk(Struct, frozen=True):
    """A disk that a hypervisor of this host can open."""

    path: Path
    disk_format: DiskFormat
