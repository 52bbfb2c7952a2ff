"""All that the definition of a server depends on."""

from dataclasses import dataclass, field
from pathlib import Path

from kilonova.compute.agent.devices.disks import PlannedDisk
from kilonova.compute.agent.devices.interfaces import PlannedInterface
from kilonova.compute.agent.drivers.domain_xml.elements import image_property
from kilonova.compute.agent.drivers.options import ConsoleOptions, GuestCpu, VirtType
from kilonova.compute.agent.spec import ServerSpec

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
    """Of the serial line where that can be typed on (`consoles.serial`)."""
    guest_cpu: GuestCpu = field(default_factory=GuestCpu)


def pick_machine_type(plan: DomainPlan) -> str:
    """The image's property, else the host's option, else the default."""
    return image_property(plan.spec, "hw_machine_type", plan.machine_type or DEFAULT_MACHINE_TYPE)
