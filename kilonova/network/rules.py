"""What a security group's rule may say, in its usual form. Pure."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from kilonova.network.errors import InvalidInput
from kilonova.network.ipam import pick
from kilonova.network.tables import Rule

PROTOCOLS = (
    "ah dccp egp esp gre hopopt icmp igmp ipip ipv6-encap ipv6-frag ipv6-icmp icmpv6 ipv6-nonxt ipv6-opts ipv6-route "
    "ospf pgm rsvp sctp tcp udp udplite vrrp"
).split()
PORT_PROTOCOLS = ("tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "132", "33", "136")
ICMP_PROTOCOLS = ("icmp", "icmpv6", "ipv6-icmp", "1", "58")

IPV6_PROTOCOLS = (
    "icmpv6", "ipv6-icmp", "ipv6-encap", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route",
    "58", "41", "44", "59", "60", "43",
)  # fmt: skip
_PROTOCOL_NUMBERS = {
    "tcp": "6", "udp": "17", "icmp": "1", "ipv6-icmp": "58", "sctp": "132", "dccp": "33", "udplite": "136",
    "ah": "51", "egp": "8", "esp": "50", "gre": "47", "igmp": "2", "ospf": "89", "pgm": "113", "rsvp": "46",
    "vrrp": "112", "ipip": "4",
}  # fmt: skip
"""Names and numbers that say the same (IANA, protocol numbers)."""


def stated(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns of what a rule says, of a request for one."""
    return {
        "direction": wanted["direction"],
        "ethertype": wanted.get("ethertype") or "IPv4",
        "protocol": wanted.get("protocol"),
        "port_range_min": wanted.get("port_range_min"),
        "port_range_max": wanted.get("port_range_max"),
        "remote_ip_prefix": wanted.get("remote_ip_prefix") or None,
        "remote_group_id": wanted.get("remote_group_id"),
    }


def check(rule: Rule) -> None:
    """Brings ethertype, protocol, ports and prefix into their usual form, or refuses them."""
    if rule.direction not in ("ingress", "egress"):
        raise InvalidInput(f"direction must be ingress or egress, got {rule.direction!r}.")
    rule.ethertype = {"ipv4": "IPv4", "ipv6": "IPv6"}.get(rule.ethertype.lower(), rule.ethertype)
    if rule.ethertype not in ("IPv4", "IPv6"):
        raise InvalidInput(f"ethertype must be IPv4 or IPv6, got {rule.ethertype!r}.")
    if rule.remote_ip_prefix is not None and rule.remote_group_id is not None:
        raise InvalidInput("Only remote_ip_prefix or remote_group_id may be provided.")
    rule.protocol = _check_protocol(rule.protocol, rule.ethertype)
    if (rule.port_range_min, rule.port_range_max) == (1, 65535):
        # Every port is what no range means too, for any protocol.
        rule.port_range_min = rule.port_range_max = None
    _check_ports(rule)
    if rule.remote_ip_prefix is not None:
        rule.remote_ip_prefix = _check_prefix(rule.remote_ip_prefix, rule.ethertype)


def _check_protocol(protocol: Any, ethertype: str) -> str | None:
    if protocol is None or str(protocol).lower() in ("", "any", "-1"):
        return None
    text = str(protocol).lower()
    if text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 255:
        text = str(int(text))
    elif text not in PROTOCOLS:
        raise InvalidInput(
            f"Security group rule protocol {protocol} not supported. Possible are {', '.join(PROTOCOLS)}, "
            "and numbers from 0 to 255."
        )
    if ethertype == "IPv6":
        return {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp", "1": "58"}.get(text, text)
    if text in IPV6_PROTOCOLS:
        raise InvalidInput(f"Invalid ethertype {ethertype} for protocol {text}.")
    return text


def _check_ports(rule: Rule) -> None:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return
    if rule.protocol is None:
        raise InvalidInput("Must also specify protocol if port range is given.")
    if rule.protocol in ICMP_PROTOCOLS:
        for name, value in (("ICMP type", low), ("ICMP code", high)):
            if value is not None and not 0 <= value <= 255:
                raise InvalidInput(f"Invalid value for {name}: {value}; 0 to 255 are possible.")
        if low is None:
            raise InvalidInput("ICMP code (port-range-max) is provided but ICMP type (port-range-min) is missing.")
        return
    if rule.protocol not in PORT_PROTOCOLS:
        raise InvalidInput(
            f"Ports cannot be specified for protocol {rule.protocol}. Possible are {', '.join(PORT_PROTOCOLS)}."
        )
    for value in (low, high):
        if value is not None and not 1 <= value <= 65535:
            raise InvalidInput(f"Invalid value for port {value}; 1 to 65535 are possible.")
    if low is None or high is None or low > high:
        raise InvalidInput(
            f"For TCP/UDP protocols, port_range_min must be <= port_range_max, got {low} and {high}; give both."
        )


def _check_prefix(prefix: str, ethertype: str) -> str:
    """As given, with its length."""
    try:
        network = pick.parse_prefix(prefix)
    except ValueError as error:
        raise InvalidInput(f"remote_ip_prefix: {error}.") from error
    if f"IPv{network.version}" != ethertype:
        raise InvalidInput(f"Conflicting value ethertype {ethertype} for CIDR {prefix}.")
    return f"{pick.parse_address(prefix.partition('/')[0])}/{network.prefixlen}"


def normal_prefix(prefix: str | None) -> str | None:
    """The network a prefix means, without the bits beyond its length."""
    return None if prefix is None else str(ipaddress.ip_network(prefix, strict=False))


def meaning_of(rule: Rule) -> str:
    """What the rule says, in one line: rules that say the same have the same."""
    prefix = normal_prefix(rule.remote_ip_prefix)
    parts = (
        rule.direction,
        rule.ethertype,
        _PROTOCOL_NUMBERS.get(rule.protocol or "", rule.protocol),
        rule.port_range_min,
        rule.port_range_max,
        None if prefix in ("0.0.0.0/0", "::/0") else prefix,
        rule.remote_group_id,
    )
    return " ".join("*" if part is None else str(part) for part in parts)
