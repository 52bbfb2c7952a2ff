"""Established flows that the rules no longer allow: read conntrack's list, judge each flow, delete just those. Pure.

The rule: a flow is cut exactly when its first packet would be refused today. So taking one rule away does not disturb
flows that another rule still allows, and nothing is deleted by guess.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kilonova.network.agent.rulesets import PROTOCOL_NUMBERS, SavedTables
from kilonova.network.agent.security_rules import (
    ICMP,
    ICMPV6,
    GuardedNetwork,
    UnknownProtocol,
    address_pairs,
    rule_protocol,
)
from kilonova.network.wanted import WantedPort, WantedRule, WantedSecurityGroup

_NUMBERED_PORTS = (6, 17, 33, 132, 136)


@dataclass(frozen=True, slots=True)
class Flow:
    """The original direction of one conntrack entry; zone 0 is the host's own."""

    protocol: int
    source: str
    destination: str
    zone: int = 0
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None


def parse_flows(text: str) -> list[Flow]:
    """Parse `conntrack -L`: the first `src=`… group of a line is the original direction."""
    flows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or not words[1].isdigit():
            continue
        values: dict[str, str] = {}
        for word in words[2:]:
            key, separator, value = word.partition("=")
            if separator:
                values.setdefault(key, value)
        if "src" in values and "dst" in values:
            flows.append(_as_flow(int(words[1]), values))
    return flows


def _as_flow(protocol: int, values: Mapping[str, str]) -> Flow:
    def number(key: str) -> int | None:
        return int(values[key]) if values.get(key, "").isdigit() else None

    return Flow(
        protocol=protocol,
        source=values["src"],
        destination=values["dst"],
        zone=number("zone") or 0,
        source_port=number("sport"),
        destination_port=number("dport"),
        icmp_type=number("type"),
        icmp_code=number("code"),
        icmp_id=number("id"),
    )


def render_delete(flow: Flow) -> str:
    """A line for `conntrack -R` that deletes this flow."""
    family = "ipv6" if ":" in flow.source else "ipv4"
    text = f"-D -f {family} -w {flow.zone} -p {flow.protocol} -s {flow.source} -d {flow.destination}"
    if flow.protocol in (ICMP, ICMPV6):
        option = "icmp" if flow.protocol == ICMP else "icmpv6"
        return f"{text} --{option}-type {flow.icmp_type} --{option}-code {flow.icmp_code} --{option}-id {flow.icmp_id}"
    if flow.protocol in _NUMBERED_PORTS and flow.source_port is not None:
        text += f" --sport {flow.source_port} --dport {flow.destination_port}"
    return text


def _contains(prefix: str, address: str) -> bool:
    network = ipaddress.ip_network(prefix, strict=False)
    candidate = ipaddress.ip_address(address)
    return candidate.version == network.version and candidate in network


def _matches_range(rule: WantedRule, flow: Flow) -> bool:
    """Ports, or for ICMP type and code; a protocol without ports has none to compare."""
    low, high = rule.port_range_min, rule.port_range_max
    if flow.protocol in (ICMP, ICMPV6):
        return low in (None, flow.icmp_type) and high in (None, flow.icmp_code)
    port = flow.destination_port
    return port is None or (low or 0) <= port <= (high if high is not None else 65535)


def _matches(rule: WantedRule, flow: Flow, remote: str, groups: Mapping[str, WantedSecurityGroup]) -> bool:
    if (rule.ethertype == "IPv6") != (":" in flow.source):
        return False
    try:
        number = rule_protocol(rule)
    except UnknownProtocol:
        return False
    if number is not None and number != flow.protocol:
        return False
    if number is not None and not _matches_range(rule, flow):
        return False
    if rule.remote_ip_prefix is not None and not _contains(rule.remote_ip_prefix, remote):
        return False
    if rule.remote_group_id is not None:
        group = groups.get(rule.remote_group_id)
        return group is not None and any(_contains(member, remote) for member in group.member_ips)
    return True


def _allows(port: WantedPort, direction: str, flow: Flow, groups: Mapping[str, WantedSecurityGroup]) -> bool:
    is_dhcp = flow.protocol == PROTOCOL_NUMBERS["udp"] and {flow.source_port, flow.destination_port} <= {67, 68}
    if is_dhcp or (flow.protocol == PROTOCOL_NUMBERS["udp"] and flow.destination_port in (546, 547)):
        return True
    remote = flow.source if direction == "ingress" else flow.destination
    return any(
        _matches(rule, flow, remote, groups)
        for group_id in port.security_group_ids
        if group_id in groups
        for rule in groups[group_id].rules
        if rule.direction == direction
    )


def pick_refused_flows(
    flows: Iterable[Flow],
    ports: Iterable[WantedPort],
    networks: Iterable[GuardedNetwork],
    groups: Iterable[WantedSecurityGroup],
    released: Iterable[tuple[int, str]] = (),
) -> list[Flow]:
    """Flows to cut: an end is a guarded port that would refuse it now, or an address in `released` (zone, address)."""
    zones = {network.id: network.zone or 0 for network in networks}
    known = {group.id: group for group in groups}
    owners: dict[tuple[int, str], WantedPort] = {}
    for port in ports:
        if port.port_security_enabled and port.network_id in zones:
            for address, _ in address_pairs(port):
                owners[zones[port.network_id], address.removesuffix("/32").removesuffix("/128")] = port
    gone = set(released) - set(owners)
    refused = []
    for flow in flows:
        sender = owners.get((flow.zone, flow.source))
        receiver = owners.get((flow.zone, flow.destination))
        if (
            (flow.zone, flow.source) in gone
            or (flow.zone, flow.destination) in gone
            or (sender is not None and not _allows(sender, "egress", flow, known))
            or (receiver is not None and not _allows(receiver, "ingress", flow, known))
        ):
            refused.append(flow)
    return refused


def released_addresses(saved: SavedTables, removed: Mapping[str, list[str]]) -> set[tuple[int, str]]:
    """(zone, address) that ports on this host no longer have, read from the rules that a plan takes away."""
    zones: dict[str, int] = {}
    for rule in saved.get("raw", {}).get("kn-zones", []):
        words = rule.split()
        zones[words[words.index("-i") + 1]] = int(words[words.index("--zone") + 1])
    bridges: dict[str, str] = {}
    for rule in saved.get("mangle", {}).get("kn-egress", []):
        words = rule.split()
        bridges[words[words.index("-j") + 1]] = words[words.index("-i") + 1]
    found: set[tuple[int, str]] = set()
    for chain, rules in saved.get("mangle", {}).items():
        if not chain.startswith("kn-from-"):
            continue
        zone = zones.get(bridges.get(chain, ""), 0)
        for rule in rules:
            spoof_chain = "kn-s-" + rule.rsplit("-j kn-e-", 1)[-1]
            for gone in removed.get(spoof_chain, []):
                words = gone.split()
                if words[0] == "-s" and words[1].endswith(("/32", "/128")):
                    found.add((zone, words[1].rpartition("/")[0]))
    return found
