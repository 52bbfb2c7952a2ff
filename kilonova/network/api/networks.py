"""/v2.0/networks and /v2.0/subnets."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.kit.db import Tx
from kilonova.network import agents, networks, records, subnets
from kilonova.network.api.bodies import (
    STANDARD_FILTERS,
    Body,
    Listing,
    NetworkRequest,
    authorize_found,
    given,
    only_fields,
    owner,
    require,
    seen,
)
from kilonova.network.errors import InvalidInput, NetworkNotFound, SubnetNotFound
from kilonova.network.ipam import pick
from kilonova.network.tables import Network, Subnet
from kilonova.network.views.resources import network_view, subnet_view

Name = Annotated[str, Meta(max_length=255)]
Description = Annotated[str, Meta(max_length=255)]


class NewNetwork(Struct, forbid_unknown_fields=True):
    name: Name = ""
    description: Description = ""
    admin_state_up: bool = True
    shared: bool = False
    external: bool = field(default=False, name="router:external")
    is_default: bool = False
    port_security_enabled: bool = True
    mtu: Annotated[int, Meta(ge=0, le=65535)] | None = None
    dns_domain: str = ""
    network_type: str | None = field(default=None, name="provider:network_type")
    physical_network: str | None = field(default=None, name="provider:physical_network")
    segmentation_id: int | None = field(default=None, name="provider:segmentation_id")
    availability_zone_hints: list[str] = []
    tags: list[str] = []
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewNetworkBody(Struct, forbid_unknown_fields=True):
    network: NewNetwork


class ChangedNetwork(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    external: bool | UnsetType = field(default=UNSET, name="router:external")
    is_default: bool | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    mtu: Annotated[int, Meta(ge=68, le=65535)] | UnsetType = UNSET
    dns_domain: str | UnsetType = UNSET


class ChangedNetworkBody(Struct, forbid_unknown_fields=True):
    network: ChangedNetwork


NETWORKS = Listing(
    "networks",
    {
        **STANDARD_FILTERS,
        "admin_state_up": "admin_state_up",
        "shared": "shared",
        "router:external": "external",
        "is_default": "is_default",
        "mtu": "mtu",
        "provider:network_type": "network_type",
        "provider:physical_network": "physical_network",
        "provider:segmentation_id": "segmentation_id",
    },
    other=("status", "tags", "subnets"),
    booleans=("admin_state_up", "shared", "external", "is_default"),
    integers=("revision_number", "mtu", "segmentation_id"),
)


async def _views(tx: Tx, request: NetworkRequest, found: list[Network]) -> list[Body]:
    subnet_ids = await networks.subnet_ids(tx, [each.id for each in found])
    with_provider = request.may(rule="get_network:provider")
    return [network_view(each, subnet_ids[each.id], with_provider=with_provider) for each in found]


async def create_network(request: NetworkRequest, body: NewNetworkBody) -> Body:
    new, service = body.network, request.service
    project_id = owner(request, new)
    _check_privileges(request, given(new), project_id)
    async with service.database.transaction() as tx:
        segment = await networks.segment(tx, service, given(new))
        largest = networks.largest_mtu(service, segment["network_type"])
        if new.mtu and new.mtu > largest:
            raise InvalidInput(f"mtu {new.mtu} is larger than the {largest} its segment carries.")
        network = Network(
            **{**records.standard(project_id, new.name, new.description, service.clock.now()), "tags": new.tags},
            admin_state_up=new.admin_state_up,
            shared=new.shared,
            external=new.external,
            is_default=new.is_default,
            port_security_enabled=new.port_security_enabled,
            mtu=new.mtu or largest,
            dns_domain=new.dns_domain,
            dhcp_host=None,
            **segment,
        )
        await networks.insert(tx, network)
        (view,) = await _views(tx, request, [network])
    return {"network": view}


def _check_privileges(request: NetworkRequest, values: Body, project_id: str) -> None:
    target = {"project_id": project_id}
    if values.get("shared"):
        require(request, "create_network:shared", target, "shared")
    if values.get("external"):
        require(request, "create_network:router:external", target, "router:external")
    for name in ("network_type", "physical_network", "segmentation_id"):
        if values.get(name) is not None:
            require(request, "create_network:provider", target, f"provider:{name}")


async def list_networks(request: NetworkRequest) -> Body:
    request.authorize(rule="get_network")
    async with request.service.database.reading() as tx:
        found = await networks.list_seen(tx, NETWORKS.filters(request), **seen(request))
        return NETWORKS.answer(request, await _views(tx, request, found))


async def fetch_network(tx: Tx, request: NetworkRequest, network_id: str) -> Network:
    network = await networks.find(tx, network_id)
    target = {"project_id": network.project_id, "shared": network.shared, "router:external": network.external}
    visible = networks.is_visible(network, request.ctx.project_id)
    authorize_found(request, target, visible, NetworkNotFound(network_id))
    return network


async def show_network(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        network = await fetch_network(tx, request, request.path["network_id"])
        (view,) = await _views(tx, request, [network])
    return {"network": only_fields(view, request.query.getlist("fields"))}


async def update_network(request: NetworkRequest, body: ChangedNetworkBody) -> Body:
    values = given(body.network)
    async with request.service.database.transaction() as tx:
        network = await fetch_network(tx, request, request.path["network_id"])
        _check_privileges(request, values, network.project_id)
        network = await networks.change(tx, request.service, network, values)
        (view,) = await _views(tx, request, [network])
    await request.service.wake_agents()
    return {"network": view}


async def delete_network(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        await networks.delete(tx, await fetch_network(tx, request, request.path["network_id"]))
    await request.service.wake_agents()


class NewSubnet(Struct, forbid_unknown_fields=True):
    network_id: str
    ip_version: Literal[4, 6]
    cidr: str | None = None
    name: Name = ""
    description: Description = ""
    gateway_ip: str | None | UnsetType = UNSET
    enable_dhcp: bool = True
    allocation_pools: list[dict[str, str]] | UnsetType = UNSET
    dns_nameservers: list[str] = []
    host_routes: list[dict[str, str]] = []
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None
    service_types: list[str] = []
    subnetpool_id: str | None = None
    tags: list[str] = []
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewSubnetBody(Struct, forbid_unknown_fields=True):
    subnet: NewSubnet


class ChangedSubnet(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    gateway_ip: str | None | UnsetType = UNSET
    enable_dhcp: bool | UnsetType = UNSET
    allocation_pools: list[dict[str, str]] | UnsetType = UNSET
    dns_nameservers: list[str] | UnsetType = UNSET
    host_routes: list[dict[str, str]] | UnsetType = UNSET
    service_types: list[str] | UnsetType = UNSET


class ChangedSubnetBody(Struct, forbid_unknown_fields=True):
    subnet: ChangedSubnet


SUBNETS = Listing(
    "subnets",
    {
        **STANDARD_FILTERS,
        "network_id": "network_id",
        "cidr": "cidr",
        "ip_version": "ip_version",
        "gateway_ip": "gateway_ip",
        "enable_dhcp": "enable_dhcp",
        "ipv6_ra_mode": "ipv6_ra_mode",
        "ipv6_address_mode": "ipv6_address_mode",
    },
    other=("tags", "subnetpool_id", "segment_id"),
    booleans=("enable_dhcp",),
    integers=("revision_number", "ip_version"),
)


async def create_subnet(request: NetworkRequest, body: NewSubnetBody) -> Body:
    new, service = body.subnet, request.service
    project_id = owner(request, new)
    if new.cidr is None or new.subnetpool_id is not None:
        raise InvalidInput("a cidr must be specified; subnet pools are not served.")
    cidr = subnets.parse_cidr(new.cidr, new.ip_version)
    gateway_ip = pick.first_host(cidr) if new.gateway_ip is UNSET else subnets.parse_gateway(new.gateway_ip)
    async with service.database.transaction() as tx:
        network = await networks.find(tx, new.network_id)
        authorize_found(
            request, {"project_id": network.project_id}, network.project_id == project_id, NetworkNotFound(network.id)
        )
        subnet = Subnet(
            **{
                **records.standard(network.project_id, new.name, new.description, service.clock.now()),
                "tags": new.tags,
            },
            network_id=network.id,
            cidr=str(cidr),
            ip_version=new.ip_version,
            gateway_ip=gateway_ip,
            enable_dhcp=new.enable_dhcp,
            ipv6_ra_mode=new.ipv6_ra_mode,
            ipv6_address_mode=new.ipv6_address_mode,
            allocation_pools=pick.default_pools(cidr, gateway_ip)
            if new.allocation_pools is UNSET
            else new.allocation_pools,
            dns_nameservers=new.dns_nameservers,
            host_routes=new.host_routes,
            service_types=new.service_types,
        )
        subnets.check(subnet)
        await subnets.insert(tx, subnet)
        await agents.refresh_dhcp(tx, service, network.id)
    await service.wake_agents()
    return {"subnet": subnet_view(subnet)}


async def list_subnets(request: NetworkRequest) -> Body:
    request.authorize(rule="get_subnet")
    async with request.service.database.reading() as tx:
        found = await subnets.list_seen(tx, SUBNETS.filters(request), **seen(request))
    return SUBNETS.answer(request, [subnet_view(each) for each in found])


async def fetch_subnet(tx: Tx, request: NetworkRequest, subnet_id: str) -> Subnet:
    subnet = await subnets.find(tx, subnet_id)
    network = await networks.find(tx, subnet.network_id)
    visible = network.shared or subnet.project_id == request.ctx.project_id
    target = {"project_id": subnet.project_id, "shared": network.shared}
    authorize_found(request, target, visible, SubnetNotFound(subnet_id))
    return subnet


async def show_subnet(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        subnet = await fetch_subnet(tx, request, request.path["subnet_id"])
    return {"subnet": only_fields(subnet_view(subnet), request.query.getlist("fields"))}


async def update_subnet(request: NetworkRequest, body: ChangedSubnetBody) -> Body:
    service = request.service
    async with service.database.transaction() as tx:
        subnet = await fetch_subnet(tx, request, request.path["subnet_id"])
        subnet = await subnets.change(tx, service, subnet, given(body.subnet))
        await agents.refresh_dhcp(tx, service, subnet.network_id)
    await service.wake_agents()
    return {"subnet": subnet_view(subnet)}


async def delete_subnet(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        await subnets.delete(tx, await fetch_subnet(tx, request, request.path["subnet_id"]))
    await request.service.wake_agents()
