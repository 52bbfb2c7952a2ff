"""A router's NAT and metadata rules. Pure: a wanted router in, tables out.

The rule: what crosses the gateway is translated, what goes between two inner networks is not. A guest that reaches a
neighbour by its floating IP is translated too (hairpin), or the answers would go past the router.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from kilonova.network.agent.rulesets import Hook, SavedTables, Table, Tables
from kilonova.network.wanted import (
    ROUTER_GATEWAY_PREFIX,
    ROUTER_INTERFACE_PREFIX,
    RouterGateway,
    WantedFloatingIp,
    WantedRouter,
    device_name,
)

METADATA_PORT = 9697
"""Where the responder listens in a router's namespace (upstream's number)."""

_FROM_OUTSIDE = "0x2/0x2"
_METADATA = "0x1/0x1"


@dataclass(frozen=True, slots=True)
class Translation:
    """One floating IP as the host's rules show it."""

    floating_ip: str
    fixed_ip: str


def gateway_device(gateway: RouterGateway) -> str:
    return device_name(ROUTER_GATEWAY_PREFIX, gateway.port_id)


def gateway_address(gateway: RouterGateway) -> str | None:
    """The gateway port's first IPv4 address, which inner networks share."""
    addresses = (fixed.ip_address for fixed in gateway.fixed_ips)
    return next((address for address in addresses if ipaddress.ip_address(address).version == 4), None)


def _sorted(floating_ips: Iterable[WantedFloatingIp]) -> list[WantedFloatingIp]:
    return sorted(floating_ips, key=lambda floating: ipaddress.ip_address(floating.floating_ip_address))


def render_router_tables(router: WantedRouter) -> Tables:
    """mangle marks, nat translates, filter keeps the responder's port closed to whoever was not redirected to it."""
    inner = f"-i {ROUTER_INTERFACE_PREFIX}+"
    to_metadata = f"-d 169.254.169.254/32 {inner} -p tcp -m tcp --dport 80"
    prerouting = [f"{to_metadata} -j REDIRECT --to-ports {METADATA_PORT}"]
    marks = [f"{to_metadata} -j MARK --set-xmark {_METADATA}"]
    output: list[str] = []
    postrouting: list[str] = []
    gateway = router.gateway
    if gateway is not None:
        device = gateway_device(gateway)
        marks.append(f"-i {device} -j MARK --set-xmark {_FROM_OUTSIDE}")
        postrouting.append(f"! -o {device} -m conntrack ! --ctstate DNAT -j ACCEPT")
        for floating in _sorted(router.floating_ips):
            outer, fixed = floating.floating_ip_address, floating.fixed_ip_address
            translate = f"-d {outer}/32 -j DNAT --to-destination {fixed}"
            prerouting.append(translate)
            output.append(translate)
            postrouting.append(f"-s {fixed}/32 -j SNAT --to-source {outer}")
        shared = gateway_address(gateway)
        if gateway.enable_snat and shared is not None:
            postrouting.append(f"-o {device} -j SNAT --to-source {shared}")
            hairpin = f"-m mark ! --mark {_FROM_OUTSIDE} -m conntrack --ctstate DNAT -j SNAT --to-source {shared}"
            postrouting.append(hairpin)
    return {
        "mangle": Table({"kn-prerouting": tuple(marks)}, (Hook("PREROUTING", "kn-prerouting"),)),
        "nat": Table(
            {"kn-prerouting": tuple(prerouting), "kn-output": tuple(output), "kn-postrouting": tuple(postrouting)},
            (
                Hook("PREROUTING", "kn-prerouting"),
                Hook("OUTPUT", "kn-output"),
                Hook("POSTROUTING", "kn-postrouting"),
            ),
        ),
        "filter": Table(
            {
                "kn-input": (
                    f"-p tcp -m mark --mark {_METADATA} -m tcp --dport {METADATA_PORT} -j ACCEPT",
                    f"-p tcp -m tcp --dport {METADATA_PORT} -j DROP",
                )
            },
            (Hook("INPUT", "kn-input"),),
        ),
    }


def saved_translations(saved: SavedTables) -> set[Translation]:
    """The floating IPs that a namespace translates now."""
    found = set()
    for rule in saved.get("nat", {}).get("kn-prerouting", []):
        words = rule.split()
        if "DNAT" in words:
            outer = words[words.index("-d") + 1].removesuffix("/32")
            found.add(Translation(outer, words[words.index("--to-destination") + 1]))
    return found


def wanted_translations(router: WantedRouter) -> set[Translation]:
    if router.gateway is None:
        return set()
    return {Translation(each.floating_ip_address, each.fixed_ip_address) for each in router.floating_ips}
