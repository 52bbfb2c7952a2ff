"""All that the definition of a server depends on."""

from dataclasses import dataclass, field
from pathlib import Path

from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.drivers.options import ConsoleOptions, GuestCpu, HardwareOptions, VirtType
from kilonova.compute.agent.spec import ServerSpec
from kilonova.compute.hardware.guest import PCIE_MACHINE, GuestHardware

DEFAULT_MACHINE_TYPE = "pc"


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
    """The port of the serial line, where that can be typed on (`consoles.serial`)."""
    guest_cpu: GuestCpu = field(default_factory=GuestCpu)
    kernel: Path | None = None
    """The kernel's file in the host's cache, booted without a boot loader; so is the ramdisk."""
    ramdisk: Path | None = None
    host: HardwareOptions = field(default_factory=HardwareOptions)


def pick_machine_type(plan: DomainPlan, guest: GuestHardware) -> str:
    """The image's property, else the host's option, else the default."""
    return guest.firmware.machine or plan.machine_type or DEFAULT_MACHINE_TYPE


def is_pcie(machine_type: str) -> bool:
    return PCIE_MACHINE in machine_type
