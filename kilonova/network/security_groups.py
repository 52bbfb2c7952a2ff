"""Security groups and their rules. Source: Networking API, "Security groups"."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select, update

from kilonova.kit.db import Tx
from kilonova.network import records
from kilonova.network.errors import (
    InvalidInput,
    SecurityGroupCannotRemoveDefault,
    SecurityGroupInUse,
    SecurityGroupNotFound,
    SecurityGroupRuleExists,
    SecurityGroupRuleNotFound,
)
from kilonova.network.records import Filters
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    SecurityGroup,
    SecurityGroupRule,
    port_security_groups,
    security_group_rules,
    security_groups,
)

PROTOCOLS = (
    "ah dccp egp esp gre hopopt icmp igmp ipip ipv6-encap ipv6-frag ipv6-icmp icmpv6 ipv6-nonxt ipv6-opts ipv6-route "
    "ospf pgm rsvp sctp tcp udp udplite vrrp"
).split()
PORT_PROTOCOLS = ("tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "132", "33", "136")
ICMP_PROTOCOLS = ("icmp", "icmpv6", "ipv6-icmp", "1", "58")


async def find(tx: Tx, group_id: str) -> SecurityGroup:
    return await records.find(tx, security_groups, SecurityGroup, group_id, SecurityGroupNotFound)


def visible_to(project_id: str | None) -> ColumnElement[bool]:
    return records.own_or(security_groups, project_id, security_groups.c.shared.is_(True))


async def list_seen(tx: Tx, filters: Filters, seen_by: str | None, *, sees_all: bool) -> list[SecurityGroup]:
    visible = None if sees_all else visible_to(seen_by)
    return await records.list_where(tx, security_groups, SecurityGroup, filters, visible)


async def list_rules(tx: Tx, filters: Filters, seen_by: str | None, *, sees_all: bool) -> list[SecurityGroupRule]:
    visible = None if sees_all else records.own_or(security_group_rules, seen_by)
    return await records.list_where(tx, security_group_rules, SecurityGroupRule, filters, visible)


async def change(tx: Tx, service: NetworkService, group: SecurityGroup, values: Mapping[str, Any]) -> SecurityGroup:
    await records.change(tx, security_groups, group, service.clock.now(), values)
    return await find(tx, group.id)


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
    await records.raise_revision(tx)


async def delete(tx: Tx, group: SecurityGroup, *, is_admin: bool) -> None:
    """Raises SecurityGroupInUse, SecurityGroupCannotRemoveDefault."""
    if group.default_of_project is not None and not is_admin:
        raise SecurityGroupCannotRemoveDefault
    statement = select(func.count()).where(port_security_groups.c.security_group_id == group.id)
    if await tx.scalar(statement):
        raise SecurityGroupInUse(group.id)
    await records.remove(tx, security_groups, group.id)
    await records.raise_revision(tx)


async def rules_of(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[SecurityGroupRule]]:
    """Group id → its rules."""
    statement = select(security_group_rules).where(security_group_rules.c.security_group_id.in_(list(group_ids)))
    found: dict[str, list[SecurityGroupRule]] = {each: [] for each in group_ids}
    for rule in await tx.all(SecurityGroupRule, statement.order_by(security_group_rules.c.created_at)):
        found[rule.security_group_id].append(rule)
    return found


async def find_rule(tx: Tx, rule_id: str) -> SecurityGroupRule:
    return await records.find(tx, security_group_rules, SecurityGroupRule, rule_id, SecurityGroupRuleNotFound)


def new_rule(service: NetworkService, group: SecurityGroup, wanted: Mapping[str, Any]) -> SecurityGroupRule:
    return SecurityGroupRule(
        **records.standard(group.project_id, "", wanted.get("description") or "", service.clock.now()),
        security_group_id=group.id,
        direction=wanted["direction"],
        ethertype=wanted.get("ethertype") or "IPv4",
        protocol=wanted.get("protocol"),
        port_range_min=wanted.get("port_range_min"),
        port_range_max=wanted.get("port_range_max"),
        remote_ip_prefix=wanted.get("remote_ip_prefix"),
        remote_group_id=wanted.get("remote_group_id"),
    )


def check_rule(rule: SecurityGroupRule) -> None:
    """Raises InvalidInput for a rule that cannot be meant; brings protocol and prefix into their usual form."""
    if rule.direction not in ("ingress", "egress"):
        raise InvalidInput(f"direction must be ingress or egress, got {rule.direction!r}.")
    if rule.ethertype not in ("IPv4", "IPv6"):
        raise InvalidInput(f"ethertype must be IPv4 or IPv6, got {rule.ethertype!r}.")
    if rule.remote_ip_prefix is not None and rule.remote_group_id is not None:
        raise InvalidInput("Only remote_ip_prefix or remote_group_id may be provided.")
    rule.protocol = _check_protocol(rule.protocol)
    _check_ports(rule)
    if rule.remote_ip_prefix is not None:
        rule.remote_ip_prefix = _check_prefix(rule.remote_ip_prefix, rule.ethertype)


def _check_protocol(protocol: Any) -> str | None:
    if protocol is None or str(protocol).lower() in ("any", "-1"):
        return None
    text = str(protocol).lower()
    if text in PROTOCOLS or (text.isdecimal() and int(text) <= 255):
        return text
    raise InvalidInput(
        f"Security group rule protocol {protocol} not supported. Possible are {', '.join(PROTOCOLS)}, "
        "and numbers from 0 to 255."
    )


def _check_ports(rule: SecurityGroupRule) -> None:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return
    if rule.protocol in ICMP_PROTOCOLS:
        for name, value in (("ICMP type", low), ("ICMP code", high)):
            if value is not None and not 0 <= value <= 255:
                raise InvalidInput(f"Invalid value for {name}: {value}; 0 to 255 are possible.")
        if low is None:
            raise InvalidInput("ICMP code (port-range-max) is provided but ICMP type (port-range-min) is missing.")
        return
    if rule.protocol not in PORT_PROTOCOLS:
        raise InvalidInput(f"A port range needs a protocol with ports: {', '.join(PORT_PROTOCOLS)}.")
    if low is None or high is None or not 1 <= low <= high <= 65535:
        raise InvalidInput(
            f"For TCP/UDP protocols, port_range_min must be <= port_range_max and both from 1 to 65535, "
            f"got {low} and {high}."
        )


def _check_prefix(prefix: str, ethertype: str) -> str:
    try:
        network = ipaddress.ip_network(prefix, strict=False)
    except ValueError as error:
        raise InvalidInput(f"remote_ip_prefix: {error}.") from error
    if f"IPv{network.version}" != ethertype:
        raise InvalidInput(f"Conflicting value ethertype {ethertype} for CIDR {prefix}.")
    return str(network)


async def insert_rule(tx: Tx, rule: SecurityGroupRule) -> None:
    """Raises SecurityGroupRuleExists when the group has one that says the same."""
    for other in (await rules_of(tx, [rule.security_group_id]))[rule.security_group_id]:
        if _meaning(other) == _meaning(rule):
            raise SecurityGroupRuleExists(other.id)
    await tx.insert(security_group_rules, rule)
    await _touch(tx, rule.security_group_id)


def _meaning(rule: SecurityGroupRule) -> tuple[object, ...]:
    return (
        rule.direction,
        rule.ethertype,
        rule.protocol,
        rule.port_range_min,
        rule.port_range_max,
        rule.remote_ip_prefix,
        rule.remote_group_id,
    )


async def delete_rule(tx: Tx, rule: SecurityGroupRule) -> None:
    await records.remove(tx, security_group_rules, rule.id)
    await _touch(tx, rule.security_group_id)


async def _touch(tx: Tx, group_id: str) -> None:
    raised = security_groups.c.revision_number + 1
    await tx.execute(update(security_groups).where(security_groups.c.id == group_id).values(revision_number=raised))
    await records.raise_revision(tx)
