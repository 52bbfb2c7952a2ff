"""The devices of a guest in libvirt's words; pure."""

from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.disks import DiskStyle, add_disk
from kilonova.compute.agent.drivers.domain_xml.elements import text
from kilonova.compute.agent.drivers.domain_xml.interfaces import add_interface
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan, is_pcie, pick_machine_type
from kilonova.compute.agent.drivers.options import ScreenOptions
from kilonova.compute.hardware.devices import Devices
from kilonova.compute.hardware.firmware import Tpm
from kilonova.compute.hardware.guest import GuestHardware
from kilonova.kit.host_commands import HostError

SPICE_AGENT_CHANNEL = "com.redhat.spice.0"
GUEST_AGENT_CHANNEL = "org.qemu.guest_agent.0"
WATCHDOG_MODEL = "i6300esb"
KIB_IN_MIB = 1024


def add_devices(devices: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    """Raises HostError for what this host does not have."""
    style = DiskStyle.of(plan, guest)
    for disk in plan.disks:
        add_disk(devices, disk, style)
    _add_controllers(devices, plan, guest)
    for interface in plan.interfaces:
        add_interface(devices, interface, guest, plan.spec.flavor.vcpus)
    _add_serial_lines(devices, plan, guest.devices)
    if guest.devices.has_guest_agent:
        channel = SubElement(devices, "channel", type="unix")
        SubElement(channel, "target", type="virtio", name=GUEST_AGENT_CHANNEL)
    _add_input(devices, guest.devices)
    _add_screens(devices, plan, guest.devices)
    if guest.devices.sound_model:
        SubElement(devices, "sound", model=guest.devices.sound_model)
    if guest.devices.watchdog_action:
        SubElement(devices, "watchdog", model=WATCHDOG_MODEL, action=guest.devices.watchdog_action)
    _add_random_numbers(devices, plan, guest.devices)
    if guest.firmware.tpm is not None:
        _add_tpm(devices, plan, guest.firmware.tpm)
    if guest.devices.iommu_model:
        _add_iommu(devices, plan, guest)
    balloon = SubElement(devices, "memballoon", model="virtio")
    if plan.host.memory_report_seconds:
        SubElement(balloon, "stats", period=str(plan.host.memory_report_seconds))


def _add_controllers(devices: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    """Raises HostError for a disk without a controller. libvirt adds those that are not named here."""
    if any(disk.place.bus == "scsi" for disk in plan.disks):
        controller = SubElement(devices, "controller", type="scsi", index="0", model=guest.devices.scsi_model)
        if guest.devices.has_packed_rings and guest.devices.scsi_model == "virtio-scsi":
            SubElement(controller, "driver", packed="on")
    if is_pcie(pick_machine_type(plan, guest)):
        SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
        for _ in range(plan.host.pcie_ports):
            SubElement(devices, "controller", type="pci", model="pcie-root-port")
    if guest.devices.usb_model == "none" and any(disk.place.bus == "usb" for disk in plan.disks):
        raise HostError("A disk is to be on the bus usb, and hw_usb_model=none leaves the server without one.")
    if guest.devices.usb_model:
        SubElement(devices, "controller", type="usb", index="0", model=guest.devices.usb_model)


def _add_serial_lines(devices: Element, plan: DomainPlan, guest: Devices) -> None:
    for number in range(guest.serial_ports):
        offered = plan.consoles.serial
        if number or offered is None or plan.serial_port is None:
            serial = SubElement(devices, "serial", type="pty")
        else:
            serial = SubElement(devices, "serial", type="tcp")
            SubElement(serial, "source", mode="bind", host=offered.address, service=str(plan.serial_port))
            SubElement(serial, "protocol", type="raw")
        if number == 0:
            # Kept over restarts by virtlogd, which also bounds it; without append each boot would begin with an
            # empty log.
            SubElement(serial, "log", file=str(plan.console_path), append="off")
        SubElement(serial, "target", port=str(number))


def _add_input(devices: Element, guest: Devices) -> None:
    has_usb = guest.usb_model != "none"
    if guest.pointer_model == "usbtablet" and (has_usb or guest.input_bus != "usb"):
        # Its absolute positions keep the pointer of a console in a browser under the one the user sees.
        SubElement(devices, "input", type="tablet", bus=guest.input_bus)
    if guest.has_input_bus:
        SubElement(devices, "input", type="keyboard", bus=guest.input_bus)


def _add_screens(devices: Element, plan: DomainPlan, guest: Devices) -> None:
    offered = plan.consoles
    if offered.vnc is not None:
        _add_screen(devices, "vnc", offered.vnc)
    if offered.spice is not None:
        _add_screen(devices, "spice", offered.spice)
        if offered.has_spice_agent:
            channel = SubElement(devices, "channel", type="spicevmc")
            SubElement(channel, "target", type="virtio", name=SPICE_AGENT_CHANNEL)
    if guest.redirected_usb_ports and offered.spice is None:
        raise HostError("USB devices are redirected through SPICE, and this host gives its guests no SPICE consoles.")
    for _ in range(guest.redirected_usb_ports):
        SubElement(devices, "redirdev", bus="usb", type="spicevmc")
    # SPICE's own card tells its clients what has changed; without it they get pictures of the whole screen.
    usual = "vga" if offered.spice is None else "qxl"
    model = SubElement(SubElement(devices, "video"), "model", type=guest.video_model or usual)
    if guest.video_ram_mib is not None:
        model.set("vram", str(guest.video_ram_mib * KIB_IN_MIB))


def _add_screen(devices: Element, kind: str, offered: ScreenOptions) -> None:
    graphics = SubElement(devices, "graphics", type=kind, port="-1", autoport="yes")
    if offered.keymap:
        graphics.set("keymap", offered.keymap)
    SubElement(graphics, "listen", type="address", address=offered.listen)


def _add_random_numbers(devices: Element, plan: DomainPlan, guest: Devices) -> None:
    numbers = guest.random_numbers
    if numbers is None:
        return
    rng = SubElement(devices, "rng", model="virtio")
    if numbers.rate_bytes is not None:
        SubElement(rng, "rate", bytes=str(numbers.rate_bytes), period=str(numbers.period_ms))
    text(rng, "backend", plan.host.random_device, model="random")


def _add_tpm(devices: Element, plan: DomainPlan, asked: Tpm) -> None:
    if not plan.host.has_tpm_emulator:
        raise HostError(
            f"A TPM of version {asked.version} is asked for, and this host emulates none: "
            "that needs swtpm, and [libvirt] swtpm_enabled."
        )
    tpm = SubElement(devices, "tpm", model=asked.model)
    SubElement(tpm, "backend", type="emulator", version=asked.version)


def _add_iommu(devices: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    machine = pick_machine_type(plan, guest)
    if not is_pcie(machine):
        raise HostError(f"An IOMMU needs the machine q35; this host's usual one is {machine}.")
    if guest.devices.iommu_model != "intel":
        SubElement(devices, "iommu", model="virtio")
        return
    iommu = SubElement(devices, "iommu", model="intel")
    driver = SubElement(iommu, "driver", intremap="on", caching_mode="on", iotlb="on")
    if plan.virt_type == "kvm":
        # Interrupts of more than 255 processors: KVM's interrupt controller alone has them.
        driver.set("eim", "on")
