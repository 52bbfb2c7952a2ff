"""The disks of a server: the files and volumes behind them, and what a hypervisor has to open.

The rule: files in the server's directory come and go with a start of its guest; a volume is plugged into a running one.
A volume is connected before any guest can see it, and disconnected once none has it; between the two it stands in the
server's record, so that nothing stays connected whatever dies.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from kilonova.compute.agent.devices import config_drive, local_disks
from kilonova.compute.agent.devices.local_disks import CacheMode
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
from kilonova.kit.connectors import ConnectedDisk
from kilonova.kit.connectors.connections import DiskFormat
from kilonova.kit.host_commands import HostError

BUSES = ("virtio", "scsi", "sata", "ide")

ImagePath = Callable[[SpecImage], Path]
"""Says where the host keeps an image, as a raw file."""


@dataclass(frozen=True)
class PlannedDisk:
    """A disk as a hypervisor opens it; known by its serial."""

    place: DiskPlace
    path: Path
    format: DiskFormat
    is_config_drive: bool = False
    is_volume: bool = False
    cache: CacheMode = "none"


def images_of(spec: ServerSpec) -> list[SpecImage]:
    """The images that the server's disks begin as, and those that it boots without a boot loader."""
    roots = [disk.source.image for disk in spec.disks if isinstance(disk.source, ImageSource)]
    return [*roots, *(image for image in (spec.kernel, spec.ramdisk) if image is not None)]


def volumes_of(disks: Iterable[SpecDisk]) -> dict[str, VolumeSource]:
    """Serial → volume."""
    return {disk.place.serial: disk.source for disk in disks if isinstance(disk.source, VolumeSource)}


def to_plug(planned: Iterable[PlannedDisk]) -> dict[str, PlannedDisk]:
    """Serial → disk, of those that a running guest gets and loses."""
    return {disk.place.serial: disk for disk in planned if disk.is_volume}


def plan(spec: ServerSpec, directory: Path, connected: Mapping[str, ConnectedDisk]) -> tuple[PlannedDisk, ...]:
    """Plans the disks that a hypervisor opens, given the connected volumes by serial; pure.

    Raises HostError for a bus that no driver has, and for two disks in one place.
    """
    _check(spec.disks)
    return tuple(_plan(disk, directory, connected) for disk in spec.disks)


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


def _plan(disk: SpecDisk, directory: Path, connected: Mapping[str, ConnectedDisk]) -> PlannedDisk:
    if isinstance(disk.source, VolumeSource):
        volume = connected[disk.place.serial]
        return PlannedDisk(disk.place, volume.path, volume.disk_format, is_volume=True)
    is_config_drive = isinstance(disk.source, ConfigDriveSource)
    return PlannedDisk(disk.place, directory / disk.name, _format_of(disk.source), is_config_drive)


def _format_of(source: DiskSource) -> DiskFormat:
    match source:
        case ImageSource() | BlankSource(file_system_label=""):
            return "qcow2"
        case _:
            return "raw"


async def prepare(
    spec: ServerSpec,
    directory: Path,
    image_path: ImagePath,
    cache_modes: Mapping[str, CacheMode] = MappingProxyType({}),
) -> list[PlannedDisk]:
    """Makes the files and connects the volumes that are not there yet. Raises HostError.

    `cache_modes`: kind of a source, `file` or `block` → how it is opened; without: direct where the host can.
    """
    _check(spec.disks)
    await asyncio.to_thread(local_disks.remove_rescue, directory, [disk.name for disk in spec.disks])
    for disk in spec.disks:
        await _ensure_file(spec, disk, directory / disk.name, image_path)
    volumes = volumes_of(spec.disks)
    connected = {serial: await connectors.connect(each.connection) for serial, each in volumes.items()}
    planned = plan(spec, directory, connected)
    local = {disk.path: disk.format for disk in planned if not disk.is_volume}
    await asyncio.to_thread(local_disks.ensure_info, directory / "disk.info", local)
    return await asyncio.to_thread(_with_cache_modes, planned, directory, cache_modes)


async def _ensure_file(spec: ServerSpec, disk: SpecDisk, path: Path, image_path: ImagePath) -> None:
    match disk.source:
        case ImageSource(image, size_gib, is_whole=True):
            if spec.presence == "incoming":
                # What is in it comes with the guest.
                await local_disks.ensure_blank(path, size_gib)
            else:
                await local_disks.ensure_whole(path, image_path(image), size_gib)
        case ImageSource(image, size_gib):
            await local_disks.ensure_overlay(path, image_path(image), size_gib)
        case BlankSource(size_gib, ""):
            await local_disks.ensure_blank(path, size_gib)
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
    return [replace(disk, cache=_cache_mode_of(disk.path, chosen) if disk.is_volume else local) for disk in planned]


def _cache_mode_of(path: Path, chosen: Mapping[str, CacheMode]) -> CacheMode:
    return chosen.get("block" if path.is_block_device() else "file") or local_disks.pick_cache_mode_of(path)
