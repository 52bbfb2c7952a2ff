"""Connects a host to volumes: what block storage says of a volume, and what the host does before and after using it."""

from kilonova.kit.connectors.connections import (
    Chap,
    Connection,
    FileConnection,
    IscsiConnection,
    NbdConnection,
    NfsConnection,
    RbdConnection,
)
from kilonova.kit.connectors.connector import connect, disconnect
from kilonova.kit.connectors.disk import Connected, ConnectedDisk, ConnectedTarget

__all__ = [
    "Chap",
    "Connected",
    "ConnectedDisk",
    "ConnectedTarget",
    "Connection",
    "FileConnection",
    "IscsiConnection",
    "NbdConnection",
    "NfsConnection",
    "RbdConnection",
    "connect",
    "disconnect",
]
