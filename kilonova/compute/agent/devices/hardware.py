"""The hardware of a server's guest, as a host reads it from the specification; pure."""

from kilonova.compute.agent.spec import ServerSpec
from kilonova.compute.hardware.guest import GuestHardware, hardware_of
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.kit.host_commands import HostError


def read_hardware(spec: ServerSpec) -> GuestHardware:
    """Returns what flavor and image ask for. Raises HostError for what cannot be."""
    properties = spec.image.properties if spec.image else {}
    try:
        return hardware_of(spec.flavor.extra_specs, properties, spec.flavor.vcpus)
    except UnusableSpec as error:
        raise HostError(str(error)) from error
