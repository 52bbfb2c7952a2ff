"""How a host reaches a volume: one type for each kind, told apart by `kind` where it is written down.

Block storage produces a connection, whoever uses the volume consumes it. It says where the volume is, never where the
host puts it.
"""

from typing import Literal

from msgspec import Struct

DiskFormat = Literal["raw", "qcow2"]
"""Formats of a volume that is a file. The format is told, never guessed: a guest may write any header into its disk."""


class FileConnection(Struct, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A file on the host itself, or on a file system that the host has mounted on its own."""

    path: str
    """Absolute."""
    disk_format: DiskFormat


class NfsConnection(Struct, frozen=True, kw_only=True, tag_field="kind", tag="nfs"):
    """A file on an NFS export that the host mounts."""

    export: str
    """`server:/directory`."""
    name: str
    """The file's name in the export."""
    disk_format: DiskFormat
    options: tuple[str, ...] = ()
    """Of the mount."""


class Chap(Struct, frozen=True, kw_only=True):
    """The name and secret by which the initiator proves itself to a target."""

    username: str
    secret: str

    def __repr__(self) -> str:
        return f"Chap(username={self.username!r})"


class IscsiConnection(Struct, frozen=True, kw_only=True, tag_field="kind", tag="iscsi"):
    """A logical unit of an iSCSI target; several portals are several paths to it."""

    portals: tuple[str, ...]
    """`address:port` of each."""
    target: str
    """The target's iSCSI qualified name."""
    unit: int
    """The logical unit's number."""
    chap: Chap | None = None


class RbdConnection(Struct, frozen=True, kw_only=True, tag_field="kind", tag="rbd"):
    """An image in a Ceph pool, which QEMU opens by itself."""

    monitors: tuple[str, ...]
    """`address:port` of each."""
    pool: str
    image: str
    username: str
    secret_id: str
    """UUID under which the hypervisor keeps the user's key."""


class NbdConnection(Struct, frozen=True, kw_only=True, tag_field="kind", tag="nbd"):
    """An export of an NBD server, which QEMU opens by itself."""

    host: str
    port: int
    export: str


Connection = FileConnection | NfsConnection | IscsiConnection | RbdConnection | NbdConnection
