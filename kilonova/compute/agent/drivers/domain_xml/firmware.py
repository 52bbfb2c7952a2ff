"""Machine, firmware, features and clock of a guest in libvirt's words; pure."""

from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.elements import text
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan, is_pcie, pick_machine_type
from kilonova.compute.hardware.firmware import Firmware
from kilonova.compute.hardware.guest import GuestHardware
from kilonova.kit.host_commands import HostError

HYPERV_SWITCHES = (
    *("relaxed", "vapic", "vpindex", "runtime", "synic", "reset", "frequencies"),
    *("reenlightenment", "tlbflush", "ipi"),
)
"""The features of Hyper-V that Windows looks for, besides the spinlocks."""
SPINLOCK_RETRIES = 8191


def add_boot(domain: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    """Raises HostError for a machine that cannot have what is asked for."""
    firmware, machine = guest.firmware, pick_machine_type(plan, guest)
    os_element = SubElement(domain, "os")
    text(os_element, "type", "hvm", arch="x86_64", machine=machine)
    if firmware.is_uefi:
        _add_uefi(os_element, firmware, machine)
    if plan.kernel is not None:
        text(os_element, "kernel", str(plan.kernel))
        if plan.ramdisk is not None:
            text(os_element, "initrd", str(plan.ramdisk))
        text(os_element, "cmdline", firmware.command_line)
    elif not any(disk.place.boot_order is not None for disk in plan.disks):
        SubElement(os_element, "boot", dev="hd")
    if firmware.has_boot_menu:
        SubElement(os_element, "bootmenu", enable="yes")
    SubElement(os_element, "smbios", mode="sysinfo")


def _add_uefi(os_element: Element, firmware: Firmware, machine: str) -> None:
    """libvirt picks the file of a firmware that has what is said here."""
    os_element.set("firmware", "efi")
    is_secure = firmware.secure_boot == "required"
    if is_secure and not is_pcie(machine):
        raise HostError(f"Secure boot needs the machine q35; this host's usual one is {machine}.")
    features = SubElement(os_element, "firmware")
    for name in ("secure-boot", "enrolled-keys"):
        SubElement(features, "feature", enabled="yes" if is_secure else "no", name=name)
    if firmware.is_stateless:
        SubElement(os_element, "loader", stateless="yes")


def add_features(domain: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    features, processor = SubElement(domain, "features"), guest.processor
    SubElement(features, "acpi")
    SubElement(features, "apic")
    if guest.devices.is_windows and plan.virt_type == "kvm":
        hyperv = SubElement(features, "hyperv")
        for name in HYPERV_SWITCHES:
            SubElement(hyperv, name, state="on")
        SubElement(hyperv, "spinlocks", state="on", retries=str(SPINLOCK_RETRIES))
    if processor.hides_hypervisor:
        SubElement(SubElement(features, "kvm"), "hidden", state="on")
    if processor.pmu is not None:
        SubElement(features, "pmu", state="on" if processor.pmu else "off")
    if guest.firmware.secure_boot == "required":
        SubElement(features, "smm", state="on")
    if guest.devices.iommu_model == "intel":
        SubElement(features, "ioapic", driver="qemu")


def add_clock(domain: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    # Windows takes the clock of its machine for local time.
    is_windows = guest.devices.is_windows
    clock = SubElement(domain, "clock", offset="localtime" if is_windows else "utc")
    if plan.virt_type == "kvm":
        SubElement(clock, "timer", name="pit", tickpolicy="delay")
        SubElement(clock, "timer", name="rtc", tickpolicy="catchup")
        if is_windows:
            SubElement(clock, "timer", name="hypervclock", present="yes")
    SubElement(clock, "timer", name="hpet", present="yes" if guest.devices.has_hpet else "no")
