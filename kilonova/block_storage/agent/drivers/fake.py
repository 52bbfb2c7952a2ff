"""A back end without disks: obeys the same contract as the real ones, for tests and for `kilonova up --fake`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kilonova.block_storage.agent.driver import StaleEpoch
from kilonova.block_storage.agent.drivers.records import check_subject
from kilonova.block_storage.agent.spec import (
    Blank,
    ImageSource,
    Observation,
    PoolStats,
    SnapshotSource,
    VolumeSource,
    VolumeSpec,
)
from kilonova.kit.connectors import Connection, FileConnection
from kilonova.kit.host_commands import HostError

DONE = Observation(True)


@dataclass
class FakeVolume:
    size_gib: int
    content: str = ""
    """The data that a reader would find; empty stands for zeros."""
    snapshots: dict[str, str] = field(default_factory=dict)
    """Snapshot id → the content then."""


@dataclass
class FakeBackend:
    """The volumes of a back end, which outlive its driver. `failures` are raised by the next calls."""

    total_gib: float = 1000.0
    volumes: dict[str, FakeVolume] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    """Names of copies that have begun."""
    attachments: dict[str, set[str]] = field(default_factory=dict)
    """Volume id → the attachments that reach it."""
    failures: list[str] = field(default_factory=list)
    is_broken: str = ""
    """Why nothing can be made here; what there is can be removed."""
    backend_name: str = "fake"
    pool_name: str = "fake"
    storage_protocol: str = "file"
    reserved_percentage: int = 0
    max_over_subscription_ratio: str = "20.0"
    directory: Path | None = None
    """The place in which simulated hosts find volumes: an empty file for each that one of them is connected to."""

    def path_of(self, volume_id: str) -> Path:
        return (self.directory or Path("/fake")) / f"volume-{volume_id}"


class FakeDriver:
    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend

    async def close(self) -> None:
        """Nothing runs here."""

    async def pools(self) -> Sequence[PoolStats]:
        backend = self.backend
        return [
            PoolStats(
                pool_name=backend.pool_name,
                volume_backend_name=backend.backend_name,
                storage_protocol=backend.storage_protocol,
                total_capacity_gb=backend.total_gib,
                free_capacity_gb=backend.total_gib,
                reserved_percentage=backend.reserved_percentage,
                max_over_subscription_ratio=backend.max_over_subscription_ratio,
            )
        ]

    async def connection_to(self, volume_id: str, attachment_id: str) -> Connection:
        self._known(volume_id)
        check_subject(attachment_id)
        self.backend.attachments.setdefault(volume_id, set()).add(attachment_id)
        path = self.backend.path_of(volume_id)
        if self.backend.directory is not None:
            self.backend.directory.mkdir(parents=True, exist_ok=True)
            path.touch()
        return FileConnection(path=str(path), disk_format="raw")

    async def disconnect(self, volume_id: str, attachment_id: str | None) -> None:
        held = self.backend.attachments.pop(volume_id, set())
        if attachment_id is not None and held - {attachment_id}:
            self.backend.attachments[volume_id] = held - {attachment_id}

    async def keep_up(self) -> None:
        """Nothing is lost here."""

    async def ensure_volume(self, spec: VolumeSpec, epoch: int) -> Observation:
        await self._begin(spec.id, epoch)
        volumes = self.backend.volumes
        if spec.id in volumes:
            return DONE
        self._require_whole()
        if not isinstance(spec.source, Blank) and not self._is_copied(spec.id):
            return Observation(False, "copying")
        match spec.source:
            case ImageSource(image_id=image_id):
                content = f"image {image_id}"
            case VolumeSource(volume_id=volume_id):
                content = self._known(volume_id).content
            case SnapshotSource(snapshot_id=snapshot_id, volume_id=volume_id):
                content = self._known_snapshot(volume_id, snapshot_id)
            case Blank():
                content = ""
        volumes[spec.id] = FakeVolume(spec.size_gib, content)
        return DONE

    async def release_volume(self, volume_id: str, epoch: int) -> None:
        await self._begin(volume_id, epoch)
        if self.backend.volumes.pop(volume_id, None) is not None and self.backend.directory is not None:
            self.backend.path_of(volume_id).unlink(missing_ok=True)
        self.backend.under_way.discard(volume_id)
        self.backend.attachments.pop(volume_id, None)

    async def extend_volume(self, volume_id: str, size_gib: int, epoch: int) -> Observation:
        await self._begin(volume_id, epoch)
        volume = self._known(volume_id)
        volume.size_gib = max(volume.size_gib, size_gib)
        return DONE

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        await self._begin(snapshot_id, epoch)
        volume = self._known(volume_id)
        self._require_whole()
        volume.snapshots.setdefault(snapshot_id, volume.content)
        return DONE

    async def release_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        await self._begin(snapshot_id, epoch)
        if volume_id in self.backend.volumes:
            self.backend.volumes[volume_id].snapshots.pop(snapshot_id, None)
        return DONE

    async def revert_volume(self, volume_id: str, snapshot_id: str, epoch: int) -> Observation:
        await self._begin(volume_id, epoch)
        self._known(volume_id).content = self._known_snapshot(volume_id, snapshot_id)
        return DONE

    async def _begin(self, subject_id: str, epoch: int) -> None:
        check_subject(subject_id)
        newest = self.backend.epochs.get(subject_id, 0)
        if epoch < newest:
            raise StaleEpoch(subject_id, epoch, newest)
        self.backend.epochs[subject_id] = epoch
        await asyncio.sleep(0)
        if self.backend.failures:
            raise HostError(self.backend.failures.pop(0))

    def _require_whole(self) -> None:
        if self.backend.is_broken:
            raise HostError(self.backend.is_broken)

    def _is_copied(self, volume_id: str) -> bool:
        """A copy is under way when it is first asked for, and whole the second time."""
        if volume_id in self.backend.under_way:
            self.backend.under_way.discard(volume_id)
            return True
        self.backend.under_way.add(volume_id)
        return False

    def _known(self, volume_id: str) -> FakeVolume:
        check_subject(volume_id)
        if volume_id not in self.backend.volumes:
            raise HostError(f"There is no volume {volume_id} here.")
        return self.backend.volumes[volume_id]

    def _known_snapshot(self, volume_id: str, snapshot_id: str) -> str:
        snapshots = self._known(volume_id).snapshots
        if snapshot_id not in snapshots:
            raise HostError(f"There is no snapshot {snapshot_id} here.")
        return snapshots[snapshot_id]
