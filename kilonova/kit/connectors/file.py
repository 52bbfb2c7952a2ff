"""Volumes that are files of the host: there is nothing to do but to make sure that the file is one."""

import asyncio
import stat
from pathlib import Path

from kilonova.kit.connectors.connections import FileConnection
from kilonova.kit.connectors.disk import ConnectedDisk
from kilonova.kit.host_commands import HostError


async def connect(connection: FileConnection) -> ConnectedDisk:
    """The file itself. Raises HostError unless it is a regular file, for a link or a device could lead anywhere."""
    path = Path(connection.path)
    if not path.is_absolute():
        raise HostError(f"The volume's path {connection.path} is not absolute.")
    try:
        mode = (await asyncio.to_thread(path.lstat)).st_mode
    except OSError as error:
        raise HostError(f"The volume {connection.path} cannot be reached: {error.strerror}.") from error
    if not stat.S_ISREG(mode):
        raise HostError(f"The volume {connection.path} is not a regular file.")
    return ConnectedDisk(path, connection.disk_format)
