"""Volumes that are files of an NFS export: the host mounts it, and it stays mounted for whoever comes next."""

from pathlib import Path

from kilonova.kit.connectors import file
from kilonova.kit.connectors.connections import FileConnection, NfsConnection
from kilonova.kit.connectors.disk import ConnectedDisk
from kilonova.kit.connectors.mounts import HostMounts, Mounts, check_export, mount_point
from kilonova.kit.host_commands import HostError

MOUNT_BASE = Path("/var/lib/kilonova/mnt")


async def connect(connection: NfsConnection, mounts: Mounts | None = None, base: Path = MOUNT_BASE) -> ConnectedDisk:
    """Mounts the export, and returns the file in it. Raises HostError for a name that leads out of the export."""
    check_export(connection.export)
    if Path(connection.name).name != connection.name or connection.name in ("", ".", ".."):
        raise HostError(f"The volume's name {connection.name!r} is not that of a file in {connection.export}.")
    directory = mount_point(base, connection.export)
    await (mounts or HostMounts()).ensure(connection.export, directory, connection.options)
    return await file.connect(FileConnection(path=str(directory / connection.name), disk_format=connection.disk_format))
