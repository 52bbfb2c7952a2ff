"""The whole network API on one screen. Source: Networking API v2.0 reference."""

from kilonova.kit.auth import Policy
from kilonova.kit.http.edge import Api, Authenticator, Edge
from kilonova.kit.http.routes import PUBLIC, Route
from kilonova.network.api import (
    agents,
    availability,
    default_rules,
    discovery,
    floating_ips,
    networks,
    port_bindings,
    ports,
    quotas,
    routers,
    security_groups,
    subnets,
    tags,
)
from kilonova.network.api.listing import FIELDS
from kilonova.network.policy import RULES
from kilonova.network.service import NetworkService
from kilonova.network.tags import KINDS
from kilonova.network.views.errors import error_view

# fmt: off
ROUTES = [
    Route("GET", "/", discovery.list_versions, PUBLIC),
    Route("GET", "/v2.0", discovery.show_version, PUBLIC),
    Route("GET", "/v2.0/extensions", discovery.list_extensions, "get_extension"),
    Route("GET", "/v2.0/extensions/{alias}", discovery.show_extension, "get_extension"),

    Route("GET", "/v2.0/networks", networks.list_networks, "get_network", query=networks.QUERY),
    Route("POST", "/v2.0/networks", networks.create_network, "create_network", body=networks.NewNetworkBody,
          status=201, lax=True),
    Route("GET", "/v2.0/networks/{network_id}", networks.show_network, "get_network", query=FIELDS),
    Route("PUT", "/v2.0/networks/{network_id}", networks.update_network, "update_network",
          body=networks.ChangedNetworkBody, lax=True),
    Route("DELETE", "/v2.0/networks/{network_id}", networks.delete_network, "delete_network", status=204),
    Route("GET", "/v2.0/networks/{network_id}/dhcp-agents", agents.list_of_network, "get_dhcp-agents"),

    Route("GET", "/v2.0/subnets", subnets.list_subnets, "get_subnet", query=subnets.QUERY),
    Route("POST", "/v2.0/subnets", subnets.create_subnet, "create_subnet", body=subnets.NewSubnetBody,
          status=201, lax=True),
    Route("GET", "/v2.0/subnets/{subnet_id}", subnets.show_subnet, "get_subnet", query=FIELDS),
    Route("PUT", "/v2.0/subnets/{subnet_id}", subnets.update_subnet, "update_subnet",
          body=subnets.ChangedSubnetBody, lax=True),
    Route("DELETE", "/v2.0/subnets/{subnet_id}", subnets.delete_subnet, "delete_subnet", status=204),

    Route("GET", "/v2.0/ports", ports.list_ports, "get_port", query=ports.QUERY),
    Route("POST", "/v2.0/ports", ports.create_port, "create_port", body=ports.NewPortBody, status=201, lax=True),
    Route("GET", "/v2.0/ports/{port_id}", ports.show_port, "get_port", query=FIELDS),
    Route("PUT", "/v2.0/ports/{port_id}", ports.update_port, "update_port", body=ports.ChangedPortBody, lax=True),
    Route("DELETE", "/v2.0/ports/{port_id}", ports.delete_port, "delete_port", status=204),

    Route("GET", "/v2.0/ports/{port_id}/bindings", port_bindings.list_bindings, "get_port_binding"),
    Route("POST", "/v2.0/ports/{port_id}/bindings", port_bindings.create_binding, "create_port_binding",
          body=port_bindings.NewBindingBody, status=201, lax=True),
    Route("PUT", "/v2.0/ports/{port_id}/bindings/{host}/activate", port_bindings.activate_binding,
          "activate_port_binding"),
    Route("DELETE", "/v2.0/ports/{port_id}/bindings/{host}", port_bindings.delete_binding, "delete_port_binding",
          status=204),

    Route("GET", "/v2.0/security-groups", security_groups.list_groups, "get_security_group",
          query=security_groups.QUERY),
    Route("POST", "/v2.0/security-groups", security_groups.create_group, "create_security_group",
          body=security_groups.NewGroupBody, status=201, lax=True),
    Route("GET", "/v2.0/security-groups/{group_id}", security_groups.show_group, "get_security_group", query=FIELDS),
    Route("PUT", "/v2.0/security-groups/{group_id}", security_groups.update_group, "update_security_group",
          body=security_groups.ChangedGroupBody, lax=True),
    Route("DELETE", "/v2.0/security-groups/{group_id}", security_groups.delete_group, "delete_security_group",
          status=204),
    Route("GET", "/v2.0/security-group-rules", security_groups.list_rules, "get_security_group_rule",
          query=security_groups.RULES_QUERY),
    Route("POST", "/v2.0/security-group-rules", security_groups.create_rule, "create_security_group_rule",
          body=security_groups.NewRuleBody, status=201, lax=True),
    Route("GET", "/v2.0/security-group-rules/{rule_id}", security_groups.show_rule, "get_security_group_rule",
          query=FIELDS),
    Route("DELETE", "/v2.0/security-group-rules/{rule_id}", security_groups.delete_rule,
          "delete_security_group_rule", status=204),

    Route("GET", "/v2.0/default-security-group-rules", default_rules.list_rules, "get_default_security_group_rule",
          query=default_rules.QUERY),
    Route("POST", "/v2.0/default-security-group-rules", default_rules.create_rule,
          "create_default_security_group_rule", body=default_rules.NewDefaultRuleBody, status=201, lax=True),
    Route("GET", "/v2.0/default-security-group-rules/{default_rule_id}", default_rules.show_rule,
          "get_default_security_group_rule", query=FIELDS),
    Route("DELETE", "/v2.0/default-security-group-rules/{default_rule_id}", default_rules.delete_rule,
          "delete_default_security_group_rule", status=204),

    Route("GET", "/v2.0/routers", routers.list_routers, "get_router", query=routers.QUERY),
    Route("POST", "/v2.0/routers", routers.create_router, "create_router", body=routers.NewRouterBody,
          status=201, lax=True),
    Route("GET", "/v2.0/routers/{router_id}", routers.show_router, "get_router", query=FIELDS),
    Route("PUT", "/v2.0/routers/{router_id}", routers.update_router, "update_router",
          body=routers.ChangedRouterBody, lax=True),
    Route("DELETE", "/v2.0/routers/{router_id}", routers.delete_router, "delete_router", status=204),
    Route("PUT", "/v2.0/routers/{router_id}/add_router_interface", routers.add_interface, "add_router_interface",
          body=routers.Interface),
    Route("PUT", "/v2.0/routers/{router_id}/remove_router_interface", routers.remove_interface,
          "remove_router_interface", body=routers.Interface),
    Route("PUT", "/v2.0/routers/{router_id}/add_extraroutes", routers.add_routes, "add_extraroutes",
          body=routers.RoutedBody),
    Route("PUT", "/v2.0/routers/{router_id}/remove_extraroutes", routers.remove_routes, "remove_extraroutes",
          body=routers.RoutedBody),
    Route("GET", "/v2.0/routers/{router_id}/l3-agents", agents.list_of_router, "get_l3-agents"),

    Route("GET", "/v2.0/floatingips", floating_ips.list_floating_ips, "get_floatingip", query=floating_ips.QUERY),
    Route("POST", "/v2.0/floatingips", floating_ips.create_floating_ip, "create_floatingip",
          body=floating_ips.NewFloatingIpBody, status=201, lax=True),
    Route("GET", "/v2.0/floatingips/{floating_ip_id}", floating_ips.show_floating_ip, "get_floatingip", query=FIELDS),
    Route("PUT", "/v2.0/floatingips/{floating_ip_id}", floating_ips.update_floating_ip, "update_floatingip",
          body=floating_ips.ChangedFloatingIpBody),
    Route("DELETE", "/v2.0/floatingips/{floating_ip_id}", floating_ips.delete_floating_ip, "delete_floatingip",
          status=204),

    Route("GET", "/v2.0/agents", agents.list_agents, "get_agent", query=agents.QUERY),
    Route("GET", "/v2.0/agents/{agent_id}", agents.show_agent, "get_agent"),
    Route("PUT", "/v2.0/agents/{agent_id}", agents.update_agent, "update_agent", body=agents.ChangedAgentBody,
          lax=True),
    Route("DELETE", "/v2.0/agents/{agent_id}", agents.delete_agent, "delete_agent", status=204),
    Route("GET", "/v2.0/agents/{agent_id}/dhcp-networks", agents.list_networks, "get_dhcp-networks"),
    Route("POST", "/v2.0/agents/{agent_id}/dhcp-networks", agents.add_network, "create_dhcp-network",
          body=agents.WhichNetwork, status=201),
    Route("DELETE", "/v2.0/agents/{agent_id}/dhcp-networks/{network_id}", agents.remove_network,
          "delete_dhcp-network", status=204),
    Route("GET", "/v2.0/agents/{agent_id}/l3-routers", agents.list_routers, "get_l3-routers"),
    Route("POST", "/v2.0/agents/{agent_id}/l3-routers", agents.add_router, "create_l3-router",
          body=agents.WhichRouter, status=201),
    Route("DELETE", "/v2.0/agents/{agent_id}/l3-routers/{router_id}", agents.remove_router, "delete_l3-router",
          status=204),

    Route("GET", "/v2.0/quotas", quotas.list_quotas, "get_quotas"),
    Route("GET", "/v2.0/quotas/project", quotas.show_own_project, "get_extension"),
    Route("GET", "/v2.0/quotas/tenant", quotas.show_own_project, "get_extension"),
    Route("GET", "/v2.0/quotas/{project_id}", quotas.show_quota, "get_quota"),
    Route("PUT", "/v2.0/quotas/{project_id}", quotas.update_quota, "update_quota", body=quotas.ChangedQuotaBody,
          lax=True),
    Route("DELETE", "/v2.0/quotas/{project_id}", quotas.delete_quota, "delete_quota", status=204),
    Route("GET", "/v2.0/quotas/{project_id}/default", quotas.show_default, "get_quota"),
    Route("GET", "/v2.0/quotas/{project_id}/details", quotas.show_details, "get_quota"),

    Route("GET", "/v2.0/availability_zones", availability.list_zones, "get_availability_zone",
          query=availability.ZONES_QUERY),
    Route("GET", "/v2.0/network-ip-availabilities", availability.list_ip_availabilities,
          "get_network_ip_availability", query=availability.QUERY),
    Route("GET", "/v2.0/network-ip-availabilities/{network_id}", availability.show_ip_availability,
          "get_network_ip_availability"),
    Route("GET", "/v2.0/service-providers", availability.list_service_providers, "get_service_provider"),
]
TAG_ROUTES = [
    route
    for base in (f"/v2.0/{collection}/{{resource_id}}/tags" for collection in KINDS)
    for route in (
        Route("GET", base, tags.list_tags, "get_tags"),
        Route("PUT", base, tags.replace_tags, "update_tags", body=tags.TagsBody),
        Route("POST", base, tags.add_tags, "update_tags", body=tags.TagsBody),
        Route("DELETE", base, tags.delete_tags, "update_tags", status=204),
        Route("GET", f"{base}/{{tag}}", tags.check_tag, "get_tags", status=204),
        Route("PUT", f"{base}/{{tag}}", tags.add_tag, "update_tags", status=201),
        Route("DELETE", f"{base}/{{tag}}", tags.delete_tag, "update_tags", status=204),
    )
]
# fmt: on


def make_app(
    service: NetworkService, authenticator: Authenticator, policy_overrides: dict[str, str] | None = None
) -> Edge[NetworkService]:
    """The ASGI app of the network service (neutron-server)."""
    policy = Policy(RULES, policy_overrides)
    return Edge(
        Api(
            "network",
            service,
            ROUTES + TAG_ROUTES,
            policy,
            authenticator,
            error_view,
            check=service.database.check,
            format_suffix=".json",
        )
    )
