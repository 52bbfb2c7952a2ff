"""The interfaces of a guest in libvirt's words; pure."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.devices.hardware import read_hardware
from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.drivers.domain_xml.elements import parse_xml
from kilonova.compute.agent.spec import ServerSpec
from kilonova.compute.hardware.guest import GuestHardware
from kilonova.compute.hardware.limits import Bandwidth

MOST_QUEUES = 256
"""The most queues that a tap of Linux has."""


def render_interface(spec: ServerSpec, interface: PlannedInterface) -> str:
    """The definition of one interface of a server, to plug into a running guest. Raises HostError like the domain's."""
    devices = Element("devices")
    add_interface(devices, interface, read_hardware(spec), spec.flavor.vcpus)
    return ElementTree.tostring(devices[0], encoding="unicode")


def interfaces_of(xml: str) -> dict[str, str]:
    """Name of the tap → definition, of each interface in a domain's definition."""
    found = {}
    for interface in parse_xml(xml).iterfind("devices/interface"):
        target = interface.find("target")
        if target is not None:
            found[target.get("dev", "")] = ElementTree.tostring(interface, encoding="unicode")
    return found


def add_interface(devices: Element, planned: PlannedInterface, guest: GuestHardware, vcpus: int) -> None:
    # The tap alone: the network agent plugs it, once its rules stand. Were libvirt to plug it too, whichever of the two
    # came second would be refused.
    interface = SubElement(devices, "interface", type="ethernet")
    SubElement(interface, "mac", address=planned.mac_address)
    SubElement(interface, "target", dev=planned.tap)
    SubElement(interface, "model", type=guest.devices.vif_model)
    driver = {}
    if guest.devices.has_queues and vcpus > 1:
        driver["queues"] = str(min(vcpus, MOST_QUEUES))
    if guest.devices.has_packed_rings and guest.devices.vif_model == "virtio":
        driver["packed"] = "on"
    if driver:
        SubElement(interface, "driver", driver)
    _add_bandwidth(interface, guest.limits.inbound, guest.limits.outbound)
    SubElement(interface, "mtu", size=str(planned.mtu))


def _add_bandwidth(interface: Element, inbound: Bandwidth | None, outbound: Bandwidth | None) -> None:
    if inbound is None and outbound is None:
        return
    bandwidth = SubElement(interface, "bandwidth")
    for way, limit in (("inbound", inbound), ("outbound", outbound)):
        if limit is not None:
            numbers = {"average": limit.average, "peak": limit.peak, "burst": limit.burst}
            SubElement(bandwidth, way, {name: str(number) for name, number in numbers.items() if number is not None})
