"""The disks of a server that is rescued: it boots from another image's disk, and has its own beside that; pure.

Each rescue makes its disks anew, so they are called after its number. A host removes those of earlier ones.
"""

from collections import Counter

from msgspec import Struct, structs

from kilonova.compute.agent.spec import ConfigDriveSource, DiskPlace, ImageSource, SpecDisk, SpecImage
from kilonova.compute.errors import InvalidServer
from kilonova.compute.servers.disks import DEVICE_PREFIXES, USUAL_BUS, device_name
from kilonova.compute.servers.requests import Fields

DEVICES = ("disk", "cdrom")
BUSES = tuple(DEVICE_PREFIXES)


class Rescue(Struct, frozen=True):
    """The image and device that a server is rescued with."""

    image: SpecImage
    number: int
    device: str
    bus: str
    is_stable: bool
    """Whether the server's own disks stay where they are; otherwise the rescue disk takes the first one's place."""
    has_config_drive: bool


def plan(image: Fields, server_image: Fields | None, number: int, *, has_config_drive: bool) -> Fields:
    """The `rescue` of a server's row, as the image it is rescued with says. Raises InvalidServer."""
    properties = image["properties"]
    device, bus = properties.get("hw_rescue_device"), properties.get("hw_rescue_bus")
    for name, value, known in (("hw_rescue_device", device, DEVICES), ("hw_rescue_bus", bus, BUSES)):
        if value is not None and value not in known:
            raise InvalidServer(f"The image property {name} is {value!r}; known here are {', '.join(known)}.")
    usual = (server_image or {"properties": {}})["properties"].get("hw_disk_bus") or USUAL_BUS
    return {
        "image": image,
        "number": number,
        "device": device or "disk",
        "bus": bus or usual,
        "is_stable": device is not None or bus is not None,
        "has_config_drive": has_config_drive,
    }


def with_rescue(disks: tuple[SpecDisk, ...], rescue: Rescue) -> tuple[SpecDisk, ...]:
    """A server's disks while it is rescued."""
    own = [_beside(disk, rescue) for disk in disks]
    if rescue.has_config_drive and not any(isinstance(disk.source, ConfigDriveSource) for disk in own):
        place = DiskPlace(_free_device(own, USUAL_BUS), USUAL_BUS, "config-2")
        own.append(SpecDisk(f"disk.config.rescue-{rescue.number}", place, ConfigDriveSource()))
    place = DiskPlace(
        _free_device(own, rescue.bus), rescue.bus, "rescue", boot_order=1, is_cdrom=rescue.device == "cdrom"
    )
    added = SpecDisk(f"disk.rescue-{rescue.number}", place, ImageSource(rescue.image, 0))
    return (*own, added) if rescue.is_stable else _renamed((added, *own))


def _beside(disk: SpecDisk, rescue: Rescue) -> SpecDisk:
    """A disk of the server's own, which it does not boot from; the config drive says what is new."""
    name = f"{disk.name}.rescue-{rescue.number}" if isinstance(disk.source, ConfigDriveSource) else disk.name
    return structs.replace(disk, name=name, place=structs.replace(disk.place, boot_order=None))


def _free_device(disks: list[SpecDisk], bus: str) -> str:
    taken = {disk.place.device for disk in disks}
    return next(name for index in range(len(disks) + 1) if (name := device_name(bus, index)) not in taken)


def _renamed(disks: tuple[SpecDisk, ...]) -> tuple[SpecDisk, ...]:
    """The disks with the names that their order gives them."""
    used: Counter[str] = Counter()
    renamed = []
    for disk in disks:
        prefix = DEVICE_PREFIXES.get(disk.place.bus, "vd")
        device = device_name(disk.place.bus, used[prefix])
        used[prefix] += 1
        renamed.append(structs.replace(disk, place=structs.replace(disk.place, device=device)))
    return tuple(renamed)
