"""The disk that a host gets by connecting a volume, or the target at which its hypervisor opens one."""

from pathlib import Path

from msgspec import Struct

from kilonova.kit.connectors.connections import Chap, DiskFormat


class ConnectedDisk(Struct, frozen=True):
    """A disk that a hypervisor of this host can open."""

    path: Path
    disk_format: DiskFormat


class ConnectedTarget(Struct, frozen=True, kw_only=True):
    """A logical unit that a hypervisor of this host opens by itself, over iSCSI; its data is the disk."""

    host: str
    port: int
    target: str
    unit: int
    chap: Chap | None = None


Connected = ConnectedDisk | ConnectedTarget
