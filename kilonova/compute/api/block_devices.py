"""`block_device_mapping_v2` of a new server: its root disk, the local disks that its flavor's sizes are made into, and
the volumes it has from its beginning.

Source: Compute API reference, "Create Server"; user guide, "Block device mapping".
"""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from kilonova.compute.agent.devices.disks import BUSES
from kilonova.compute.api.bodies import as_boolean
from kilonova.compute.api.server_bodies import BlockDevice
from kilonova.compute.errors import InvalidServer
from kilonova.compute.servers.disks import LocalDisk
from kilonova.compute.servers.new_volumes import SOURCES, WantedVolume
from kilonova.compute.servers.volumes import MOST_VOLUMES
from kilonova.compute.tables import Flavor

MOST_DISKS = 8
"""Local disks of one server."""
SWAP = "swap"
FILE_SYSTEMS = ("ext2", "ext3", "ext4")


def is_volume(device: BlockDevice) -> bool:
    usual = "volume" if device.source_type in ("volume", "snapshot") else "local"
    return (device.destination_type or usual) == "volume"


def wanted_volumes(devices: Sequence[BlockDevice]) -> list[WantedVolume]:
    """Reads the server's volumes from the devices. Raises InvalidServer for any that no server can have."""
    found = [_volume(device) for device in devices if is_volume(device)]
    if sum(each.boot_index == 0 for each in found) > 1:
        raise InvalidServer("A server boots from one volume first: several have the boot_index 0.")
    if len(found) > MOST_VOLUMES:
        raise InvalidServer(
            f"A server has {MOST_VOLUMES} volumes at most: block_device_mapping_v2 has {len(found)} of them."
        )
    ids = [each.source_id for each in found if each.source == "volume"]
    if len(set(ids)) < len(ids):
        raise InvalidServer("block_device_mapping_v2 names a volume twice: a server has it once.")
    return found


def _volume(device: BlockDevice) -> WantedVolume:
    if as_boolean(device.no_device, "no_device"):
        raise InvalidServer("no_device leaves out a device of the image, and images have none here.")
    source = next((each for each in SOURCES if each == device.source_type), None)
    if source is None:
        raise InvalidServer(f"source_type {device.source_type!r} is none of {', '.join(SOURCES)}.")
    if device.device_type not in (None, "disk"):
        raise InvalidServer(f"A volume cannot be of the device_type {device.device_type!r}.")
    if device.guest_format is not None:
        raise InvalidServer("A volume has no guest_format: it is given as it is.")
    if (device.uuid is None) != (device.source_type == "blank"):
        raise InvalidServer("A volume is made of what uuid names; a blank one of nothing.")
    if device.source_type in ("image", "blank") and not device.volume_size:
        raise InvalidServer(f"A volume made of source_type {device.source_type} needs its volume_size in GiB.")
    if device.volume_size is not None and device.volume_size < 1:
        raise InvalidServer(f"volume_size {device.volume_size} is not a size of a volume.")
    if device.source_type == "blank" and device.boot_index == 0:
        raise InvalidServer("A server does not boot from a blank volume: its boot_index is -1.")
    _check_bus(device)
    if device.volume_type not in (None, UNSET) and device.source_type == "volume":
        raise InvalidServer("A volume that is there has its volume_type already.")
    is_deleted = device.delete_on_termination
    return WantedVolume(
        source=source,
        source_id=(device.uuid or "").lower(),
        # Of one that is there the size says nothing.
        size_gib=(device.volume_size or 0) if device.source_type != "volume" else 0,
        boot_index=None if device.boot_index is None or device.boot_index < 0 else device.boot_index,
        device=(device.device_name or "").removeprefix("/dev/"),
        bus=device.disk_bus or "",
        tag=device.tag or "",
        is_deleted=is_deleted is not UNSET and as_boolean(is_deleted, "delete_on_termination"),
        volume_type=device.volume_type or None,
    )


def _check_bus(device: BlockDevice) -> None:
    if device.disk_bus is not None and device.disk_bus not in BUSES:
        raise InvalidServer(f"disk_bus {device.disk_bus!r} is none of {', '.join(BUSES)}.")


def local_disks(devices: Sequence[BlockDevice]) -> list[LocalDisk]:
    """Reads the server's local disks from the devices. Raises InvalidServer for any that no server can have."""
    found = [_local_disk(device) for device in devices if not is_volume(device)]
    for kind in ("root", "swap"):
        if sum(disk.kind == kind for disk in found) > 1:
            raise InvalidServer(f"A server has one {kind} disk: block_device_mapping_v2 names several.")
    if len(found) > MOST_DISKS:
        raise InvalidServer(f"A server has {MOST_DISKS} local disks at most: block_device_mapping_v2 has {len(found)}.")
    return [disk for disk in found if disk != LocalDisk("root")]


def check_room(found: Sequence[LocalDisk], flavor: Flavor) -> None:
    """Raises InvalidServer unless all ephemeral disks together are as large as the flavor's at most; the swap too."""
    allowed = {"ephemeral": flavor.ephemeral_gib, "swap": flavor.swap_mib}
    for kind, most in allowed.items():
        sizes = [disk.size or most for disk in found if disk.kind == kind]
        if sizes and (not most or sum(sizes) > most):
            unit = "GiB" if kind == "ephemeral" else "MiB"
            raise InvalidServer(
                f"The flavor has {most} {unit} of {kind} disk, and block_device_mapping_v2 asks for {sum(sizes)}; one "
                "without volume_size asks for all of it."
            )


def _local_disk(device: BlockDevice) -> LocalDisk:
    is_local = device.destination_type in (None, "local") and not as_boolean(device.no_device, "no_device")
    is_root = device.source_type == "image" and device.boot_index in (0, None)
    if not is_local or not (is_root or device.source_type == "blank"):
        raise InvalidServer(
            "A local disk is the root disk made from an image (source_type image, destination_type local, boot_index "
            "0), or a blank one (source_type blank)."
        )
    is_deleted = device.delete_on_termination
    if is_deleted is not UNSET and not as_boolean(is_deleted, "delete_on_termination"):
        raise InvalidServer("A local disk is deleted with its server: delete_on_termination cannot be false.")
    if device.device_type not in (None, "disk"):
        raise InvalidServer(f"A local disk cannot be of the device_type {device.device_type!r}.")
    _check_bus(device)
    if device.volume_type not in (None, UNSET):
        raise InvalidServer("A local disk has no volume_type.")
    shared: dict[str, Any] = {"bus": device.disk_bus or "", "tag": device.tag or ""}
    if is_root:
        _check_root(device)
        return LocalDisk("root", **shared)
    return LocalDisk(**_blank(device), **shared)


def _check_root(device: BlockDevice) -> None:
    fixed = {"device_name": ("/dev/vda", "vda")}
    for name in ("device_name", "guest_format", "volume_size"):
        value = getattr(device, name)
        if value is not None and value not in fixed.get(name, ()):
            raise InvalidServer(
                f"{name} {value!r} cannot be chosen for a local root disk: that is the first disk of its bus, as large "
                "as the flavor says, and made from the image."
            )


def _blank(device: BlockDevice) -> dict[str, Any]:
    if device.uuid is not None:
        raise InvalidServer("A blank disk is made from nothing: it has no uuid.")
    if device.boot_index is not None and device.boot_index >= 0:
        raise InvalidServer("A server does not boot from a blank disk: its boot_index is -1.")
    if device.device_name is not None:
        raise InvalidServer(f"device_name {device.device_name!r} cannot be chosen: disks are named in their order.")
    if device.volume_size is not None and device.volume_size < 1:
        raise InvalidServer(f"volume_size {device.volume_size} is not a size of a disk.")
    size = device.volume_size or 0
    if device.guest_format == SWAP:
        return {"kind": "swap", "size": size}
    if device.guest_format is not None and device.guest_format not in FILE_SYSTEMS:
        raise InvalidServer(f"guest_format {device.guest_format!r} is none of {', '.join((*FILE_SYSTEMS, SWAP))}.")
    return {"kind": "ephemeral", "size": size, "file_system": device.guest_format or "ext4"}
