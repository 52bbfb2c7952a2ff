"""Where a guest's console is, as libvirt has it; blocking, for a thread.

The rule: asked of the running guest each time, for its ports are others after each start.
"""

from typing import Any

from kilonova.compute.agent.driver import ConsoleNotOffered
from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.domains import is_ours, lookup
from kilonova.compute.agent.drivers.options import ConsoleOptions, ScreenOptions, SerialOptions
from kilonova.compute.agent.drivers.serial_ports import port_of
from kilonova.compute.agent.spec import ConsoleAddress, ConsoleKind
from kilonova.kit.host_commands import HostError

SWITCHES = {"vnc": "[vnc] enabled", "spice": "[spice] enabled", "serial": "[serial_console] enabled"}


def offered(kind: ConsoleKind, options: ConsoleOptions) -> ScreenOptions | SerialOptions:
    """What is configured for that kind. Raises ConsoleNotOffered."""
    found: ScreenOptions | SerialOptions | None = getattr(options, kind)
    if found is None:
        raise ConsoleNotOffered(f"its host offers no {kind} consoles ({SWITCHES[kind]} is false there)")
    return found


def find(connection: Any, server_id: str, kind: ConsoleKind, options: ConsoleOptions) -> ConsoleAddress:
    """Raises ConsoleNotOffered, HostError when the server has no guest."""
    way = offered(kind, options)
    domain = lookup(connection, server_id)
    if domain is None or not is_ours(domain) or not domain.isActive():
        raise HostError(f"Server {server_id} has no guest on this host.")
    boot, xml = str(domain.ID()), domain.XMLDesc(0)
    port = port_of(xml) if kind == "serial" else _screen_port(xml, kind)
    if port is None:
        raise ConsoleNotOffered(
            f"it was started before its host offered {kind} consoles: it gets one when it is stopped and started"
        )
    direct_url = way.direct_url if isinstance(way, ScreenOptions) else ""
    return ConsoleAddress(way.address, port, way.base_url, boot, direct_url)


def _screen_port(xml: str, kind: str) -> int | None:
    graphics = parse_xml(xml).find(f"devices/graphics[@type='{kind}']")
    port = -1 if graphics is None else int(graphics.get("port", "-1"))
    return port if port > 0 else None
