"""The disks of a server: the files and volumes behind them, and what a hypervisor has to open.

The rule: files in the server's directory come and go with a start of its guest; a volume is plugged into a running one.
A volume is connected before any guest can see it, and disconnected once none has it; between the two it stands in the
server's record, so that nothing stays connected whatever dies.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from kilonova.compute.agent.devices import config_drive, local_disks
from kilonova.compute.agent.devices.local_disks import CacheMode, ImageFormat
from kilonova.compute.agent.metadata_tree import config_drive_files
from kilonova.compute.agent.spec import (
    BlankSource,
    ConfigDriveSource,
    DiskPlace,
    DiskSource,
    ImageSource,
    ServerSpec,
    SpecDisk,
    SpecImage,
    SwapSource,
    VolumeSource,
)
from kilonova.kit import connectors
from kilonova.kit.connectors import Connected, ConnectedTarget
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.host_commands import HostError

INFO = "disk.info"
"""The file of a server's directory that tells the format of each disk of it."""
KERNEL_FORMATS = ("aki", "ari")
BUSES = ("virtio", "scsi", "sata", "ide", "usb")

ImagePath = Callable[[SpecImage], Path]
"""Says where the host keeps an image, as a raw file."""


@dataclass(frozen=True)
class PlannedDisk:
    """A disk as a hypervisor opens it; known by its serial."""

    place: DiskPlace
    source: Path | ConnectedTarget
    format: DiskFormat
    is_config_drive: bool = False
    is_volume: bool = False
    is_readonly: bool = False
    is_shared: bool = False
    """Whether other servers may have it at the same time; nobody caches its data then."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Limits of a volume; local disks have the flavor's."""
    cache: CacheMode = "none"


def images_of(spec: ServerSpec) -> list[SpecImage]:
    """The images that the server's disks begin as, and those that it boots without a boot loader."""
    return [*_roots(spec), *(image for image in (spec.kernel, spec.ramdisk) if image is not None)]


class FromImage(NamedTuple):
    """The name of a disk that begins as an image, and whether it is all of that image's data."""

    name: str
    is_whole: bool


def images_to_fetch(spec: ServerSpec) -> list[tuple[SpecImage, FromImage | None]]:
    """The same, each with its disk; None: it has none. Raises HostError for a disk that is to begin as a kernel."""
    found: list[tuple[SpecImage, FromImage | None]] = []
    for disk in spec.disks:
        if isinstance(disk.source, ImageSource):
            image = disk.source.image
            if image.disk_format in KERNEL_FORMATS:
                raise HostError(
                    f"Image {image.id} has the disk format {image.disk_format}, which servers cannot boot from."
                )
            found.append((image, FromImage(disk.name, disk.source.is_whole)))
    return [*found, *((image, None) for image in (spec.kernel, spec.ramdisk) if image is not None)]


def _roots(spec: ServerSpec) -> list[SpecImage]:
    return [disk.source.image for disk in spec.disks if isinstance(disk.source, ImageSource)]


def volumes_of(disks: Iterable[SpecDisk]) -> dict[str, VolumeSource]:
    """Serial → volume."""
    return {disk.place.serial: disk.source for disk in disks if isinstance(disk.source, VolumeSource)}


def targets_of(planned: Iterable[PlannedDisk]) -> list[ConnectedTarget]:
    """Returns the targets that a hypervisor opens by itself."""
    return [disk.source for disk in planned if isinstance(disk.source, ConnectedTarget)]


def to_plug(planned: Iterable[PlannedDisk]) -> dict[str, PlannedDisk]:
    """Serial → disk, of those that a running guest gets and loses."""
    return {disk.place.serial: disk for disk in planned if disk.is_volume}


@dataclass(frozen=True)
class DiskOptions:
    """The host's options for its local disks."""

    image_format: ImageFormat = "qcow2"
    """The format of new disks that begin as an image: an overlay over the cached one, or a raw copy of it."""
    cache_modes: Mapping[str, CacheMode] = field(default_factory=dict)
    """Kind of a disk's source, `file`, `block` or `network` → how it is opened; without: direct where the host can."""


Formats = Callable[[Path, DiskSource], DiskFormat]
"""Says in which format the file of a local disk is."""


def plan(
    spec: ServerSpec, directory: Path, connected: Mapping[str, Connected], formats: Formats | None = None
) -> tuple[PlannedDisk, ...]:
    """Plans the disks that a hypervisor opens, given the connected volumes by serial; pure.

    Raises HostError for a bus that no driver has, and for two disks in one place.
    """
    _check(spec.disks)
    formats = formats or formats_of({}, "qcow2")
    return tuple(_plan(disk, directory, connected, formats) for disk in spec.disks)


def _check(disks: Iterable[SpecDisk]) -> None:
    for disk in disks:
        if disk.place.bus not in BUSES:
            raise HostError(
                f"The image property hw_disk_bus is {disk.place.bus!r}; this host knows {', '.join(BUSES)}."
            )
    for names in ([disk.place.device for disk in disks], [disk.place.serial for disk in disks]):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise HostError(f"Two disks of the server are to be {twice[0]}.")


def _plan(disk: SpecDisk, directory: Path, connected: Mapping[str, Connected], formats: Formats) -> PlannedDisk:
    if isinstance(disk.source, VolumeSource):
        volume, source = connected[disk.place.serial], disk.source
        return PlannedDisk(
            disk.place,
            volume if isinstance(volume, ConnectedTarget) else volume.path,
            "raw" if isinstance(volume, ConnectedTarget) else volume.disk_format,
            is_volume=True,
            is_readonly=source.is_readonly,
            is_shared=source.is_shared,
            limits=source.limits,
        )
    is_config_drive = isinstance(disk.source, ConfigDriveSource)
    path = directory / disk.name
    return PlannedDisk(disk.place, path, formats(path, disk.source), is_config_drive)


def formats_of(made: Mapping[Path, ImageFormat], image_format: ImageFormat) -> Formats:
    """`made`: the disks that are there. They keep their format, whatever format new ones get: another would show the
    guest what it has written itself as the head of an image.
    """

    def find(path: Path, source: DiskSource) -> DiskFormat:
        match source:
            case ImageSource() | BlankSource(file_system_label=""):
                return made.get(path, image_format)
            case _:
                return "raw"

    return find


def image_format(kind: DiskFormat) -> ImageFormat:
    return "raw" if kind == "raw" else "qcow2"


def is_copied(source: ImageSource, kind: DiskFormat) -> bool:
    """Whether a disk has all the data of its image, and does not lie over the cached one."""
    return source.is_whole or kind == "raw"


def copies(spec: ServerSpec, directory: Path, options: DiskOptions) -> Iterator[tuple[Path, ImageSource, DiskFormat]]:
    """The disks that have yet to be made as copies of an image, which takes a while."""
    if spec.presence != "home":
        return
    formats = formats_of(local_disks.read_info(directory / INFO), options.image_format)
    for disk in spec.disks:
        path, source = directory / disk.name, disk.source
        if isinstance(source, ImageSource) and is_copied(source, formats(path, source)) and not path.exists():
            yield path, source, formats(path, source)


async def make_copy(path: Path, source: ImageSource, image: Path, kind: DiskFormat) -> None:
    """Makes a disk out of all the data of a cached image. Raises HostError."""
    make = local_disks.ensure_copy if kind == "raw" else local_disks.ensure_whole
    await make(path, image, source.size_gib)


async def prepare(spec: ServerSpec, directory: Path, image_path: ImagePath, options: DiskOptions) -> list[PlannedDisk]:
    """Makes the files and connects the volumes that are not there yet. Raises HostError."""
    _check(spec.disks)
    await asyncio.to_thread(local_disks.remove_rescue, directory, [disk.name for disk in spec.disks])
    made = await asyncio.to_thread(local_disks.read_info, directory / INFO)
    formats = formats_of(made, options.image_format)
    for disk in spec.disks:
        path = directory / disk.name
        await _ensure_file(spec, disk, path, image_path, formats)
    volumes = volumes_of(spec.disks)
    connected = {serial: await connectors.connect(each.connection) for serial, each in volumes.items()}
    planned = plan(spec, directory, connected, formats)
    local = {each.source: each.format for each in planned if isinstance(each.source, Path) and not each.is_volume}
    await asyncio.to_thread(local_disks.ensure_info, directory / INFO, local)
    return await asyncio.to_thread(_with_cache_modes, planned, directory, options.cache_modes)


async def _ensure_file(spec: ServerSpec, disk: SpecDisk, path: Path, image_path: ImagePath, formats: Formats) -> None:
    match disk.source:
        case ImageSource(_image, size_gib, is_whole=True) if spec.presence == "incoming":
            # What is in it comes with the guest.
            await local_disks.ensure_blank(path, size_gib, image_format(formats(path, disk.source)))
        case ImageSource(image) as source if is_copied(source, formats(path, source)):
            await make_copy(path, source, image_path(image), formats(path, source))
        case ImageSource(image, size_gib):
            await local_disks.ensure_overlay(path, image_path(image), size_gib)
        case BlankSource(size_gib, ""):
            await local_disks.ensure_blank(path, size_gib, image_format(formats(path, disk.source)))
        case BlankSource(size_gib, label, file_system):
            await local_disks.ensure_ephemeral(path, size_gib, label, file_system)
        case SwapSource(size_mib):
            await local_disks.ensure_swap(path, size_mib)
        case ConfigDriveSource():
            await config_drive.ensure_config_drive(path, config_drive_files(spec.metadata_document))
        case VolumeSource():
            return


def _with_cache_modes(
    planned: Iterable[PlannedDisk], directory: Path, chosen: Mapping[str, CacheMode]
) -> list[PlannedDisk]:
    local = chosen.get("file") or local_disks.pick_cache_mode(directory)
    return [replace(disk, cache=_cache_mode_of(disk.source, chosen) if disk.is_volume else local) for disk in planned]


def _cache_mode_of(source: Path | ConnectedTarget, chosen: Mapping[str, CacheMode]) -> CacheMode:
    if isinstance(source, ConnectedTarget):
        return chosen.get("network") or "none"
    return chosen.get("block" if source.is_block_device() else "file") or local_disks.pick_cache_mode_of(source)
