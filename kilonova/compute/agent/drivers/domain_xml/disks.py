"""The disks of a guest in libvirt's words; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.devices.hardware import read_hardware
from kilonova.compute.agent.drivers.domain_xml.elements import parse_xml, text
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan
from kilonova.compute.agent.drivers.domain_xml.secrets import secret_id_of
from kilonova.compute.hardware.guest import GuestHardware
from kilonova.kit.connectors import ConnectedTarget

CDROM_BUSES = ("ide", "sata", "scsi")


@dataclass(frozen=True)
class DiskStyle:
    """Attributes that all disks of a guest share."""

    discard: str
    has_packed_rings: bool
    has_cdrom: bool
    """Whether the image wants its config drive to be a cdrom."""
    limits: Mapping[str, int]
    """libvirt's name of a limit → the most a second, of local disks."""

    @classmethod
    def of(cls, plan: DomainPlan, guest: GuestHardware) -> "DiskStyle":
        return cls(plan.host.discard, guest.devices.has_packed_rings, bool(guest.devices.cdrom_bus), guest.limits.disk)


def add_disk(devices: Element, disk: PlannedDisk, style: DiskStyle) -> None:
    # The config drive is a disk where the bus has read-only ones: Linux's cloud kernels have no AHCI, so on q35's
    # default bus for cdroms they would not see it.
    buses = CDROM_BUSES if style.has_cdrom else ("ide", "sata")
    is_cdrom = disk.place.is_cdrom or (disk.is_config_drive and disk.place.bus in buses)
    kind = "network" if isinstance(disk.source, ConnectedTarget) else "file"
    element = SubElement(devices, "disk", type=kind, device="cdrom" if is_cdrom else "disk")
    driver = {"name": "qemu", "type": disk.format, "cache": "none" if disk.is_shared else disk.cache}
    is_read_only = disk.is_config_drive or disk.is_readonly or is_cdrom
    if not is_read_only:
        driver["discard"] = style.discard
    if style.has_packed_rings and disk.place.bus == "virtio":
        driver["packed"] = "on"
    SubElement(element, "driver", driver)
    _add_source(element, disk)
    SubElement(element, "target", dev=disk.place.device, bus=disk.place.bus)
    if is_read_only:
        SubElement(element, "readonly")
    if disk.is_shared:
        SubElement(element, "shareable")
    text(element, "serial", disk.place.serial)
    if disk.place.boot_order is not None:
        SubElement(element, "boot", order=str(disk.place.boot_order))
    limits = disk.limits if disk.is_volume else style.limits
    if limits and not disk.is_config_drive:
        tuned = SubElement(element, "iotune")
        for name, most in limits.items():
            text(tuned, name, str(most))


def _add_source(element: Element, disk: PlannedDisk) -> None:
    found = disk.source
    if not isinstance(found, ConnectedTarget):
        SubElement(element, "source", file=str(found))
        return
    source = SubElement(element, "source", protocol="iscsi", name=f"{found.target}/{found.unit}")
    SubElement(source, "host", name=found.host, port=str(found.port))
    if found.chap is not None:
        auth = SubElement(source, "auth", username=found.chap.username)
        SubElement(auth, "secret", type="iscsi", uuid=secret_id_of(found.target))


def render_disk(plan: DomainPlan, disk: PlannedDisk) -> str:
    """The definition of one disk, to plug into a running guest. Raises HostError like the domain's."""
    devices = Element("devices")
    add_disk(devices, disk, DiskStyle.of(plan, read_hardware(plan.spec)))
    return ElementTree.tostring(devices[0], encoding="unicode")


def disks_of(xml: str) -> dict[str, str]:
    """Serial → definition, of each disk in a domain's definition that has a serial."""
    return {
        serial: ElementTree.tostring(disk, encoding="unicode")
        for disk in parse_xml(xml).iterfind("devices/disk")
        if (serial := disk.findtext("serial"))
    }
