"""`block_device_mapping_v2` of a new server: its root disk, and the local disks that its flavor's sizes are made into.

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
from kilonova.compute.tables import Flavor

MOST_DISKS = 8
"""Local disks of one server."""
SWAP = "swap"
FILE_SYSTEMS = ("ext2", "ext3", "ext4")


def local_disks(devices: Sequence[BlockDevice]) -> list[LocalDisk]:
    """Reads the server's local disks from the devices. Raises InvalidServer for any that no server can have."""
    found = [_local_disk(device) for device in devices]
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
            "Only local disks are served as block devices: the root disk made from an image (source_type image, "
            "destination_type local, boot_index 0), and blank ones (source_type blank)."
        )
    if not as_boolean(device.delete_on_termination, "delete_on_termination"):
        raise InvalidServer("A local disk is deleted with its server: delete_on_termination cannot be false.")
    if device.device_type not in (None, "disk"):
        raise InvalidServer(f"A local disk cannot be of the device_type {device.device_type!r}.")
    if device.disk_bus is not None and device.disk_bus not in BUSES:
        raise InvalidServer(f"disk_bus {device.disk_bus!r} is none of {', '.join(BUSES)}.")
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
