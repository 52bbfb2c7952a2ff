"""The name that an image gives its root disk, and the bus that follows from it; pure."""

import re
from collections.abc import Mapping

from kilonova.compute.hardware.asked import Asked

PROPERTIES = ("img_root_device_name", "root_device_name")
BUSES_OF_NAMES = {"vd": ("virtio",), "sd": ("scsi", "sata", "usb"), "hd": ("ide",)}
"""First letters of a disk's name → the buses that have such names; the first is taken where nothing else is said."""
_NAME = re.compile(r"(?:/dev/)?(vd|sd|hd)a[0-9]{0,2}")


def check_root_device(asked: Asked) -> None:
    """Raises UnusableSpec unless the root disk is the first of a bus, and of the one that hw_disk_bus names."""
    bus = asked.by_image("hw_disk_bus")
    for name in PROPERTIES:
        said = asked.by_image(name)
        if said is None:
            continue
        found = _NAME.fullmatch(said.value)
        if found is None:
            raise said.unusable("and the root disk is the first of its bus: /dev/vda, /dev/sda or /dev/hda")
        if bus is not None and bus.value not in BUSES_OF_NAMES[found[1]]:
            raise said.unusable(f"and for hw_disk_bus={bus.value}, whose disks have other names")


def root_bus(properties: Mapping[str, str]) -> str | None:
    """The bus of the root disk by its name; None when the image gives it none."""
    names = (_NAME.fullmatch(str(properties.get(name, "")).strip()) for name in PROPERTIES)
    return next((BUSES_OF_NAMES[name[1]][0] for name in names if name is not None), None)
