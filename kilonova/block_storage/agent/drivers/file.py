"""The driver `file`: each volume is a file of this host, or of a file system that it shares with others.

A volume is `volume-ID`, in the format its record names. On the way there it is `volume-ID.part`; the image it is made
of is `image-ID.part` while it is downloaded and `image-ID` when it is whole and inspected. A snapshot of a qcow2 volume
lies inside the volume's file, under its own id; one of a raw volume is a copy, `snapshot-ID`. Copies are jobs, which an
agent that was restarted finds again.
"""

import asyncio
import contextlib
import errno
import os
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kilonova.block_storage.agent.drivers.images import Images, kind_of
from kilonova.block_storage.agent.drivers.records import Records, check_subject
from kilonova.block_storage.agent.spec import (
    GIB,
    Blank,
    ImageSource,
    Observation,
    PoolStats,
    SnapshotSource,
    VolumeSource,
    VolumeSpec,
)
from kilonova.kit.agents import Jobs
from kilonova.kit.connectors import Connection, FileConnection
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.disks import blank, qemu_img
from kilonova.kit.disks.confinement import check_reachable, qemu_account
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.host_commands import Command, HostError
from kilonova.kit.log import logger

log = logger(__name__)

POOL = "file"
DONE = Observation(True)


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    directory: Path
    disk_format: DiskFormat = "qcow2"
    """The format of new volumes; those there are keep theirs."""
    is_sparse: bool = True
    """Whether raw volumes take no room before they are written to."""
    backend_name: str = "file"
    reserved_percentage: int = 0
    max_over_subscription_ratio: str = "20.0"


@dataclass(frozen=True)
class Copy:
    """A copy that a job makes: `partial` becomes `target` when it is whole."""

    job: str
    partial: Path
    target: Path
    command: Callable[[], Awaitable[Command]]
    """Makes an empty `partial`, and returns what fills it."""
    settle: Callable[[], Awaitable[None]]
    """Does what is left to do with a whole `partial`."""


@dataclass
class FileDriver:
    options: FileOptions
    fetch: FetchImage
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Volume id → held while its file is worked on."""

    def __post_init__(self) -> None:
        self._directory = self.options.directory
        self._records = Records(self._directory / ".records")
        self._jobs = Jobs(self._directory / ".jobs")
        self._images = Images(self._directory, self.fetch, self._complaining)

    def prepare(self) -> None:
        """Makes the directory; only for the start of an agent. Raises HostError."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o711)
            check_reachable(self._directory, qemu_account())
            self._images.discard_partial()
        except OSError as error:
            raise HostError(f"Volumes cannot be kept in {self._directory}: {error.strerror}.") from error
        self._records.sweep()

    async def close(self) -> None:
        await self._images.close()

    async def pools(self) -> Sequence[PoolStats]:
        options = self.options
        total, free, trouble = await asyncio.to_thread(self._room)
        return [
            PoolStats(
                pool_name=POOL,
                volume_backend_name=options.backend_name,
                storage_protocol="file",
                total_capacity_gb=round(total / GIB, 2),
                free_capacity_gb=round(free / GIB, 2),
                reserved_percentage=options.reserved_percentage,
                max_over_subscription_ratio=options.max_over_subscription_ratio,
                thin_provisioning_support=options.is_sparse,
                thick_provisioning_support=not options.is_sparse,
                backend_state="down" if trouble else "up",
                trouble=trouble,
            )
        ]

    def _room(self) -> tuple[int, int, str]:
        """Returns the bytes there are and the free ones, and why nothing can be written; empty: it can."""
        try:
            usage = shutil.disk_usage(self._directory)
        except OSError as error:
            return 0, 0, f"{self._directory}: {error.strerror}."
        is_writable = os.access(self._directory, os.W_OK)
        return usage.total, usage.free, "" if is_writable else f"{self._directory} cannot be written to."

    async def connection_to(self, volume_id: str, attachment_id: str) -> Connection:
        path, disk_format = self._known(volume_id)
        return FileConnection(path=str(path), disk_format=disk_format)

    async def disconnect(self, volume_id: str, attachment_id: str | None) -> None:
        """A file needs no farewell."""

    async def keep_up(self) -> None:
        """A file is not lost."""

    # --- volumes -----------------------------------------------------------------------------------------------------

    async def ensure_volume(self, spec: VolumeSpec, epoch: int) -> Observation:
        async with self._locks[spec.id]:
            with self._complaining(spec.id):
                record = self._records.admit(spec.id, epoch, disk_format=self.options.disk_format)
                disk_format = record.disk_format or self.options.disk_format
                if self._volume(spec.id).exists():
                    await self._forget_way(spec.id)
                    return DONE
                if isinstance(spec.source, Blank) and disk_format == "raw" and not self.options.is_sparse:
                    return await self._make_full(spec)
                if isinstance(spec.source, Blank):
                    self._make_blank(spec, disk_format)
                    return DONE
                return await self._make_from(spec, disk_format)

    def _make_blank(self, spec: VolumeSpec, disk_format: DiskFormat) -> None:
        target = self._volume(spec.id)
        partial = _part(target)
        partial.unlink(missing_ok=True)
        write = blank.write_qcow2 if disk_format == "qcow2" else blank.write_raw
        write(partial, spec.size_gib * GIB)
        partial.replace(target)

    async def _make_full(self, spec: VolumeSpec) -> Observation:
        """Makes a volume whose room is taken from the start."""
        target = self._volume(spec.id)
        partial = _part(target)

        async def command() -> Command:
            blank.write_raw(partial, spec.size_gib * GIB)
            fill = ["fallocate", "--posix", "--length", str(spec.size_gib * GIB), str(partial)]
            return Command(fill, qemu_img.CONVERT_TIMEOUT_SECONDS)

        async def settle() -> None:
            """It has its size."""

        return await self._copied(Copy(f"allocate to {spec.id}", partial, target, command, settle))

    async def _make_from(self, spec: VolumeSpec, disk_format: DiskFormat) -> Observation:
        source = spec.source
        if isinstance(source, ImageSource):
            fetched = await self._images.ensure(spec, source)
            if not fetched.is_done:
                return fetched
        target = self._volume(spec.id)
        partial = _part(target)

        async def settle() -> None:
            await self._fit(partial, disk_format, spec)

        async def command() -> Command:
            return await self._filling(spec, partial, disk_format)

        done = await self._copied(Copy(self._job_of(spec), partial, target, command, settle))
        if done.is_done:
            await self._forget_way(spec.id)
        return done

    async def _filling(self, spec: VolumeSpec, partial: Path, disk_format: DiskFormat) -> Command:
        """Returns the command that writes a source's content to a volume on its way."""
        match spec.source:
            case ImageSource() as source:
                image = self._images.path(spec.id)
                return await qemu_img.flattening(
                    image, kind_of(source), None, partial, disk_format, disk_bytes=spec.size_gib * GIB
                )
            case VolumeSource(volume_id=volume_id):
                path, kind = self._known(volume_id)
                return await qemu_img.flattening(path, kind, None, partial, disk_format)
            case SnapshotSource(snapshot_id=snapshot_id, volume_id=volume_id):
                path, kind = self._known(volume_id)
                if kind == "raw":
                    return await qemu_img.flattening(self._snapshot(snapshot_id), kind, None, partial, disk_format)
                return await qemu_img.flattening(path, kind, None, partial, disk_format, snapshot=snapshot_id)
            case Blank():
                raise AssertionError("a blank volume is made at once")

    async def _fit(self, partial: Path, disk_format: DiskFormat, spec: VolumeSpec) -> None:
        """Gives a copy the volume's size. A snapshot is copied as large as its volume has become since: what lies
        beyond its own size is empty."""
        wanted_bytes = spec.size_gib * GIB
        size_bytes = (await qemu_img.describe(partial, disk_format)).virtual_size
        if size_bytes > wanted_bytes:
            if not isinstance(spec.source, SnapshotSource):
                partial.unlink()
                raise HostError(f"The source has {size_bytes} bytes, more than the {spec.size_gib} GiB of the volume.")
            await qemu_img.cut(partial, disk_format, wanted_bytes)
        elif size_bytes < wanted_bytes:
            await qemu_img.grow(partial, disk_format, None, wanted_bytes)

    async def release_volume(self, volume_id: str, epoch: int) -> None:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(volume_id, epoch)
                await self._images.release(volume_id)
                for job in await self._jobs.list_all():
                    if job.name.endswith(f" to {volume_id}"):
                        await self._jobs.cancel(job.name)
                target = self._volume(volume_id)
                for path in (target, _part(target)):
                    path.unlink(missing_ok=True)
                self._records.bury(volume_id, epoch)
        self._locks.pop(volume_id, None)

    async def extend_volume(self, volume_id: str, size_gib: int, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(volume_id, epoch)
                path, disk_format = self._known(volume_id)
                size_bytes = size_gib * GIB
                if (await qemu_img.describe(path, disk_format)).virtual_size < size_bytes:
                    await qemu_img.grow(path, disk_format, None, size_bytes, file_bytes=qemu_img.WITH_SNAPSHOTS_BYTES)
                return DONE

    # --- snapshots ---------------------------------------------------------------------------------------------------

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(snapshot_id, epoch)
                path, disk_format = self._known(volume_id)
                if disk_format == "raw":
                    return await self._copied(self._raw_copy("snapshot", path, self._snapshot(snapshot_id)))
                if snapshot_id in await self._snapshots_in(path):
                    return DONE
                if await self._is_read(volume_id):
                    return Observation(False, "waiting for a copy of the volume")
                await qemu_img.act_on_snapshot(path, "create", snapshot_id)
                return DONE

    async def release_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(snapshot_id, epoch)
                copy, path = self._snapshot(snapshot_id), self._volume(volume_id)
                await self._jobs.cancel(_job("snapshot", path, copy))
                for each in (copy, _part(copy)):
                    each.unlink(missing_ok=True)
                record = self._records.read(volume_id)
                is_inside = path.exists() and record is not None and record.disk_format == "qcow2"
                if is_inside and snapshot_id in await self._snapshots_in(path):
                    if await self._is_read(volume_id):
                        return Observation(False, "waiting for a copy of the volume")
                    await qemu_img.act_on_snapshot(path, "delete", snapshot_id)
                self._records.bury(snapshot_id, epoch)
                return DONE

    async def revert_volume(self, volume_id: str, snapshot_id: str, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(volume_id, epoch)
                path, disk_format = self._known(volume_id)
                if disk_format == "raw":
                    return await self._copied(self._raw_copy("revert", self._snapshot(snapshot_id), path))
                await qemu_img.act_on_snapshot(path, "apply", snapshot_id)
                return DONE

    async def _snapshots_in(self, path: Path) -> set[str]:
        return {each.name for each in (await qemu_img.describe(path, "qcow2")).snapshots}

    async def _is_read(self, volume_id: str) -> bool:
        """Whether a copy of the volume, or of a snapshot inside it, is being made: QEMU keeps its file locked then."""
        name = f"from {volume_id} "
        return any(job.is_running and name in job.name for job in await self._jobs.list_all())

    def _raw_copy(self, purpose: str, source: Path, target: Path) -> Copy:
        partial = _part(target)

        async def command() -> Command:
            if not source.exists():
                raise HostError(f"{source.name} is not here.")
            return await qemu_img.flattening(source, "raw", None, partial, "raw")

        async def settle() -> None:
            """The copy is as its source."""

        return Copy(_job(purpose, source, target), partial, target, command, settle)

    # --- copies -------------------------------------------------------------------------------------------------------

    async def _copied(self, copy: Copy) -> Observation:
        """Starts a copy, or finds it under way; done once its target is there. Raises HostError when it failed."""
        if not copy.job.startswith("revert") and copy.target.exists():
            await self._jobs.clean(copy.job)
            return DONE
        job = await self._jobs.observe(copy.job)
        if job is None:
            copy.partial.unlink(missing_ok=True)
            await self._jobs.start(copy.job, await copy.command())
            return Observation(False, "copying")
        if job.is_running:
            return Observation(False, "copying")
        try:
            if job.failure:
                raise HostError(job.failure)
            if copy.partial.exists():
                await copy.settle()
                copy.partial.replace(copy.target)
        finally:
            copy.partial.unlink(missing_ok=True)
            await self._jobs.clean(copy.job)
        return DONE

    async def _forget_way(self, volume_id: str) -> None:
        """Removes what a volume that is whole does not need any more."""
        await self._images.release(volume_id)
        for job in await self._jobs.list_all():
            if job.name.endswith(f" to {volume_id}"):
                await self._jobs.clean(job.name)

    def _job_of(self, spec: VolumeSpec) -> str:
        source_id = getattr(spec.source, "volume_id", "an image")
        return f"copy from {source_id} to {spec.id}"

    # --- files -------------------------------------------------------------------------------------------------------

    def _volume(self, volume_id: str) -> Path:
        check_subject(volume_id)
        return self._directory / f"volume-{volume_id}"

    def _snapshot(self, snapshot_id: str) -> Path:
        check_subject(snapshot_id)
        return self._directory / f"snapshot-{snapshot_id}"

    def keeps(self, volume_id: str) -> bool:
        """Whether a volume is here, or on its way. Raises HostError."""
        record = self._records.read(volume_id)
        return record is not None and record.state == "kept"

    def _known(self, volume_id: str) -> tuple[Path, DiskFormat]:
        """Returns a volume's file and format. Raises HostError where there is none."""
        path, record = self._volume(volume_id), self._records.read(volume_id)
        if record is None or record.disk_format is None or not path.exists():
            raise HostError(f"There is no volume {volume_id} here.")
        return path, record.disk_format

    @contextlib.contextmanager
    def _complaining(self, volume_id: str) -> Iterator[None]:
        """Turns what the file system refuses into a HostError that names it."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise HostError(f"The file system of {self._directory} is full.") from error
            raise HostError(f"Volume {volume_id} in {self._directory}: {error.strerror or error}.") from error


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _job(purpose: str, source: Path, target: Path) -> str:
    return f"{purpose} from {source.name.partition('-')[2]} to {target.name.partition('-')[2]}"
