"""The disks that a server has by its image and its flavor; pure."""

from collections import Counter

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

USUAL_BUS = "virtio"
DEVICE_PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def local_disks(
    flavor: SpecFlavor, image: SpecImage | None, *, config_drive: bool, came_from: SpecImage | None = None
) -> tuple[SpecDisk, ...]:
    """Root, ephemeral, swap and config drive, as far as the server has them, on the bus that its image asks for.

    `came_from`: what the root disk begins as instead of the image, all of it. The names of files and the serials are
    those that operators' tools know.
    """
    sources: list[tuple[str, str, DiskSource]] = []
    if came_from is not None:
        sources.append(("disk", "root", ImageSource(came_from, flavor.root_gib, is_whole=True)))
    elif image is not None:
        sources.append(("disk", "root", ImageSource(image, flavor.root_gib)))
    elif flavor.root_gib:
        sources.append(("disk", "root", BlankSource(flavor.root_gib)))
    if flavor.ephemeral_gib:
        sources.append(("disk.eph0", "ephemeral0", BlankSource(flavor.ephemeral_gib, "ephemeral0")))
    if flavor.swap_mib:
        sources.append(("disk.swap", "swap", SwapSource(flavor.swap_mib)))
    if config_drive:
        sources.append(("disk.config", "config-2", ConfigDriveSource()))
    disks: list[SpecDisk] = []
    used: Counter[str] = Counter()
    for name, serial, source in sources:
        bus = _bus(image, source)
        prefix = DEVICE_PREFIXES.get(bus, "vd")
        disks.append(SpecDisk(name, DiskPlace(device_name(bus, used[prefix]), bus, serial), source))
        used[prefix] += 1
    return tuple(disks)


def _bus(image: SpecImage | None, source: DiskSource) -> str:
    properties = image.properties if image is not None else {}
    usual = properties.get("hw_disk_bus") or USUAL_BUS
    return (properties.get("hw_cdrom_bus") or usual) if isinstance(source, ConfigDriveSource) else usual


def device_name(bus: str, index: int) -> str:
    """Name of the n-th disk on a bus: `vda`, `sdb`, `hda`. A host refuses a bus that has no names here."""
    return DEVICE_PREFIXES.get(bus, "vd") + LETTERS[index]
