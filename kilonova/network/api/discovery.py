"""/, /v2.0 and /v2.0/extensions: which API this is, and what of it is served."""

from kilonova.kit.errors import NotFound
from kilonova.network.api.bodies import Body, NetworkRequest

EXTENSIONS = {
    "agent": ("agent", "Agents and whether they live"),
    "allowed-address-pairs": ("Allowed Address Pairs", "More addresses a port may send from"),
    "availability_zone": ("Availability Zone", "Zones agents are in"),
    "availability_zone_filter": ("Availability Zone Filter Extension", "Zones by name, resource and state"),
    "binding": ("Port Binding", "Which host a port is bound to"),
    "binding-extended": ("Port Bindings Extended", "Ports with bindings on several hosts"),
    "dhcp_agent_scheduler": ("DHCP Agent Scheduler", "Which agents serve a network's addresses"),
    "dns-integration": ("DNS Integration", "DNS names of ports, floating IPs and networks"),
    "dns-domain-ports": ("dns_domain for ports", "DNS domains of ports"),
    "empty-string-filtering": ("Empty String Filtering Extension", "Lists of what has an empty attribute"),
    "ext-gw-mode": ("Neutron L3 Configurable external gateway mode", "Routers with and without source NAT"),
    "external-net": ("Neutron external network", "Networks that lead outside"),
    "extra_dhcp_opt": ("Neutron Extra DHCP options", "DHCP options of ports"),
    "extraroute": ("Neutron Extra Route", "Static routes of routers"),
    "extraroute-atomic": ("Atomically add/remove extra routes", "Adding and removing single routes"),
    "filter-validation": ("Filter parameters validation", "Unknown filters are refused"),
    "fip-port-details": ("Floating IP Port Details Extension", "What a floating IP's port is"),
    "ip-substring-filtering": ("IP address substring filtering", "Ports by a part of their addresses"),
    "l3_agent_scheduler": ("L3 Agent Scheduler", "Which agents carry a router"),
    "net-mtu": ("Network MTU", "MTU of networks"),
    "net-mtu-writable": ("Network MTU (writable)", "Changing it"),
    "network-ip-availability": ("Network IP Availability", "Addresses in use"),
    "network_availability_zone": ("Network Availability Zone", "Zones of networks"),
    "pagination": ("Pagination support", "Lists in pages"),
    "port-security": ("Port Security", "Ports with and without filtering"),
    "port-security-groups-filtering": ("Port filtering on security groups", "Ports by their security groups"),
    "project-id": ("project_id field enabled", "project_id beside tenant_id"),
    "provider": ("Provider Network", "How a network is carried"),
    "quota_details": ("Quota details management support", "Quotas beside what is used"),
    "quota-check-limit": ("Quota engine limit check", "Quotas not below what is used"),
    "quotas": ("Quota management support", "Limits of projects"),
    "revision-if-match": (
        "If-Match constraints based on revision_number",
        "Changes only to what has not changed meanwhile",
    ),
    "router": ("Neutron L3 Router", "Routers and floating IPs"),
    "router_availability_zone": ("Router Availability Zone", "Zones of routers"),
    "security-group": ("security-group", "Security groups"),
    "security-groups-default-rules": ("Default rules for security groups", "What new security groups begin with"),
    "security-groups-normalized-cidr": (
        "Normalized CIDR field for security group rules",
        "Remote prefixes without surplus bits",
    ),
    "security-groups-rules-belongs-to-default-sg": (
        "Security group rule belongs to the project's default security group",
        "Rules of default groups",
    ),
    "security-groups-shared-filtering": (
        "Security group filtering on the shared field",
        "Security groups by whether they are shared",
    ),
    "service-type": ("Neutron Service Type Management", "Providers of services"),
    "sorting": ("Sorting support", "Lists in order"),
    "standard-attr-description": ("standard-attr-description", "Descriptions"),
    "standard-attr-revisions": ("Resource revision numbers", "Revision numbers"),
    "standard-attr-tag": (
        "Tag support for resources with standard attribute: port, subnet, network, router, floatingip, security_group",
        "Tags",
    ),
    "standard-attr-timestamp": ("Resource timestamps", "Times of creation and change"),
    "subnet-dns-publish-fixed-ip": ("Subnet DNS publish fixed IP", "Subnets whose addresses are published"),
    "subnet-external-network": (
        "Subnet belongs to an external network",
        "Subnets of external networks are seen by all",
    ),
    "subnet-service-types": ("Subnet service types", "Subnets for certain kinds of ports"),
    "tag-creation": ("Tag creation extension", "Several tags added at once"),
    "tag-ports-during-bulk-creation": ("Tag Ports During Bulk Creation", "Ports made with their tags"),
}
"""Alias → the name clients look for, and what it adds in our words: the extensions of the API that are served."""

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
    name, description = EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
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
