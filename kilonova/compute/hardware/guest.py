"""All of a guest's hardware that its flavor and its image decide; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from kilonova.compute.hardware.asked import Asked
from kilonova.compute.hardware.devices import Devices, devices_of
from kilonova.compute.hardware.firmware import Firmware, firmware_of
from kilonova.compute.hardware.limits import Limits, limits_of
from kilonova.compute.hardware.memory import Memory, memory_of
from kilonova.compute.hardware.processor import Processor, processor_of
from kilonova.compute.hardware.root_device import check_root_device
from kilonova.compute.scheduling.requirements import UnusableSpec

PCIE_MACHINE = "q35"


@dataclass(frozen=True)
class GuestHardware:
    processor: Processor
    memory: Memory
    firmware: Firmware
    devices: Devices
    limits: Limits


def hardware_of(extra_specs: Mapping[str, str], image_properties: Mapping[str, str], vcpus: int) -> GuestHardware:
    """Raises UnusableSpec for a value that cannot be, and for what flavor and image say against each other."""
    asked = Asked(extra_specs, image_properties)
    found = GuestHardware(
        processor_of(asked, vcpus), memory_of(asked), firmware_of(asked), devices_of(asked), limits_of(asked)
    )
    check_root_device(asked)
    _check_machine(found.firmware, found.devices)
    return found


def _check_machine(firmware: Firmware, devices: Devices) -> None:
    """An image that names its machine has to name one that has what else is asked for."""
    if not firmware.machine or PCIE_MACHINE in firmware.machine:
        return
    if devices.iommu_model:
        raise UnusableSpec(f"A guest of the machine {firmware.machine} cannot have an IOMMU: that needs q35.")
    if firmware.secure_boot == "required":
        raise UnusableSpec(f"A guest of the machine {firmware.machine} cannot boot securely: that needs q35.")
