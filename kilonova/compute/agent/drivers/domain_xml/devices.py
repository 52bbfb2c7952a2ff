"""The devices of a guest in libvirt's words; pure."""

from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.disks import add_disk
from kilonova.compute.agent.drivers.domain_xml.elements import chosen, image_property, text
from kilonova.compute.agent.drivers.domain_xml.interfaces import add_interface, vif_model
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan
from kilonova.compute.agent.drivers.options import ScreenOptions

RNG_DEVICE = "/dev/urandom"
BALLOON_PERIOD_SECONDS = 10
PCIE_HOTPLUG_PORTS = 16
"""Root ports of a q35 guest; each takes one device, and ports cannot be added while it runs."""

VIDEO_MODELS = ("vga", "virtio", "cirrus", "qxl", "bochs", "none")
POINTER_MODELS = ("usbtablet", "ps2mouse")
SPICE_AGENT_CHANNEL = "com.redhat.spice.0"


def add_devices(devices: Element, plan: DomainPlan, *, is_pcie: bool) -> None:
    for disk in plan.disks:
        add_disk(devices, disk)
    if any(disk.place.bus == "scsi" for disk in plan.disks):
        SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    if is_pcie:
        SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
        for _ in range(PCIE_HOTPLUG_PORTS):
            SubElement(devices, "controller", type="pci", model="pcie-root-port")
    model = vif_model(plan.spec)
    for interface in plan.interfaces:
        add_interface(devices, interface, model)
    _add_serial(devices, plan)
    if chosen(plan.spec, "hw_pointer_model", POINTER_MODELS, "usbtablet") == "usbtablet":
        # Its absolute positions keep the pointer of a console in a browser under the one the user sees.
        SubElement(devices, "input", type="tablet", bus="usb")
    _add_screens(devices, plan)
    if image_property(plan.spec, "hw_rng_model", "virtio") == "virtio":
        rng = SubElement(devices, "rng", model="virtio")
        text(rng, "backend", RNG_DEVICE, model="random")
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
    SubElement(video, "model", type=chosen(plan.spec, "hw_video_model", VIDEO_MODELS, usual))


def _add_screen(devices: Element, kind: str, offered: ScreenOptions) -> None:
    graphics = SubElement(devices, "graphics", type=kind, port="-1", autoport="yes")
    if offered.keymap:
        graphics.set("keymap", offered.keymap)
    SubElement(graphics, "listen", type="address", address=offered.listen)
