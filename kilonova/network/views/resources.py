"""Networks, subnets, ports, groups, routers, floating IPs and agents as the API shows them."""

from datetime import datetime
from typing import Any

from kilonova.kit.clock import iso8601
from kilonova.network import dns_names
from kilonova.network.availability import NetworkUse
from kilonova.network.ports import PortWithDetails
from kilonova.network.rules import normal_prefix
from kilonova.network.tables import (
    AgentRow,
    DefaultRule,
    FloatingIp,
    Network,
    Port,
    PortBinding,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Standard,
    Subnet,
)

Body = dict[str, Any]


def _standard(row: Standard) -> Body:
    return {
        "id": row.id,
        "name": row.name,
        "tenant_id": row.project_id,
        "project_id": row.project_id,
        "description": row.description,
        "tags": row.tags,
        "created_at": iso8601(row.created_at),
        "updated_at": iso8601(row.updated_at),
        "revision_number": row.revision_number,
    }


def network_view(network: Network, subnet_ids: list[str], *, with_provider: bool) -> Body:
    shown = {
        **_standard(network),
        "admin_state_up": network.admin_state_up,
        "status": "ACTIVE",
        "subnets": subnet_ids,
        "shared": network.shared,
        "router:external": network.external,
        "mtu": network.mtu,
        "port_security_enabled": network.port_security_enabled,
        "availability_zone_hints": network.availability_zone_hints,
        "availability_zones": ["nova"] if network.dhcp_host else [],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "dns_domain": network.dns_domain,
    }
    if network.external:
        shown["is_default"] = network.is_default
    if with_provider:
        shown["provider:network_type"] = network.network_type
        shown["provider:physical_network"] = network.physical_network
        shown["provider:segmentation_id"] = network.segmentation_id
    return shown


def subnet_view(subnet: Subnet) -> Body:
    return {
        **_standard(subnet),
        "network_id": subnet.network_id,
        "ip_version": subnet.ip_version,
        "cidr": subnet.cidr,
        "gateway_ip": subnet.gateway_ip,
        "enable_dhcp": subnet.enable_dhcp,
        "ipv6_ra_mode": subnet.ipv6_ra_mode,
        "ipv6_address_mode": subnet.ipv6_address_mode,
        "allocation_pools": subnet.allocation_pools,
        "dns_nameservers": subnet.dns_nameservers,
        "host_routes": subnet.host_routes,
        "service_types": subnet.service_types,
        "subnetpool_id": None,
        "segment_id": None,
        "dns_publish_fixed_ip": subnet.dns_publish_fixed_ip,
    }


def port_view(details: PortWithDetails, dns_domain: str, binding: Body | None = None) -> Body:
    """`binding` is for those who may see it."""
    port = details.port
    return {
        **_standard(port),
        "network_id": port.network_id,
        "admin_state_up": port.admin_state_up,
        "status": port.status,
        "mac_address": port.mac_address,
        "fixed_ips": [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in details.addresses],
        "device_id": port.device_id,
        "device_owner": port.device_owner,
        "security_groups": details.security_group_ids,
        "port_security_enabled": port.port_security_enabled,
        "allowed_address_pairs": port.allowed_address_pairs,
        "extra_dhcp_opts": port.extra_dhcp_opts,
        "binding:vnic_type": port.vnic_type,
        "dns_name": port.dns_name,
        "dns_domain": port.dns_domain,
        "dns_assignment": [
            dns_names.assignment(each.ip_address, port.dns_name, dns_domain) for each in details.addresses
        ],
        **(binding or {}),
    }


def port_binding_view(binding: PortBinding) -> Body:
    return {
        "host": binding.host,
        "status": binding.status,
        "vif_type": binding.vif_type,
        "vif_details": binding.vif_details,
        "vnic_type": binding.vnic_type,
        "profile": binding.profile,
    }


def binding_view(port: Port) -> Body:
    return {
        "binding:host_id": port.host,
        "binding:profile": port.binding_profile,
        "binding:vif_type": port.vif_type,
        "binding:vif_details": port.vif_details,
    }


def security_group_view(group: SecurityGroup, rules: list[SecurityGroupRule]) -> Body:
    is_default = group.default_of_project is not None
    return {
        **_standard(group),
        "stateful": group.stateful,
        "shared": group.shared,
        "security_group_rules": [rule_view(rule, is_default=is_default) for rule in rules],
    }


def rule_view(rule: SecurityGroupRule, *, is_default: bool) -> Body:
    """`is_default`: the rule belongs to a project's default group."""
    shown = _standard(rule)
    del shown["name"], shown["tags"]
    return {
        **shown,
        "security_group_id": rule.security_group_id,
        "direction": rule.direction,
        "ethertype": rule.ethertype,
        "protocol": rule.protocol,
        "port_range_min": rule.port_range_min,
        "port_range_max": rule.port_range_max,
        "remote_ip_prefix": rule.remote_ip_prefix,
        "normalized_cidr": normal_prefix(rule.remote_ip_prefix),
        "remote_group_id": rule.remote_group_id,
        "remote_address_group_id": None,
        "belongs_to_default_sg": is_default,
    }


def default_rule_view(rule: DefaultRule) -> Body:
    shown = _standard(rule)
    for name in ("name", "tags", "project_id", "tenant_id"):
        del shown[name]
    return {
        **shown,
        "direction": rule.direction,
        "ethertype": rule.ethertype,
        "protocol": rule.protocol,
        "port_range_min": rule.port_range_min,
        "port_range_max": rule.port_range_max,
        "remote_ip_prefix": rule.remote_ip_prefix,
        "remote_group_id": rule.remote_group_id,
        "remote_address_group_id": None,
        "used_in_default_sg": rule.in_default_groups is not None,
        "used_in_non_default_sg": rule.in_other_groups is not None,
    }


def router_view(router: Router, gateway: PortWithDetails | None) -> Body:
    info: Body | None = None
    if gateway is not None:
        fixed_ips = [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in gateway.addresses]
        info = {
            "network_id": router.gateway_network_id,
            "enable_snat": router.enable_snat,
            "external_fixed_ips": fixed_ips,
        }
    return {
        **_standard(router),
        "admin_state_up": router.admin_state_up,
        "status": router.status,
        "external_gateway_info": info,
        "routes": router.routes,
        "distributed": False,
        "ha": False,
        "flavor_id": None,
        "availability_zone_hints": router.availability_zone_hints,
        "availability_zones": ["nova"] if router.host else [],
    }


def floating_ip_view(floating: FloatingIp, port: PortWithDetails | None) -> Body:
    shown = _standard(floating)
    del shown["name"]
    details = None
    if port is not None:
        details = {
            "name": port.port.name,
            "network_id": port.port.network_id,
            "mac_address": port.port.mac_address,
            "admin_state_up": port.port.admin_state_up,
            "status": port.port.status,
            "device_id": port.port.device_id,
            "device_owner": port.port.device_owner,
        }
    return {
        **shown,
        "floating_network_id": floating.floating_network_id,
        "floating_ip_address": floating.floating_ip_address,
        "fixed_ip_address": floating.fixed_ip_address,
        "port_id": floating.fixed_port_id,
        "router_id": floating.router_id,
        "status": floating.status,
        "dns_name": floating.dns_name,
        "dns_domain": floating.dns_domain,
        "port_details": details,
        "port_forwardings": [],
        "qos_policy_id": None,
    }


def agent_view(agent: AgentRow, *, is_alive: bool, heard_at: datetime, clock_skew_seconds: float | None) -> Body:
    """`configurations` is whatever an agent has to tell; how far its clock is ahead of the service's is told there."""
    skew = {} if clock_skew_seconds is None else {"clock_skew_seconds": round(clock_skew_seconds, 1)}
    return {
        "id": agent.id,
        "agent_type": agent.agent_type,
        "binary": agent.binary,
        "topic": "N/A",
        "host": agent.host,
        "alive": is_alive,
        "admin_state_up": agent.admin_state_up,
        "availability_zone": agent.availability_zone,
        "description": agent.description,
        "configurations": {**agent.configurations, **skew},
        "created_at": agent.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "started_at": agent.started_at.strftime("%Y-%m-%d %H:%M:%S"),
        "heartbeat_timestamp": heard_at.strftime("%Y-%m-%d %H:%M:%S"),
        "resources_synced": None,
    }


def ip_availability_view(use: NetworkUse) -> Body:
    return {
        "network_id": use.network.id,
        "network_name": use.network.name,
        "tenant_id": use.network.project_id,
        "project_id": use.network.project_id,
        "total_ips": sum(each.total for each in use.subnets),
        "used_ips": sum(each.used for each in use.subnets),
        "subnet_ip_availability": [
            {
                "subnet_id": each.subnet.id,
                "subnet_name": each.subnet.name,
                "cidr": each.subnet.cidr,
                "ip_version": each.subnet.ip_version,
                "total_ips": each.total,
                "used_ips": each.used,
            }
            for each in use.subnets
        ],
    }
