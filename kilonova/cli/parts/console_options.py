"""What nova.conf says of the consoles a compute host gives its guests."""

import re
from typing import Any

from kilonova.compute.agent.drivers.options import ConsoleOptions, ScreenOptions, SerialOptions
from kilonova.compute.agent.spec import ConsoleKind
from kilonova.kit.config import ConfigError


def console_options(config: Any) -> ConsoleOptions:
    """Raises ConfigError."""
    return ConsoleOptions(
        vnc=_screen(config.vnc, config.vnc.novncproxy_base_url),
        spice=_screen(config.spice, config.spice.html5proxy_base_url, config.spice.spice_direct_proxy_base_url),
        has_spice_agent=config.spice.agent_enabled,
        serial=_serial(config.serial_console),
    )


def console_urls(options: ConsoleOptions) -> dict[ConsoleKind, str]:
    """Of the proxies in front of each kind that is offered."""
    offered: dict[ConsoleKind, ScreenOptions | SerialOptions | None] = {
        "vnc": options.vnc,
        "spice": options.spice,
        "serial": options.serial,
    }
    return {kind: each.base_url for kind, each in offered.items() if each is not None}


def _screen(group: Any, base_url: str, direct_url: str = "") -> ScreenOptions | None:
    if not group.enabled:
        return None
    return ScreenOptions(group.server_listen, group.server_proxyclient_address, base_url, group.keymap, direct_url)


def _serial(group: Any) -> SerialOptions | None:
    if not group.enabled:
        return None
    return SerialOptions(group.proxyclient_address, group.base_url, port_range(group.port_range))


def port_range(text: str) -> range:
    """`FIRST:LAST`, both included. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,5})\s*:\s*(\d{1,5})\s*", text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < first <= last < 1 << 16:
        raise ConfigError(f"[serial_console] port_range: {text!r} is not FIRST:LAST, such as 10000:20000")
    return range(first, last + 1)
