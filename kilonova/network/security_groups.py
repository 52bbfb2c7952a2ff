"""Security groups and their rules. Source: Networking API, "Security groups"."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from kilonova.kit.db import Tx
from kilonova.kit.http.queries import TRUE
from kilonova.network import concerns, records
from kilonova.network.errors import (
    DuplicateSecurityGroupRuleInPost,
    InvalidInput,
    SecurityGroupCannotRemoveDefault,
    SecurityGroupInUse,
    SecurityGroupNotFound,
    SecurityGroupRuleExists,
    SecurityGroupRuleNotFound,
)
from kilonova.network.ipam import pick
from kilonova.network.selections import NAMELESS, STANDARD, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    SecurityGroup,
    SecurityGroupRule,
    port_security_groups,
    security_group_rules,
    security_groups,
)
from kilonova.network.visibility import Visibility

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


def _of_default_groups(values: Sequence[str]) -> ColumnElement[bool]:
    """Filter by whether a rule's group is a project's default one."""
    default = select(security_groups.c.id).where(security_groups.c.default_of_project.is_not(None))
    is_default = security_group_rules.c.security_group_id.in_(default)
    return is_default if values[-1].lower() in TRUE else ~is_default


LISTING = listing(security_groups, {**STANDARD, "stateful": "stateful", "shared": "shared"})
RULES_LISTING = listing(
    security_group_rules,
    {
        **NAMELESS,
        "security_group_id": "security_group_id",
        "direction": "direction",
        "ethertype": "ethertype",
        "protocol": "protocol",
        "port_range_min": "port_range_min",
        "port_range_max": "port_range_max",
        "remote_ip_prefix": "remote_ip_prefix",
        "remote_group_id": "remote_group_id",
    },
    special={"belongs_to_default_sg": _of_default_groups},
    is_tagged=False,
)


def _of_own_groups(project_id: str) -> list[ColumnElement[bool]]:
    """Rules that somebody else has made for groups of one's own."""
    mine = select(security_groups.c.id).where(security_groups.c.project_id == project_id)
    return [security_group_rules.c.security_group_id.in_(mine)]


VISIBILITY = Visibility(
    security_groups, SecurityGroup, SecurityGroupNotFound, lambda _project_id: (security_groups.c.shared.is_(True),)
)
RULE_VISIBILITY = Visibility(security_group_rules, SecurityGroupRule, SecurityGroupRuleNotFound, _of_own_groups)


async def find(tx: Tx, group_id: str) -> SecurityGroup:
    return await records.find(tx, security_groups, SecurityGroup, group_id, SecurityGroupNotFound)


async def default_ids(tx: Tx, group_ids: Sequence[str]) -> set[str]:
    """Which of the groups are a project's default one."""
    default = select(security_groups.c.id).where(security_groups.c.default_of_project.is_not(None))
    found: set[str] = set()
    for piece in records.chunks(group_ids):
        found.update(group_id for (group_id,) in await tx.tuples(default.where(security_groups.c.id.in_(piece))))
    return found


def refuse_stateless(stateful: bool) -> None:
    """Raises InvalidInput for a group that would not track connections: its rules would be for one direction each, and
    the hosts' firewalls have no such groups."""
    if not stateful:
        raise InvalidInput("stateful: false is not served here yet: security groups track connections.")


async def change(tx: Tx, service: NetworkService, group: SecurityGroup, values: Mapping[str, Any]) -> SecurityGroup:
    """Raises SecurityGroupInUse when a group that ports have would change whether it tracks connections."""
    if values.get("stateful", group.stateful) != group.stateful and await _is_in_use(tx, group):
        raise SecurityGroupInUse(group.id)
    await records.change(tx, security_groups, group, service.clock.now(), values)
    await records.raise_revision(tx, concerns.group(group.id))
    return await find(tx, group.id)


async def _is_in_use(tx: Tx, group: SecurityGroup) -> bool:
    member = select(port_security_groups.c.port_id).where(port_security_groups.c.security_group_id == group.id)
    return await tx.scalar(member.limit(1)) is not None


async def has_default(tx: Tx, project_id: str) -> bool:
    one = select(security_groups.c.id).where(security_groups.c.default_of_project == project_id)
    return await tx.scalar(one) is not None


async def ensure_default(tx: Tx, service: NetworkService, project_id: str) -> SecurityGroup:
    """The project's default group, made when it is first needed: all out, in only from the group itself."""
    statement = select(security_groups).where(security_groups.c.default_of_project == project_id)
    found = await tx.first(SecurityGroup, statement)
    if found is not None:
        return found
    group = new_group(service, project_id, "default", "Default security group", default=True)
    await insert(tx, service, group)
    for ethertype in ("IPv4", "IPv6"):
        rule = new_rule(service, group, {"direction": "ingress", "ethertype": ethertype, "remote_group_id": group.id})
        await tx.insert(security_group_rules, rule)
    return group


def new_group(
    service: NetworkService,
    project_id: str,
    name: str,
    description: str,
    *,
    stateful: bool = True,
    default: bool = False,
) -> SecurityGroup:
    return SecurityGroup(
        **records.standard(project_id, name, description, service.clock.now()),
        stateful=stateful,
        shared=False,
        default_of_project=project_id if default else None,
    )


async def insert(tx: Tx, service: NetworkService, group: SecurityGroup) -> None:
    """Inserts a group with the two rules that let everything out."""
    await tx.insert(security_groups, group)
    for ethertype in ("IPv4", "IPv6"):
        rule = new_rule(service, group, {"direction": "egress", "ethertype": ethertype})
        await tx.insert(security_group_rules, rule)


async def delete(tx: Tx, group: SecurityGroup, *, is_admin: bool) -> None:
    """Raises SecurityGroupInUse, SecurityGroupCannotRemoveDefault."""
    if group.default_of_project is not None and not is_admin:
        raise SecurityGroupCannotRemoveDefault
    if await _is_in_use(tx, group):
        raise SecurityGroupInUse(group.id)
    named_by = select(security_group_rules.c.security_group_id).where(
        security_group_rules.c.remote_group_id == group.id
    )
    others = [each for (each,) in await tx.tuples(named_by.distinct())]
    await records.remove(tx, security_groups, group.id)
    # Rules of other groups that named it go with it.
    await records.raise_revision(tx, *(concerns.group(each) for each in (group.id, *others)))


async def rules_of(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[SecurityGroupRule]]:
    """Group id → its rules."""
    found: dict[str, list[SecurityGroupRule]] = {each: [] for each in group_ids}
    for piece in records.chunks(group_ids):
        statement = select(security_group_rules).where(security_group_rules.c.security_group_id.in_(piece))
        for rule in await tx.all(SecurityGroupRule, statement.order_by(security_group_rules.c.created_at)):
            found[rule.security_group_id].append(rule)
    return found


async def find_rule(tx: Tx, rule_id: str) -> SecurityGroupRule:
    return await records.find(tx, security_group_rules, SecurityGroupRule, rule_id, SecurityGroupRuleNotFound)


def new_rule(service: NetworkService, group: SecurityGroup, wanted: Mapping[str, Any]) -> SecurityGroupRule:
    """Returns a new rule of the group. Raises InvalidInput for one that contradicts itself."""
    rule = SecurityGroupRule(
        **records.standard(group.project_id, "", wanted.get("description") or "", service.clock.now()),
        security_group_id=group.id,
        direction=wanted["direction"],
        ethertype=wanted.get("ethertype") or "IPv4",
        protocol=wanted.get("protocol"),
        port_range_min=wanted.get("port_range_min"),
        port_range_max=wanted.get("port_range_max"),
        remote_ip_prefix=wanted.get("remote_ip_prefix") or None,
        remote_group_id=wanted.get("remote_group_id"),
    )
    _check_rule(rule)
    rule.meaning = _meaning(rule)
    return rule


def _check_rule(rule: SecurityGroupRule) -> None:
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


def _check_ports(rule: SecurityGroupRule) -> None:
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


async def insert_rule(tx: Tx, rule: SecurityGroupRule) -> None:
    """Raises SecurityGroupRuleExists when the group has one that says the same."""
    if not await tx.insert_new(security_group_rules, rule):
        same = select(security_group_rules.c.id).where(
            security_group_rules.c.security_group_id == rule.security_group_id,
            security_group_rules.c.meaning == rule.meaning,
        )
        raise SecurityGroupRuleExists(str(await tx.scalar(same)))
    await _touch(tx, rule.security_group_id)


def refuse_repeated(rules: Sequence[SecurityGroupRule]) -> None:
    """Raises DuplicateSecurityGroupRuleInPost when one request says the same twice."""
    if len({(each.security_group_id, each.meaning) for each in rules}) < len(rules):
        raise DuplicateSecurityGroupRuleInPost


def _meaning(rule: SecurityGroupRule) -> str:
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


async def delete_rule(tx: Tx, rule: SecurityGroupRule) -> None:
    await records.remove(tx, security_group_rules, rule.id)
    await _touch(tx, rule.security_group_id)


async def _touch(tx: Tx, group_id: str) -> None:
    raised = security_groups.c.revision_number + 1
    await tx.change(security_groups, {"id": group_id}, revision_number=raised)
    await records.raise_revision(tx, concerns.group(group_id))
