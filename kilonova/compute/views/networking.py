"""Ports and security groups as the Compute API shows them."""

from collections.abc import Sequence
from typing import Any

from kilonova.network.client import Port, SecurityGroup, SecurityGroupRule

Body = dict[str, Any]


def interface_view(port: Port) -> Body:
    return {
        "net_id": port.network_id,
        "port_id": port.id,
        "mac_addr": port.mac_address,
        "port_state": port.status,
        "fixed_ips": [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in port.fixed_ips],
        "tag": None,
    }


def security_group_view(group: SecurityGroup, known: Sequence[SecurityGroup]) -> Body:
    """`known`: the groups whose names a rule may show."""
    names = {each.id: each.name for each in known}
    rules = [each for each in group.security_group_rules if each.direction == "ingress"]
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project_id,
        "rules": [rule_view(each, names) for each in rules],
    }


def rule_view(rule: SecurityGroupRule, names: dict[str, str]) -> Body:
    """This API knows ingress rules only, and -1 for what is not narrowed."""
    protocol = rule.protocol
    low, high = rule.port_range_min, rule.port_range_max
    if protocol is not None and low is None:
        low, high = (-1, -1) if protocol.startswith("icmp") else (1, 65535)
    peer, prefix = rule.remote_group_id, rule.remote_ip_prefix
    any_address = "::/0" if rule.ethertype == "IPv6" else "0.0.0.0/0"
    return {
        "id": rule.id,
        "parent_group_id": rule.security_group_id,
        "ip_protocol": protocol,
        "from_port": low,
        "to_port": high,
        "group": {} if peer is None else {"name": names.get(peer, peer), "tenant_id": rule.project_id},
        "ip_range": {} if peer is not None else {"cidr": prefix or any_address},
    }
