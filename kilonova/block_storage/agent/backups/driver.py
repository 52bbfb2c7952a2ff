"""The protocol of what keeps backups. Every call may be repeated; what takes long answers how far it is."""

from typing import Protocol

from kilonova.block_storage.agent.backups.contract import BackupObservation, BackupSpec, RestoreArguments
from kilonova.block_storage.agent.spec import Observation
from kilonova.kit.connectors import Connection


class BackupDriver(Protocol):
    """Failures are HostErrors."""

    async def ensure_backup(self, spec: BackupSpec, connection: Connection, epoch: int) -> BackupObservation:
        """Stores a volume's content. What was stored before a break is not stored again. A failure is raised once.

        Raises HostError, StaleEpoch.
        """
        ...

    async def find_backup(self, backup_id: str, container: str) -> BackupObservation:
        """Returns what there is of a backup that is whole. Raises HostError where there is none."""
        ...

    async def release_backup(self, backup_id: str, container: str, epoch: int) -> Observation:
        """Removes a backup, half made or whole; ok when there is none. Raises HostError, StaleEpoch."""
        ...

    async def restore_volume(self, asked: RestoreArguments) -> Observation:
        """Writes a backup's content to a volume; what does not have its checksum is not written. A failure is raised
        once.

        Raises HostError, StaleEpoch.
        """
        ...

    async def stop_restore(self, volume_id: str, epoch: int) -> None:
        """Ends a restore to a volume; ok when there is none. Raises HostError, StaleEpoch."""
        ...

    async def prepare(self) -> None:
        """Makes sure that the store can be reached. Raises HostError."""
        ...
