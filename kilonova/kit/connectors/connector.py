"""Connecting and disconnecting a volume of any kind. Both are safe to repeat."""

from kilonova.kit.connectors import file, iscsi, nfs
from kilonova.kit.connectors.connections import Connection, FileConnection, IscsiConnection, NfsConnection
from kilonova.kit.connectors.disk import Connected
from kilonova.kit.host_commands import HostError


async def connect(connection: Connection) -> Connected:
    """Does what this host has to do before a guest can use the volume. Raises HostError."""
    match connection:
        case FileConnection():
            return await file.connect(connection)
        case IscsiConnection():
            return await iscsi.connect(connection)
        case NfsConnection():
            return await nfs.connect(connection)
    raise HostError(f"This host cannot connect volumes of kind {connection.__struct_config__.tag} yet.")


async def disconnect(connection: Connection) -> None:
    """Undoes what `connect` did, once no guest uses the volume; one that is gone is disconnected. Raises HostError."""
    match connection:
        case FileConnection() | IscsiConnection() | NfsConnection():
            return
        case _:
            # It was never connected. A server that asked for such a volume and was refused can be deleted all the same.
            return
