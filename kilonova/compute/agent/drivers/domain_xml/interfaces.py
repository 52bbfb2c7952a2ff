"""The interfaces of a guest in libvirt's words; pure."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.drivers.domain_xml.elements import chosen, parse_xml
from kilonova.compute.agent.spec import ServerSpec

VIF_MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet")


def render_interface(spec: ServerSpec, interface: PlannedInterface) -> str:
    """The definition of one interface of a server, to plug into a running guest. Raises HostError like the domain's."""
    devices = Element("devices")
    add_interface(devices, interface, vif_model(spec))
    return ElementTree.tostring(devices[0], encoding="unicode")


def interfaces_of(xml: str) -> dict[str, str]:
    """Name of the tap → definition, of each interface in a domain's definition."""
    found = {}
    for interface in parse_xml(xml).iterfind("devices/interface"):
        target = interface.find("target")
        if target is not None:
            found[target.get("dev", "")] = ElementTree.tostring(interface, encoding="unicode")
    return found


def vif_model(spec: ServerSpec) -> str:
    return chosen(spec, "hw_vif_model", VIF_MODELS, "virtio")


def add_interface(devices: Element, planned: PlannedInterface, model: str) -> None:
    # The tap alone: the network agent plugs it, once its rules stand. Were libvirt to plug it too, whichever of the two
    # came second would be refused.
    interface = SubElement(devices, "interface", type="ethernet")
    SubElement(interface, "mac", address=planned.mac_address)
    SubElement(interface, "target", dev=planned.tap)
    SubElement(interface, "model", type=model)
    SubElement(interface, "mtu", size=str(planned.mtu))
