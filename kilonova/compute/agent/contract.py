"""Every call that compute's agent answers, with its types. Programs and the agent use these declarations alone.

A call that carries an epoch is refused (StaleEpoch) when its host has obeyed a newer one for that server.
"""

from msgspec import Struct

from kilonova.compute.agent.spec import (
    Arrival,
    ConsoleAddress,
    ConsoleKind,
    ServerDiagnostics,
    ServerObservation,
    ServerSpec,
    SnapshotObservation,
    SnapshotSpec,
    SpecImage,
)
from kilonova.kit.agents import Call, NoArguments


class EnsureArguments(Struct, frozen=True):
    spec: ServerSpec
    epoch: int


class MigrationArguments(Struct, frozen=True):
    spec: ServerSpec
    """The server that leaves the host."""
    arrival: Arrival
    """The answer of the host that the server goes to."""
    epoch: int
    hasten: bool = False
    """Whether the guest pauses until it has moved."""


class StopMigrationArguments(Struct, frozen=True):
    server_id: str
    epoch: int


class SnapshotArguments(Struct, frozen=True):
    spec: SnapshotSpec
    epoch: int


class CacheArguments(Struct, frozen=True):
    images: tuple[SpecImage, ...]


class ServerArguments(Struct, frozen=True):
    server_id: str


class ReleaseArguments(Struct, frozen=True):
    server_id: str
    epoch: int


class ConsoleLogArguments(Struct, frozen=True):
    server_id: str
    length_lines: int | None
    """None: all that is kept."""


class ConsoleAddressArguments(Struct, frozen=True):
    server_id: str
    kind: ConsoleKind


class PasswordArguments(Struct, frozen=True):
    server_id: str
    user: str
    """A user of the guest's operating system."""
    password: str


ENSURE_SERVER = Call("ensure_server", EnsureArguments, ServerObservation)
ENSURE_MIGRATION = Call("ensure_migration", MigrationArguments, ServerObservation)
STOP_MIGRATION = Call("stop_migration", StopMigrationArguments, ServerObservation)
ENSURE_SNAPSHOT = Call("ensure_snapshot", SnapshotArguments, SnapshotObservation)
OBSERVE_SERVER = Call("observe_server", ServerArguments, ServerObservation)
RELEASE_SERVER = Call("release_server", ReleaseArguments, type(None))
CACHE_IMAGES = Call("cache_images", CacheArguments, type(None))
CONSOLE_LOG = Call("console_log", ConsoleLogArguments, str)
CONSOLE_ADDRESS = Call("console_address", ConsoleAddressArguments, ConsoleAddress)
INTERRUPT = Call("interrupt", ServerArguments, type(None))
SET_ADMIN_PASSWORD = Call("set_admin_password", PasswordArguments, type(None))
DIAGNOSTICS = Call("diagnostics", ServerArguments, ServerDiagnostics)
UPTIME = Call("uptime", NoArguments, str)
