"""/, /v2.0 and /v2.0/extensions: which API this is, and what of it is served."""

from kilonova.kit.errors import NotFound
from kilonova.network.api.bodies import Body, NetworkRequest

EXTENSIONS = {
    "agent": "Agents and whether they live",
    "allowed-address-pairs": "More addresses a port may send from",
    "availability_zone": "Zones agents are in",
    "availability_zone_filter": "Zones by name, resource and state",
    "binding": "Which host a port is bound to",
    "dhcp_agent_scheduler": "Which agents serve a network's addresses",
    "dns-integration": "DNS names of ports, floating IPs and networks",
    "dns-domain-ports": "DNS domains of ports",
    "empty-string-filtering": "Lists of what has an empty attribute",
    "ext-gw-mode": "Routers with and without source NAT",
    "external-net": "Networks that lead outside",
    "extra_dhcp_opt": "DHCP options of ports",
    "extraroute": "Static routes of routers",
    "extraroute-atomic": "Adding and removing single routes",
    "filter-validation": "Unknown filters are refused",
    "fip-port-details": "What a floating IP's port is",
    "ip-substring-filtering": "Ports by a part of their addresses",
    "l3_agent_scheduler": "Which agents carry a router",
    "net-mtu": "MTU of networks",
    "net-mtu-writable": "Changing it",
    "network-ip-availability": "Addresses in use",
    "network_availability_zone": "Zones of networks",
    "pagination": "Lists in pages",
    "port-security": "Ports with and without filtering",
    "port-security-groups-filtering": "Ports by their security groups",
    "project-id": "project_id beside tenant_id",
    "provider": "How a network is carried",
    "quota_details": "Quotas beside what is used",
    "quota-check-limit": "Quotas not below what is used",
    "quotas": "Limits of projects",
    "revision-if-match": "Changes only to what has not changed meanwhile",
    "router": "Routers and floating IPs",
    "router_availability_zone": "Zones of routers",
    "security-group": "Security groups",
    "security-groups-normalized-cidr": "Remote prefixes without surplus bits",
    "security-groups-rules-belongs-to-default-sg": "Rules of default groups",
    "security-groups-shared-filtering": "Security groups by whether they are shared",
    "service-type": "Providers of services",
    "sorting": "Lists in order",
    "standard-attr-description": "Descriptions",
    "standard-attr-revisions": "Revision numbers",
    "standard-attr-tag": "Tags",
    "standard-attr-timestamp": "Times of creation and change",
    "stateful-security-group": "Security groups that track connections, or do not",
    "subnet-dns-publish-fixed-ip": "Subnets whose addresses are published",
    "subnet-external-network": "Subnets of external networks are seen by all",
    "subnet-service-types": "Subnets for certain kinds of ports",
    "tag-creation": "Several tags added at once",
    "tag-ports-during-bulk-creation": "Ports made with their tags",
}
"""Alias → what it adds, in our words: the extensions of the API that are served."""

COLLECTIONS = {
    "network": "networks",
    "subnet": "subnets",
    "port": "ports",
    "router": "routers",
    "floatingip": "floatingips",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
    "agent": "agents",
    "quota": "quotas",
}


def _extension(alias: str) -> Body:
    return {
        "alias": alias,
        "name": alias,
        "description": EXTENSIONS[alias],
        "links": [],
        "updated": "2026-11-01T00:00:00Z",
    }


async def list_extensions(request: NetworkRequest) -> Body:
    request.authorize()
    return {"extensions": [_extension(alias) for alias in EXTENSIONS]}


async def show_extension(request: NetworkRequest) -> Body:
    request.authorize()
    alias = request.path["alias"]
    if alias not in EXTENSIONS:
        raise NotFound(f"Extension with alias {alias} does not exist")
    return {"extension": _extension(alias)}


async def list_versions(request: NetworkRequest) -> Body:
    link = {"rel": "self", "href": f"{request.base_url}/v2.0/"}
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}


async def show_version(request: NetworkRequest) -> Body:
    return {
        "resources": [
            {
                "name": name,
                "collection": collection,
                "links": [{"rel": "self", "href": f"{request.base_url}/v2.0/{collection}"}],
            }
            for name, collection in COLLECTIONS.items()
        ]
    }
