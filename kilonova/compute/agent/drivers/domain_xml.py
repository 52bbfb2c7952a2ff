"""Renders libvirt's definition of a server; pure. The rule: the same plan gives the same bytes.

So a digest of the definition, kept in the domain's own metadata, tells whether a domain is defined as wanted without
parsing what libvirt makes of it. The same metadata is the mark by which a domain is known to be ours.
Formats: libvirt's domain XML; the `nova:instance` element as operators' tools read it.
"""

import functools
import hashlib
import importlib.metadata
import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.drivers.options import ConsoleOptions, GuestCpu, ScreenOptions, VirtType
from kilonova.compute.agent.spec import ServerSpec
from kilonova.kit.host_commands import HostError

NOVA_NAMESPACE = "http://openstack.org/xmlns/libvirt/nova/1.1"
KILONOVA_NAMESPACE = "https://kilonova.cloud/xmlns/libvirt/1"
DEFAULT_MACHINE_TYPE = "pc"
SMBIOS_PRODUCT = "OpenStack Nova"
"""Exactly this: cloud-init's OpenStack source looks for it."""

RNG_DEVICE = "/dev/urandom"
BALLOON_PERIOD_SECONDS = 10
PCIE_HOTPLUG_PORTS = 16
"""Root ports of a q35 guest; each takes one device, and ports cannot be added while it runs."""

VIF_MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet")
VIDEO_MODELS = ("vga", "virtio", "cirrus", "qxl", "bochs", "none")
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry; a display name may hold them."""

POINTER_MODELS = ("usbtablet", "ps2mouse")
SPICE_AGENT_CHANNEL = "com.redhat.spice.0"

ElementTree.register_namespace("nova", NOVA_NAMESPACE)
ElementTree.register_namespace("kilonova", KILONOVA_NAMESPACE)


@dataclass(frozen=True)
class DomainPlan:
    """All that the definition depends on. `disks` are in the order in which the guest shall see them."""

    spec: ServerSpec
    virt_type: VirtType
    disks: tuple[PlannedDisk, ...]
    interfaces: tuple[PlannedInterface, ...]
    console_path: Path
    machine_type: str = ""
    consoles: ConsoleOptions = field(default_factory=ConsoleOptions)
    serial_port: int | None = None
    """Of the serial line where that can be typed on (`consoles.serial`)."""
    guest_cpu: GuestCpu = field(default_factory=GuestCpu)


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


def parse_xml(xml: str) -> Element:
    """An answer of libvirt, which is trusted, as elements."""
    return ElementTree.fromstring(xml)  # noqa: S314


def pick_machine_type(plan: DomainPlan) -> str:
    """The image's property, else the host's option, else the default."""
    return _property(plan.spec, "hw_machine_type", plan.machine_type or DEFAULT_MACHINE_TYPE)


def _property(spec: ServerSpec, name: str, default: str) -> str:
    value = spec.image.properties.get(name) if spec.image else None
    return default if value is None or value == "" else str(value)


def _chosen(spec: ServerSpec, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = _property(spec, name, default)
    if value not in allowed:
        raise HostError(f"The image property {name} is {value!r}; this host knows {', '.join(allowed)}.")
    return value


def _render_without_digest(plan: DomainPlan) -> Element:
    spec = plan.spec
    _chosen(spec, "hw_firmware_type", ("bios",), "bios")
    domain = Element("domain", type=plan.virt_type)
    _text(domain, "name", spec.instance_name)
    _text(domain, "uuid", spec.id)
    _add_metadata(SubElement(domain, "metadata"), spec)
    _text(domain, "memory", str(spec.flavor.memory_mib), unit="MiB")
    _text(domain, "vcpu", str(spec.flavor.vcpus))
    _add_sysinfo(domain, spec)
    machine_type = pick_machine_type(plan)
    os_element = SubElement(domain, "os")
    _text(os_element, "type", "hvm", arch="x86_64", machine=machine_type)
    if not _has_boot_order(plan):
        SubElement(os_element, "boot", dev="hd")
    SubElement(os_element, "smbios", mode="sysinfo")
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    _add_cpu(domain, plan)
    _add_clock(domain, plan.virt_type)
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(domain, event, action)
    _add_devices(SubElement(domain, "devices"), plan, is_pcie=_is_pcie(machine_type))
    return domain


def _has_boot_order(plan: DomainPlan) -> bool:
    return any(disk.place.boot_order is not None for disk in plan.disks)


def _is_pcie(machine_type: str) -> bool:
    return "q35" in machine_type


def _text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = NOT_IN_XML.sub("", text)
    return element


def _add_metadata(metadata: Element, spec: ServerSpec) -> None:
    def name(tag: str) -> str:
        return f"{{{NOVA_NAMESPACE}}}{tag}"

    instance = SubElement(metadata, name("instance"))
    SubElement(instance, name("package"), version=kilonova_version())
    _text(instance, name("name"), spec.display_name)
    flavor = SubElement(instance, name("flavor"), name=spec.flavor.name)
    amounts = {
        "memory": spec.flavor.memory_mib,
        "disk": spec.flavor.root_gib,
        "swap": spec.flavor.swap_mib,
        "ephemeral": spec.flavor.ephemeral_gib,
        "vcpus": spec.flavor.vcpus,
    }
    for tag, amount in amounts.items():
        _text(flavor, name(tag), str(amount))
    owner = SubElement(instance, name("owner"))
    _text(owner, name("user"), "", uuid=spec.user_id)
    _text(owner, name("project"), "", uuid=spec.project_id)
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
    """What guests and operators read as the version of the cloud that made a domain."""
    return importlib.metadata.version("kilonova")


def _add_sysinfo(domain: Element, spec: ServerSpec) -> None:
    system = SubElement(SubElement(domain, "sysinfo", type="smbios"), "system")
    entries = {
        "manufacturer": "OpenStack Foundation",
        "product": SMBIOS_PRODUCT,
        "version": kilonova_version(),
        "serial": spec.id,
        "uuid": spec.id,
        "family": "Virtual Machine",
    }
    for name, value in entries.items():
        _text(system, "entry", value, name=name)


def _add_cpu(domain: Element, plan: DomainPlan) -> None:
    mode = plan.guest_cpu.mode or ("host-model" if plan.virt_type == "kvm" else "maximum")
    if mode == "none":
        return
    cpu = SubElement(domain, "cpu", mode=mode)
    if mode == "custom":
        cpu.set("match", "exact")
        _text(cpu, "model", plan.guest_cpu.model)


def _add_clock(domain: Element, virt_type: VirtType) -> None:
    clock = SubElement(domain, "clock", offset="utc")
    if virt_type == "kvm":
        SubElement(clock, "timer", name="pit", tickpolicy="delay")
        SubElement(clock, "timer", name="rtc", tickpolicy="catchup")
    SubElement(clock, "timer", name="hpet", present="no")


def _add_devices(devices: Element, plan: DomainPlan, *, is_pcie: bool) -> None:
    for disk in plan.disks:
        _add_disk(devices, disk)
    if any(disk.place.bus == "scsi" for disk in plan.disks):
        SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    if is_pcie:
        SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
        for _ in range(PCIE_HOTPLUG_PORTS):
            SubElement(devices, "controller", type="pci", model="pcie-root-port")
    vif_model = _vif_model(plan.spec)
    for interface in plan.interfaces:
        _add_interface(devices, interface, vif_model)
    _add_serial(devices, plan)
    if _chosen(plan.spec, "hw_pointer_model", POINTER_MODELS, "usbtablet") == "usbtablet":
        # Its absolute positions keep the pointer of a console in a browser under the one the user sees.
        SubElement(devices, "input", type="tablet", bus="usb")
    _add_screens(devices, plan)
    if _property(plan.spec, "hw_rng_model", "virtio") == "virtio":
        rng = SubElement(devices, "rng", model="virtio")
        _text(rng, "backend", RNG_DEVICE, model="random")
    balloon = SubElement(devices, "memballoon", model="virtio")
    SubElement(balloon, "stats", period=str(BALLOON_PERIOD_SECONDS))


def _add_serial(devices: Element, plan: DomainPlan) -> None:
    offered = plan.consoles.serial
    if offered is None or plan.serial_port is None:
        serial = SubElement(devices, "serial", type="pty")
    else:
        serial = SubElement(devices, "serial", type="tcp")
        SubElement(serial, "source", mode="bind", host=offered.address, service=str(plan.serial_port))
        SubElement(serial, "protocol", type="raw")
    # Kept over restarts by virtlogd, which also bounds it; without append each boot would begin with an empty log.
    SubElement(serial, "log", file=str(plan.console_path), append="off")
    SubElement(serial, "target", port="0")


def _add_screens(devices: Element, plan: DomainPlan) -> None:
    offered = plan.consoles
    if offered.vnc is not None:
        _add_screen(devices, "vnc", offered.vnc)
    if offered.spice is not None:
        _add_screen(devices, "spice", offered.spice)
        if offered.has_spice_agent:
            channel = SubElement(devices, "channel", type="spicevmc")
            SubElement(channel, "target", type="virtio", name=SPICE_AGENT_CHANNEL)
    video = SubElement(devices, "video")
    # SPICE's own card tells its clients what has changed; without it they get pictures of the whole screen.
    usual = "vga" if offered.spice is None else "qxl"
    SubElement(video, "model", type=_chosen(plan.spec, "hw_video_model", VIDEO_MODELS, usual))


def _add_screen(devices: Element, kind: str, offered: ScreenOptions) -> None:
    graphics = SubElement(devices, "graphics", type=kind, port="-1", autoport="yes")
    if offered.keymap:
        graphics.set("keymap", offered.keymap)
    SubElement(graphics, "listen", type="address", address=offered.listen)


def _add_disk(devices: Element, disk: PlannedDisk) -> None:
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
    _text(element, "serial", disk.place.serial)
    if disk.place.boot_order is not None:
        SubElement(element, "boot", order=str(disk.place.boot_order))


def render_disk(disk: PlannedDisk) -> str:
    """The definition of one disk, to plug into a running guest."""
    devices = Element("devices")
    _add_disk(devices, disk)
    return ElementTree.tostring(devices[0], encoding="unicode")


def render_interface(spec: ServerSpec, interface: PlannedInterface) -> str:
    """The definition of one interface of a server, to plug into a running guest. Raises HostError like the domain's."""
    devices = Element("devices")
    _add_interface(devices, interface, _vif_model(spec))
    return ElementTree.tostring(devices[0], encoding="unicode")


def interfaces_of(xml: str) -> dict[str, str]:
    """Name of the tap → definition, of each interface in a domain's definition."""
    found = {}
    for interface in parse_xml(xml).iterfind("devices/interface"):
        target = interface.find("target")
        if target is not None:
            found[target.get("dev", "")] = ElementTree.tostring(interface, encoding="unicode")
    return found


def disks_of(xml: str) -> dict[str, str]:
    """Serial → definition, of each disk in a domain's definition that has a serial."""
    return {
        serial: ElementTree.tostring(disk, encoding="unicode")
        for disk in parse_xml(xml).iterfind("devices/disk")
        if (serial := disk.findtext("serial"))
    }


def _vif_model(spec: ServerSpec) -> str:
    return _chosen(spec, "hw_vif_model", VIF_MODELS, "virtio")


def _add_interface(devices: Element, planned: PlannedInterface, model: str) -> None:
    # The tap alone: the network agent plugs it, once its rules stand. Were libvirt to plug it too, whichever of the two
    # came second would be refused.
    interface = SubElement(devices, "interface", type="ethernet")
    SubElement(interface, "mac", address=planned.mac_address)
    SubElement(interface, "target", dev=planned.tap)
    SubElement(interface, "model", type=model)
    SubElement(interface, "mtu", size=str(planned.mtu))
