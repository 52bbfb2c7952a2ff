"""The network interfaces of a server: a tap for each port, which its network agent plugs."""

from dataclasses import dataclass

from kilonova.compute.agent.spec import OpenVSwitchPlug, ServerSpec, SpecPort
from kilonova.kit.host_commands import HostError


@dataclass(frozen=True)
class PlannedInterface:
    """An interface as a hypervisor makes it; known by its tap."""

    tap: str
    mac_address: str
    mtu: int


def plan(spec: ServerSpec) -> dict[str, PlannedInterface]:
    """Name of the tap → interface, in the order of the ports. Raises HostError for a plug that no driver has; pure."""
    return {port.tap: _plan(port) for port in spec.ports}


def _plan(port: SpecPort) -> PlannedInterface:
    if isinstance(port.plug, OpenVSwitchPlug):
        bridge = port.plug.bridge
        raise HostError(f"Port {port.id} belongs into {bridge} of Open vSwitch; this host has taps for bridges only.")
    return PlannedInterface(port.tap, port.mac_address, port.mtu)
