"""The driver `lvm`: each volume is a logical volume, and hosts reach it by a target of its attachment.

A volume is `volume-ID`. On the way there it is `volume-ID.part`, whose extents hold what others have written to them
before, and `volume-ID.zero`, which reads as zeros. A snapshot is `_snapshot-ID`, for LVM keeps `snapshot` for itself.
What fills a device is a job, which an agent that was restarted finds again.
"""

import asyncio
import contextlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kilonova.block_storage.agent.drivers.images import Images, kind_of
from kilonova.block_storage.agent.drivers.lvm.devices import Devices, MappedDevices, Windows
from kilonova.block_storage.agent.drivers.lvm.exports import UNIT, Export, Exports, Targets
from kilonova.block_storage.agent.drivers.lvm.volume_group import LogicalVolume, Space, VolumeGroup
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
from kilonova.kit.connectors import Chap, Connection, IscsiConnection
from kilonova.kit.disks import qemu_img
from kilonova.kit.disks.confinement import check_reachable, qemu_account
from kilonova.kit.disks.downloads import FetchImage
from kilonova.kit.host_commands import Command, HostError
from kilonova.kit.log import logger

log = logger(__name__)

DONE = Observation(True)
COMMANDS = {"lvs": "lvm2", "losetup": "mount", "blkdiscard": "util-linux", "qemu-img": "qemu-utils"}
"""Command → the Debian package that has it."""
ZERO_FROM = "zero_from_"
"""The beginning of the tag that says from which byte on a logical volume has yet to be overwritten."""
WIPE_TIMEOUT_SECONDS = 6 * 3600.0


@dataclass(frozen=True, kw_only=True)
class LvmOptions:
    directory: Path
    """Holds the records, exports and images of this back end."""
    group: VolumeGroup
    portal: str
    """`address:port` at which the targets are reached."""
    target_prefix: str = "iqn.2010-10.org.openstack:"
    backend_name: str = "lvm"
    wipes: bool = True
    """Whether extents are overwritten with zeros before a volume shows them."""
    reserved_percentage: int = 0
    max_over_subscription_ratio: str = "20.0"


@dataclass
class LvmDriver:
    options: LvmOptions
    targets: Targets
    fetch: FetchImage
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Volume id → held while it is worked on."""

    def __post_init__(self) -> None:
        directory = self.options.directory
        self._group = self.options.group
        self._devices: Devices = MappedDevices(self._group) if self._group.has_mapper else Windows(self._group)
        self._records = Records(directory / ".records")
        self._jobs = Jobs(directory / ".jobs")
        self._exports = Exports(directory / ".exports", self.options.target_prefix)
        self._images = Images(directory, self.fetch, self._complaining)

    def prepare(self) -> None:
        """Makes the directory; only for the start of an agent. Raises HostError."""
        directory = self.options.directory
        for command, package in COMMANDS.items():
            if shutil.which(command) is None:
                raise HostError(f"The command {command} is not installed on this host: it is in {package}.")
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o711)
            check_reachable(directory, qemu_account())
            self._images.discard_partial()
        except OSError as error:
            raise HostError(f"Records cannot be kept in {directory}: {error.strerror}.") from error
        self._records.sweep()

    async def close(self) -> None:
        await self._images.close()

    async def pools(self) -> Sequence[PoolStats]:
        options = self.options
        try:
            space, trouble = await self._group.space(), ""
        except HostError as error:
            log.warning("the volume group cannot be read", group=self._group.name, reason=error.reason)
            space, trouble = Space(0, 0), error.reason
        return [
            PoolStats(
                pool_name=options.backend_name,
                volume_backend_name=options.backend_name,
                storage_protocol="iSCSI",
                total_capacity_gb=round(space.total_bytes / GIB, 2),
                free_capacity_gb=round(space.free_bytes / GIB, 2),
                reserved_percentage=options.reserved_percentage,
                max_over_subscription_ratio=options.max_over_subscription_ratio,
                thin_provisioning_support=bool(self._group.thin_pool),
                thick_provisioning_support=not self._group.thin_pool,
                backend_state="down" if trouble else "up",
                trouble=trouble,
            )
        ]

    # --- connections -------------------------------------------------------------------------------------------------

    async def connection_to(self, volume_id: str, attachment_id: str) -> Connection:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                volume = await self._known(volume_id)
                if _unwiped(volume):
                    raise HostError(f"Volume {volume_id} is being extended: what is new of it may not be seen yet.")
                is_known = self._exports.is_known(attachment_id)
                export = self._exports.ensure(attachment_id, volume_id)
                try:
                    await self.targets.ensure(export, await self._devices.show(volume))
                except HostError:
                    if not is_known:
                        # The caller takes it for refused: it must not come to be when the targets are kept up.
                        self._exports.remove(export)
                        await self._hide(volume_id, volume)
                    raise
        chap = Chap(username=export.username, secret=export.secret)
        return IscsiConnection(portals=(self.options.portal,), target=export.target, unit=UNIT, chap=chap)

    async def disconnect(self, volume_id: str, attachment_id: str | None) -> None:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                await self._withdraw(volume_id, attachment_id)
                volume = await self._group.find(_name(volume_id))
                if volume is not None:
                    await self._hide(volume_id, volume)

    async def _withdraw(self, volume_id: str, attachment_id: str | None) -> None:
        for export in self._exports.of_volume(volume_id):
            if attachment_id in (None, export.attachment_id):
                await self.targets.remove(export)
                self._exports.remove(export)

    async def keep_up(self) -> None:
        """Makes the targets again that are lost when what serves them has been restarted."""
        exports = self._exports.find_all()
        there = await self.targets.find_all() if exports else set()
        for export in exports:
            if export.target not in there:
                await self._restore(export)

    async def _restore(self, export: Export) -> None:
        async with self._locks[export.volume_id]:
            volume = await self._group.find(_name(export.volume_id))
            if volume is None:
                log.warning("an exported volume is not in its group", volume=export.volume_id, group=self._group.name)
            elif export in self._exports.of_volume(export.volume_id) and not _unwiped(volume):
                await self.targets.ensure(export, await self._devices.show(volume))
                log.info("made a target again", target=export.target)

    async def _hide(self, volume_id: str, volume: LogicalVolume) -> None:
        """Takes a volume's device away unless somebody has it: an attachment, or a job."""
        is_read = any(job.is_running and volume_id in job.name for job in await self._jobs.list_all())
        if not is_read and not self._exports.of_volume(volume_id):
            await self._devices.hide(volume)

    # --- volumes -----------------------------------------------------------------------------------------------------

    async def ensure_volume(self, spec: VolumeSpec, epoch: int) -> Observation:
        async with self._locks[spec.id]:
            with self._complaining(spec.id):
                self._records.admit(spec.id, epoch)
                volumes = await self._group.find_all()
                if _name(spec.id) in volumes:
                    await self._forget_way(spec.id)
                    return DONE
                try:
                    return await self._made(spec, volumes)
                except HostError:
                    await self._discard(spec.id)
                    raise

    async def _made(self, spec: VolumeSpec, volumes: dict[str, LogicalVolume]) -> Observation:
        if isinstance(spec.source, ImageSource):
            fetched = await self._images.ensure(spec, spec.source)
            if not fetched.is_done:
                return fetched
        source = self._source_of(spec, volumes)
        part, zero = _name(spec.id, ".part"), _name(spec.id, ".zero")
        if zero not in volumes:
            if part not in volumes:
                await self._group.create(part, spec.size_gib * GIB)
            wiped = await self._wiped(spec.id, part, 0)
            if not wiped.is_done:
                return wiped
            # A blank volume is whole now; each command of LVM takes tens of milliseconds.
            await self._group.rename(part, _name(spec.id) if isinstance(spec.source, Blank) else zero)
        if not isinstance(spec.source, Blank):
            copied = await self._copied(spec, source, await self._existing(zero))
            if not copied.is_done:
                return copied
            await self._group.rename(zero, _name(spec.id))
        await self._forget_way(spec.id)
        return DONE

    def _source_of(self, spec: VolumeSpec, volumes: dict[str, LogicalVolume]) -> LogicalVolume | None:
        """Returns the logical volume to copy from. Raises HostError for one that is missing, or too large."""
        match spec.source:
            case VolumeSource(volume_id=volume_id):
                source = self._require(volumes.get(_name(volume_id)), f"volume {volume_id}")
            case SnapshotSource(snapshot_id=snapshot_id):
                source = self._require(volumes.get(_snapshot(snapshot_id)), f"snapshot {snapshot_id}")
            case _:
                return None
        if source.size_bytes > spec.size_gib * GIB:
            raise HostError(
                f"The source has {source.size_bytes} bytes, more than the {spec.size_gib} GiB of the volume."
            )
        return source

    async def _copied(self, spec: VolumeSpec, source: LogicalVolume | None, volume: LogicalVolume) -> Observation:
        """Starts the copy into a volume on its way, or finds it. Raises HostError when it failed."""
        source_id = getattr(spec.source, "volume_id", "an image")
        name = f"copy from {source_id} to {spec.id}"
        is_blank = self.options.wipes or bool(self._group.thin_pool)
        # Whoever takes the source's device away looks for the job under the same lock.
        async with self._locks[source_id] if source is not None else contextlib.nullcontext():
            if await self._jobs.observe(name) is None:
                if isinstance(spec.source, ImageSource):
                    path, kind = self._images.path(spec.id), kind_of(spec.source)
                else:
                    path, kind = await self._devices.show(self._require(source, "source")), "raw"
                device = await self._devices.show(volume)
                await self._jobs.start(name, await qemu_img.filling(path, kind, device, is_blank=is_blank))
            ended = await self._ended(name, "copying")
            if ended.is_done and source is not None:
                await self._hide(source_id, source)
            return ended

    async def _wiped(self, volume_id: str, name: str, start_bytes: int) -> Observation:
        """Overwrites a logical volume from a byte on, unless that is not needed. Raises HostError when it failed."""
        if not self.options.wipes or self._group.thin_pool:
            return DONE
        job = f"wipe from {start_bytes} of {volume_id}"
        if await self._jobs.observe(job) is None:
            device = await self._devices.show(await self._existing(name))
            command: list[str | Path] = ["blkdiscard", "--zeroout", "--offset", str(start_bytes), device]
            await self._jobs.start(job, Command(command, WIPE_TIMEOUT_SECONDS))
        return await self._ended(job, "overwriting the room with zeros")

    async def _ended(self, name: str, progress: str) -> Observation:
        """Returns whether a job has ended, and forgets one that has. Raises HostError when it failed."""
        job = await self._jobs.observe(name)
        if job is None or job.is_running:
            return Observation(False, progress)
        await self._jobs.clean(name)
        if job.failure:
            raise HostError(job.failure)
        return DONE

    async def release_volume(self, volume_id: str, epoch: int) -> None:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(volume_id, epoch)
                await self._withdraw(volume_id, None)
                await self._discard(volume_id)
                self._records.bury(volume_id, epoch)
        self._locks.pop(volume_id, None)

    async def _discard(self, volume_id: str) -> None:
        """Removes a volume, half made or whole, and what is on the way to it."""
        for job in await self._jobs.list_all():
            if job.name.endswith((f" to {volume_id}", f" of {volume_id}")):
                await self._jobs.cancel(job.name)
        await self._images.release(volume_id)
        volumes = await self._group.find_all()
        for ending in (".part", ".zero", ""):
            name = _name(volume_id, ending)
            if name in volumes:
                await self._devices.hide(volumes[name])
                await self._group.remove(name)

    async def _forget_way(self, volume_id: str) -> None:
        """Takes away what a volume that is whole does not need: its image, and devices that nothing reads any more."""
        await self._images.release(volume_id)
        for job in await self._jobs.list_all():
            if job.name.endswith(f" to {volume_id}"):
                await self._jobs.clean(job.name)
        await self._hide(volume_id, await self._existing(_name(volume_id)))

    async def extend_volume(self, volume_id: str, size_gib: int, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(volume_id, epoch)
                volume = await self._known(volume_id)
                if volume.size_bytes < size_gib * GIB:
                    # The tag comes first: whoever dies behind it leaves no extents that show what others have written.
                    await self._group.tag(volume.name, f"{ZERO_FROM}{volume.size_bytes}")
                    # Nobody sees the new end before it is overwritten; and a device that is open has a fixed size.
                    for export in self._exports.of_volume(volume_id):
                        await self.targets.remove(export)
                    await self._devices.hide(volume)
                    await self._group.extend(volume.name, size_gib * GIB)
                return await self._wiped_behind(volume_id)

    async def _wiped_behind(self, volume_id: str) -> Observation:
        volume = await self._known(volume_id)
        for start_bytes in sorted(_unwiped(volume)):
            wiped = await self._wiped(volume_id, volume.name, start_bytes)
            if not wiped.is_done:
                return wiped
            await self._group.untag(volume.name, f"{ZERO_FROM}{start_bytes}")
        for export in self._exports.of_volume(volume_id):
            await self.targets.ensure(export, await self._devices.show(volume))
        await self._hide(volume_id, volume)
        return DONE

    # --- snapshots ---------------------------------------------------------------------------------------------------

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(snapshot_id, epoch)
                volume = await self._known(volume_id)
                self._require_mapper()
                if await self._group.find(_snapshot(snapshot_id)) is None:
                    await self._group.snapshot(volume.name, _snapshot(snapshot_id), volume.size_bytes)
                return DONE

    async def release_snapshot(self, snapshot_id: str, volume_id: str, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(snapshot_id, epoch)
                snapshot = await self._group.find(_snapshot(snapshot_id))
                if snapshot is not None:
                    await self._devices.hide(snapshot)
                    await self._group.remove(snapshot.name)
                self._records.bury(snapshot_id, epoch)
                return DONE

    async def revert_volume(self, volume_id: str, snapshot_id: str, epoch: int) -> Observation:
        async with self._locks[volume_id]:
            with self._complaining(volume_id):
                self._records.admit(volume_id, epoch)
                volume = await self._known(volume_id)
                self._require_mapper()
                snapshot = self._require(await self._group.find(_snapshot(snapshot_id)), f"snapshot {snapshot_id}")
                name = f"revert from {snapshot_id} to {volume_id}"
                if await self._jobs.observe(name) is None:
                    paths = [await self._devices.show(each) for each in (snapshot, volume)]
                    await self._jobs.start(name, await qemu_img.filling(paths[0], "raw", paths[1], is_blank=False))
                ended = await self._ended(name, "copying")
                if ended.is_done:
                    await self._hide(volume_id, volume)
                return ended

    def _require_mapper(self) -> None:
        if not self._group.has_mapper:
            raise HostError("This host's kernel has no device-mapper: logical volumes have no snapshots here.")

    # --- names -------------------------------------------------------------------------------------------------------

    async def _known(self, volume_id: str) -> LogicalVolume:
        """Raises HostError where there is no such volume."""
        return self._require(await self._group.find(_name(volume_id)), f"volume {volume_id}")

    async def _existing(self, name: str) -> LogicalVolume:
        return self._require(await self._group.find(name), f"logical volume {name}")

    def _require(self, volume: LogicalVolume | None, words: str) -> LogicalVolume:
        if volume is None:
            raise HostError(f"There is no {words} here.")
        return volume

    @contextlib.contextmanager
    def _complaining(self, volume_id: str) -> Iterator[None]:
        """Turns what the file system refuses into a HostError that names it."""
        try:
            yield
        except OSError as error:
            directory = self.options.directory
            raise HostError(f"Volume {volume_id}, {directory}: {error.strerror or error}.") from error


def _unwiped(volume: LogicalVolume) -> set[int]:
    """Returns the bytes from which on extensions are not overwritten yet; the tag of one that LVM refused is idle."""
    starts = {int(tag.removeprefix(ZERO_FROM)) for tag in volume.tags if tag.startswith(ZERO_FROM)}
    return {start for start in starts if start < volume.size_bytes}


def _name(volume_id: str, ending: str = "") -> str:
    check_subject(volume_id)
    return f"volume-{volume_id}{ending}"


def _snapshot(snapshot_id: str) -> str:
    check_subject(snapshot_id)
    return f"_snapshot-{snapshot_id}"
