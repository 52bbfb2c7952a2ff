"""Renders libvirt's definition of a server; pure. The rule: the same plan gives the same bytes.

So a digest of the definition, kept in the domain's own metadata, tells whether a domain is defined as wanted without
parsing what libvirt makes of it. The same metadata is the mark by which a domain is known to be ours.
Formats: libvirt's domain XML; the `nova:instance` element as operators' tools read it.
"""

import hashlib
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.devices import add_devices
from kilonova.compute.agent.drivers.domain_xml.elements import chosen, parse_xml, text
from kilonova.compute.agent.drivers.domain_xml.identity import add_metadata, add_sysinfo
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan, pick_machine_type
from kilonova.compute.agent.drivers.options import VirtType

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
    spec = plan.spec
    chosen(spec, "hw_firmware_type", ("bios",), "bios")
    domain = Element("domain", type=plan.virt_type)
    text(domain, "name", spec.instance_name)
    text(domain, "uuid", spec.id)
    add_metadata(SubElement(domain, "metadata"), spec)
    text(domain, "memory", str(spec.flavor.memory_mib), unit="MiB")
    text(domain, "vcpu", str(spec.flavor.vcpus))
    add_sysinfo(domain, spec)
    machine_type = pick_machine_type(plan)
    os_element = SubElement(domain, "os")
    text(os_element, "type", "hvm", arch="x86_64", machine=machine_type)
    if not _has_boot_order(plan):
        SubElement(os_element, "boot", dev="hd")
    SubElement(os_element, "smbios", mode="sysinfo")
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    _add_cpu(domain, plan)
    _add_clock(domain, plan.virt_type)
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        text(domain, event, action)
    add_devices(SubElement(domain, "devices"), plan, is_pcie=_is_pcie(machine_type))
    return domain


def _has_boot_order(plan: DomainPlan) -> bool:
    return any(disk.place.boot_order is not None for disk in plan.disks)


def _is_pcie(machine_type: str) -> bool:
    return "q35" in machine_type


def _add_cpu(domain: Element, plan: DomainPlan) -> None:
    mode = plan.guest_cpu.mode or ("host-model" if plan.virt_type == "kvm" else "maximum")
    if mode == "none":
        return
    cpu = SubElement(domain, "cpu", mode=mode)
    if mode == "custom":
        cpu.set("match", "exact")
        text(cpu, "model", plan.guest_cpu.model)


def _add_clock(domain: Element, virt_type: VirtType) -> None:
    clock = SubElement(domain, "clock", offset="utc")
    if virt_type == "kvm":
        SubElement(clock, "timer", name="pit", tickpolicy="delay")
        SubElement(clock, "timer", name="rtc", tickpolicy="catchup")
    SubElement(clock, "timer", name="hpet", present="no")
