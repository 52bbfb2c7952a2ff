"""The disks of a guest in libvirt's words; pure."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.drivers.domain_xml.elements import parse_xml, text


def add_disk(devices: Element, disk: PlannedDisk) -> None:
    # The config drive is a disk where the bus has read-only ones: Linux's cloud kernels have no AHCI, so on q35's
    # default bus for cdroms they would not see it.
    is_cdrom = disk.place.is_cdrom or (disk.is_config_drive and disk.place.bus in ("ide", "sata"))
    element = SubElement(devices, "disk", type="file", device="cdrom" if is_cdrom else "disk")
    driver = {"name": "qemu", "type": disk.format, "cache": disk.cache}
    is_read_only = disk.is_config_drive or is_cdrom
    if not is_read_only:
        driver["discard"] = "unmap"
    SubElement(element, "driver", driver)
    SubElement(element, "source", file=str(disk.path))
    SubElement(element, "target", dev=disk.place.device, bus=disk.place.bus)
    if is_read_only:
        SubElement(element, "readonly")
    text(element, "serial", disk.place.serial)
    if disk.place.boot_order is not None:
        SubElement(element, "boot", order=str(disk.place.boot_order))


def render_disk(disk: PlannedDisk) -> str:
    """The definition of one disk, to plug into a running guest."""
    devices = Element("devices")
    add_disk(devices, disk)
    return ElementTree.tostring(devices[0], encoding="unicode")


def disks_of(xml: str) -> dict[str, str]:
    """Serial → definition, of each disk in a domain's definition that has a serial."""
    return {
        serial: ElementTree.tostring(disk, encoding="unicode")
        for disk in parse_xml(xml).iterfind("devices/disk")
        if (serial := disk.findtext("serial"))
    }
