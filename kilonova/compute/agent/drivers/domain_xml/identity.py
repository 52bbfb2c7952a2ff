"""A domain's owner, in the `nova:instance` element for operators' tools and in the SMBIOS for guests; pure."""

import functools
import importlib.metadata
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.elements import text
from kilonova.compute.agent.spec import ServerSpec

NOVA_NAMESPACE = "http://openstack.org/xmlns/libvirt/nova/1.1"
SMBIOS_PRODUCT = "OpenStack Nova"
"""Exactly this: cloud-init's OpenStack source looks for it."""

NO_SERIAL = "-"

ElementTree.register_namespace("nova", NOVA_NAMESPACE)


def add_metadata(metadata: Element, spec: ServerSpec) -> None:
    def name(tag: str) -> str:
        return f"{{{NOVA_NAMESPACE}}}{tag}"

    instance = SubElement(metadata, name("instance"))
    SubElement(instance, name("package"), version=kilonova_version())
    text(instance, name("name"), spec.display_name)
    flavor = SubElement(instance, name("flavor"), name=spec.flavor.name)
    amounts = {
        "memory": spec.flavor.memory_mib,
        "disk": spec.flavor.root_gib,
        "swap": spec.flavor.swap_mib,
        "ephemeral": spec.flavor.ephemeral_gib,
        "vcpus": spec.flavor.vcpus,
    }
    for tag, amount in amounts.items():
        text(flavor, name(tag), str(amount))
    owner = SubElement(instance, name("owner"))
    text(owner, name("user"), "", uuid=spec.user_id)
    text(owner, name("project"), "", uuid=spec.project_id)
    if spec.image:
        SubElement(instance, name("root"), type="image", uuid=spec.image.id)
    ports = SubElement(instance, name("ports"))
    for port, document in zip(spec.ports, _documents_of(spec), strict=True):
        element = SubElement(ports, name("port"), uuid=port.id)
        for address in document:
            SubElement(element, name("ip"), type="fixed", address=address, ipVersion="6" if ":" in address else "4")


def _documents_of(spec: ServerSpec) -> list[list[str]]:
    """The fixed addresses of each port, in the order of `spec.ports`."""
    addresses = {
        port.port_id: [str(fixed["ip_address"]) for fixed in port.fixed_ips] for port in spec.metadata_document.ports
    }
    return [addresses.get(port.id, []) for port in spec.ports]


@functools.cache
def kilonova_version() -> str:
    """The version of the cloud that made a domain, as guests and operators read it."""
    return importlib.metadata.version("kilonova")


def add_sysinfo(domain: Element, spec: ServerSpec, serial: str) -> None:
    """`serial` is empty for the server's id, and `-` for none."""
    system = SubElement(SubElement(domain, "sysinfo", type="smbios"), "system")
    entries = {
        "manufacturer": "OpenStack Foundation",
        "product": SMBIOS_PRODUCT,
        "version": kilonova_version(),
        "serial": serial or spec.id,
        "uuid": spec.id,
        "family": "Virtual Machine",
    }
    if serial == NO_SERIAL:
        del entries["serial"]
    for name, value in entries.items():
        text(system, "entry", value, name=name)
