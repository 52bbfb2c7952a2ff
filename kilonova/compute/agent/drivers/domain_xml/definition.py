"""Renders libvirt's definition of a server; pure. The rule: the same plan gives the same bytes.

So a digest of the definition, kept in the domain's own metadata, tells whether a domain is defined as wanted without
parsing what libvirt makes of it. The same metadata is the mark by which a domain is known to be ours.
Formats: libvirt's domain XML; the `nova:instance` element as operators' tools read it.
"""

import hashlib
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.devices.hardware import read_hardware
from kilonova.compute.agent.drivers.domain_xml.devices import add_devices
from kilonova.compute.agent.drivers.domain_xml.elements import parse_xml, text
from kilonova.compute.agent.drivers.domain_xml.firmware import add_boot, add_clock, add_features
from kilonova.compute.agent.drivers.domain_xml.identity import add_metadata, add_sysinfo
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan
from kilonova.compute.agent.drivers.domain_xml.processor import add_amounts, add_processor

KILONOVA_NAMESPACE = "https://kilonova.cloud/xmlns/libvirt/1"

ElementTree.register_namespace("kilonova", KILONOVA_NAMESPACE)


def render_domain(plan: DomainPlan) -> str:
    """The definition of a server's domain. Raises HostError for image properties which this host cannot honour."""
    domain = _render_without_digest(plan)
    digest = hashlib.sha256(ElementTree.tostring(domain)).hexdigest()
    metadata = domain.find("metadata")
    assert metadata is not None  # noqa: S101
    metadata.append(Element(f"{{{KILONOVA_NAMESPACE}}}server", {"id": plan.spec.id, "definition": digest}))
    ElementTree.indent(domain)
    return ElementTree.tostring(domain, encoding="unicode")


def definition_digest(xml: str) -> str | None:
    """The digest that `render_domain` put into a definition; None when the domain is not ours."""
    element = parse_xml(xml).find(f"metadata/{{{KILONOVA_NAMESPACE}}}server")
    return None if element is None else element.get("definition")


def _render_without_digest(plan: DomainPlan) -> Element:
    spec, guest = plan.spec, read_hardware(plan.spec)
    domain = Element("domain", type=plan.virt_type)
    text(domain, "name", spec.instance_name)
    text(domain, "uuid", spec.id)
    add_metadata(SubElement(domain, "metadata"), spec)
    add_amounts(domain, plan, guest)
    add_sysinfo(domain, spec, plan.host.smbios_serial)
    add_boot(domain, plan, guest)
    add_features(domain, plan, guest)
    add_processor(domain, plan, guest)
    add_clock(domain, plan, guest)
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        text(domain, event, action)
    add_devices(SubElement(domain, "devices"), plan, guest)
    return domain
