"""Every call that a cinder-backup answers, with its types.

A call that carries an epoch is refused (StaleEpoch) when a newer one was obeyed already for that subject.
"""

from msgspec import Struct

from kilonova.block_storage.agent.spec import Observation
from kilonova.kit.agents import Call
from kilonova.kit.connectors import Connection


class BackupSpec(Struct, frozen=True, kw_only=True):
    id: str
    container: str
    size_gib: int
    parent_id: str | None = None
    """The backup whose chunks are not stored again; it is in the same container."""


class BackupObservation(Struct, frozen=True):
    is_done: bool
    progress: str = ""
    """A phrase such as `42 %`, while it is not done."""
    object_count: int = 0
    """The number of objects that it has stored, once it is done."""


class EnsureBackupArguments(Struct, frozen=True):
    spec: BackupSpec
    connection: Connection
    """The way to the volume that is read."""
    epoch: int


class FindBackupArguments(Struct, frozen=True):
    backup_id: str
    container: str


class ReleaseBackupArguments(Struct, frozen=True):
    backup_id: str
    container: str
    epoch: int


class RestoreArguments(Struct, frozen=True):
    backup_id: str
    container: str
    volume_id: str
    connection: Connection
    """The way to the volume that is written."""
    task_id: str
    """Tells this restore from those before it to the same volume."""
    epoch: int


class StopRestoreArguments(Struct, frozen=True):
    volume_id: str
    epoch: int


ENSURE_BACKUP = Call("ensure_backup", EnsureBackupArguments, BackupObservation)
FIND_BACKUP = Call("find_backup", FindBackupArguments, BackupObservation)
RELEASE_BACKUP = Call("release_backup", ReleaseBackupArguments, Observation)
RESTORE_VOLUME = Call("restore_volume", RestoreArguments, Observation)
STOP_RESTORE = Call("stop_restore", StopRestoreArguments, type(None))
