"""The disks that a server has by its image, its flavor, and what was asked for when it was made; pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from kilonova.compute.agent.spec import (
    BlankSource,
    ConfigDriveSource,
    DiskPlace,
    DiskSource,
    ImageSource,
    SpecDisk,
    SpecFlavor,
    SpecImage,
    SwapSource,
)
from kilonova.compute.errors import InvalidServer
from kilonova.compute.hardware.root_device import root_bus
from kilonova.compute.tables import Server

USUAL_BUS = "virtio"
DEVICE_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class LocalDisk(Struct, frozen=True):
    """One of a server's local disks, as the request described it."""

    kind: Literal["root", "ephemeral", "swap"]
    size: int = 0
    """GiB, of swap MiB; 0: as the flavor says."""
    bus: str = ""
    """Empty: as the image says."""
    file_system: Literal["ext2", "ext3", "ext4"] = "ext4"
    """The file system of an ephemeral disk."""
    tag: str = ""


class Named(Struct, frozen=True):
    """A disk that has yet to get its place."""

    name: str
    serial: str
    source: DiskSource
    asked: LocalDisk


def local_disks(
    flavor: SpecFlavor,
    image: SpecImage | None,
    *,
    config_drive: bool,
    came_from: SpecImage | None = None,
    asked: Sequence[LocalDisk] = (),
    boots_from_volume: bool = False,
    taken: Collection[str] = (),
) -> tuple[SpecDisk, ...]:
    """Root, ephemeral, swap and config drive, as far as the server has them, on the bus that its image asks for.

    `came_from`: what the root disk begins as instead of the image, all of it. Where ephemeral or swap disks were asked
    for, they take the place of the flavor's. `taken`: the devices of the server's volumes, one of which may be its root
    disk. The names of files and the serials are those that operators' tools know.
    """
    named = [] if boots_from_volume else _root(flavor, image, came_from, _of(asked, "root"))
    for number, each in enumerate(_of(asked, "ephemeral") or _usual("ephemeral", flavor.ephemeral_gib)):
        size_gib, label = each.size or flavor.ephemeral_gib, f"ephemeral{number}"
        named.append(Named(f"disk.eph{number}", label, BlankSource(size_gib, label, each.file_system), each))
    for each in _of(asked, "swap") or _usual("swap", flavor.swap_mib):
        named.append(Named("disk.swap", "swap", SwapSource(each.size or flavor.swap_mib), each))
    if config_drive:
        named.append(Named("disk.config", "config-2", ConfigDriveSource(), LocalDisk("root")))
    disks: list[SpecDisk] = []
    used = set(taken)
    for disk in named:
        bus = disk.asked.bus or _bus(image.properties if image else {}, disk.source)
        place = DiskPlace(free_device(bus, used), bus, disk.serial)
        disks.append(SpecDisk(disk.name, place, disk.source, disk.asked.tag))
        used.add(place.device)
    return tuple(disks)


def free_device(bus: str, used: Collection[str]) -> str:
    """Returns the first name on a bus that no disk has. Raises InvalidServer when all are taken."""
    for index in range(len(LETTERS)):
        if (device := device_name(bus, index)) not in used:
            return device
    raise InvalidServer(f"A server has {len(LETTERS)} disks of the bus {bus} at most.")


def _of(asked: Sequence[LocalDisk], kind: str) -> list[LocalDisk]:
    return [disk for disk in asked if disk.kind == kind]


def _usual(kind: Literal["ephemeral", "swap"], size: int) -> list[LocalDisk]:
    """The flavor's own disk of a kind, if it has one."""
    return [LocalDisk(kind)] if size else []


def _root(
    flavor: SpecFlavor, image: SpecImage | None, came_from: SpecImage | None, asked: list[LocalDisk]
) -> list[Named]:
    described = asked[0] if asked else LocalDisk("root")
    if came_from is not None:
        return [Named("disk", "root", ImageSource(came_from, flavor.root_gib, is_whole=True), described)]
    if image is not None:
        return [Named("disk", "root", ImageSource(image, flavor.root_gib), described)]
    return [Named("disk", "root", BlankSource(flavor.root_gib), described)] if flavor.root_gib else []


def _bus(properties: Mapping[str, str], source: DiskSource) -> str:
    usual = properties.get("hw_disk_bus") or USUAL_BUS
    match source:
        case ConfigDriveSource():
            return properties.get("hw_cdrom_bus") or usual
        case ImageSource():
            return properties.get("hw_disk_bus") or root_bus(properties) or usual
        case _:
            return usual


def volume_bus(image: SpecImage | None) -> str:
    """Returns the bus of a server's volumes: that of its other disks."""
    properties = image.properties if image else {}
    return properties.get("hw_disk_bus") or USUAL_BUS


def is_device_of(bus: str, device: str) -> bool:
    """Whether a disk of the bus may have the name."""
    return any(device == device_name(bus, index) for index in range(len(LETTERS)))


def root_device(server: Server) -> str:
    """The path of the first disk of a server."""
    asked = next((disk["bus"] for disk in server.local_disks or () if disk["kind"] == "root" and disk["bus"]), None)
    properties = (server.image or {}).get("properties", {})
    bus = asked or properties.get("hw_disk_bus") or root_bus(properties) or USUAL_BUS
    return f"/dev/{device_name(bus, 0)}"


def device_name(bus: str, index: int) -> str:
    """Name of the n-th disk on a bus: `vda`, `sdb`, `hda`. A host refuses a bus that has no names here."""
    return DEVICE_PREFIXES.get(bus, "vd") + LETTERS[index]
