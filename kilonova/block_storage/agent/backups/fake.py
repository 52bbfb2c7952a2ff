"""Keeps backups without disks: obeys the same contract as what keeps real ones, for tests and `kilonova up --fake`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kilonova.block_storage.agent.backups.contract import BackupObservation, BackupSpec, RestoreArguments
from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.block_storage.agent.drivers.fake import FakeVolume
from kilonova.block_storage.agent.drivers.records import check_subject
from kilonova.block_storage.agent.spec import Observation
from kilonova.kit.connectors import Connection, FileConnection
from kilonova.kit.host_commands import HostError

DONE = Observation(True)


@dataclass
class FakeStore:
    """The backups there are, which outlive their driver."""

    contents: dict[str, str] = field(default_factory=dict)
    """Backup id → the data that its volume had."""
    epochs: dict[str, int] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    is_broken: str = ""
    """Why nothing can be stored or read here; what there is can be removed."""


@dataclass
class FakeBackups:
    store: FakeStore
    find_volume: Callable[[Path], FakeVolume | None] = lambda _path: FakeVolume(0)
    """Returns the simulated volume at a path; None where there is none."""

    async def prepare(self) -> None:
        """There is nothing to reach."""

    async def ensure_backup(self, spec: BackupSpec, connection: Connection, epoch: int) -> BackupObservation:
        self._begin(spec.id, epoch)
        if spec.id in self.store.contents:
            return BackupObservation(True, object_count=1)
        if spec.parent_id is not None:
            self._known(spec.parent_id)
        volume = self._volume(connection)
        if not self._is_over(spec.id):
            return BackupObservation(False, "0 %")
        self._require_whole()
        self.store.contents[spec.id] = volume.content
        return BackupObservation(True, object_count=1)

    async def find_backup(self, backup_id: str, container: str) -> BackupObservation:
        self._known(backup_id)
        return BackupObservation(True, object_count=1)

    async def release_backup(self, backup_id: str, container: str, epoch: int) -> Observation:
        self._begin(backup_id, epoch)
        self.store.contents.pop(backup_id, None)
        self.store.under_way.discard(backup_id)
        return DONE

    async def restore_volume(self, asked: RestoreArguments) -> Observation:
        self._begin(asked.volume_id, asked.epoch)
        content, volume = self._known(asked.backup_id), self._volume(asked.connection)
        if not self._is_over(asked.task_id):
            return Observation(False, "0 %")
        self._require_whole()
        # Asked again, it says the same, until it is stopped.
        self.store.under_way.add(asked.task_id)
        volume.content = content
        return DONE

    async def stop_restore(self, volume_id: str, epoch: int) -> None:
        self._begin(volume_id, epoch)
        # Restores are known by their tasks: what is left of one is never asked for again.

    def _begin(self, subject_id: str, epoch: int) -> None:
        check_subject(subject_id)
        newest = self.store.epochs.get(subject_id, 0)
        if epoch < newest:
            raise StaleEpoch(subject_id, epoch, newest)
        self.store.epochs[subject_id] = epoch

    def _is_over(self, subject_id: str) -> bool:
        """Work is under way when it is first asked for, and over the second time."""
        if subject_id in self.store.under_way:
            self.store.under_way.discard(subject_id)
            return True
        self.store.under_way.add(subject_id)
        return False

    def _require_whole(self) -> None:
        if self.store.is_broken:
            raise HostError(self.store.is_broken)

    def _known(self, backup_id: str) -> str:
        if backup_id not in self.store.contents:
            raise HostError(f"There is no backup {backup_id} here.")
        return self.store.contents[backup_id]

    def _volume(self, connection: Connection) -> FakeVolume:
        found = self.find_volume(Path(connection.path)) if isinstance(connection, FileConnection) else None
        if found is None:
            raise HostError("The volume cannot be reached.")
        return found
