"""Ports and security groups as the Compute API shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from kilonova.network.client import FloatingIp, Network, Port, SecurityGroup, SecurityGroupRule

Body = dict[str, Any]


def interface_view(port: Port, tag: str | None) -> Body:
    return {
        "net_id": port.network_id,
        "port_id": port.id,
        "mac_addr": port.mac_address,
        "port_state": port.status,
        "fixed_ips": [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in port.fixed_ips],
        "tag": tag,
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


UNKNOWN_OF_NETWORKS = (
    "bridge bridge_interface broadcast cidr cidr_v6 created_at deleted deleted_at dhcp_server dhcp_start dns1 dns2 "
    "enable_dhcp gateway gateway_v6 host injected mtu multi_host netmask netmask_v6 priority project_id rxtx_base "
    "share_address updated_at vlan vpn_private_address vpn_public_address vpn_public_port"
).split()
"""What this API shows of networks that compute keeps itself; those of the network service have an id and a label."""


def network_view(network: Network) -> Body:
    return {**dict.fromkeys(UNKNOWN_OF_NETWORKS), "id": network.id, "label": network.name}


def project_network_view(network: Network) -> Body:
    return {"id": network.id, "label": network.name, "cidr": "None"}


def pool_view(network: Network) -> Body:
    return {"name": network.name or network.id}


def floating_ip_view(floating: FloatingIp, pools: Mapping[str, str]) -> Body:
    """`pools`: id → name of the networks floating addresses are of."""
    device_id = floating.port_details.device_id if floating.port_details else ""
    return {
        "id": floating.id,
        "ip": floating.floating_ip_address,
        "pool": pools.get(floating.floating_network_id) or floating.floating_network_id,
        "fixed_ip": floating.fixed_ip_address,
        "instance_id": device_id or None,
    }
