"""/v2.0/subnets."""

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from kilonova.kit.db import Tx
from kilonova.kit.http.bounds import Id, Int32, Word
from kilonova.network import addresses, agents, networks, subnets
from kilonova.network.api.bodies import (
    Body,
    NetworkRequest,
    created,
    one_or_many,
    owner,
    viewer,
)
from kilonova.network.api.fields import (
    MOST_AT_ONCE,
    Addresses,
    Description,
    Fields,
    FixedIp,
    Flag,
    HostRoutes,
    Name,
    Names,
    Pools,
    ProjectId,
    Tags,
    entries,
    given,
)
from kilonova.network.api.resource import Resource
from kilonova.network.errors import InvalidInput
from kilonova.network.tables import Subnet
from kilonova.network.views.resources import subnet_view

Mode = Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]

QUERY = subnets.LISTING.query


class NewSubnet(Fields):
    network_id: Id
    ip_version: Literal[4, 6]
    cidr: Word | None = None
    name: Name = ""
    description: Description = ""
    gateway_ip: Word | None | UnsetType = UNSET
    enable_dhcp: Flag | UnsetType = UNSET
    """Unless it is given: where DHCP can serve the subnet, or a mode asks for it."""
    allocation_pools: Pools | UnsetType = UNSET
    dns_nameservers: Addresses | None = []
    host_routes: HostRoutes | None = []
    ipv6_ra_mode: Mode | None = None
    ipv6_address_mode: Mode | None = None
    service_types: Names = []
    dns_publish_fixed_ip: Flag = False
    subnetpool_id: Id | None = None
    use_default_subnetpool: Flag = False
    prefixlen: Int32 | None = None
    segment_id: Id | None = None
    tags: Tags = []
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewSubnetBody(Fields):
    subnet: NewSubnet | UnsetType = UNSET
    subnets: Annotated[list[NewSubnet], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


class ChangedSubnet(Fields):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    gateway_ip: Word | None | UnsetType = UNSET
    enable_dhcp: Flag | UnsetType = UNSET
    allocation_pools: Pools | UnsetType = UNSET
    dns_nameservers: Addresses | None | UnsetType = UNSET
    host_routes: HostRoutes | None | UnsetType = UNSET
    service_types: Names | UnsetType = UNSET
    dns_publish_fixed_ip: Flag | UnsetType = UNSET


class ChangedSubnetBody(Fields):
    subnet: ChangedSubnet


async def create_subnet(request: NetworkRequest, body: NewSubnetBody) -> Body:
    wanted, service = one_or_many(body.subnet, body.subnets, "subnet"), request.service
    async with service.database.transaction() as tx:
        made = [await _create(tx, request, new) for new in wanted]
        for network_id in {each.network_id for each in made}:
            await agents.refresh_dhcp(tx, service, network_id)
    return created("subnet", [subnet_view(each) for each in made], body.subnets)


async def _create(tx: Tx, request: NetworkRequest, new: NewSubnet) -> Subnet:
    project_id = owner(request, new)
    if new.cidr is None or new.subnetpool_id is not None or new.use_default_subnetpool or new.prefixlen is not None:
        raise InvalidInput("a cidr must be specified; subnet pools are not served here yet.")
    if new.segment_id is not None:
        raise InvalidInput("segment_id is not served here yet: a network has one segment.")
    network = await networks.VISIBILITY.find(tx, viewer(request), new.network_id)
    own_network = network.project_id == request.ctx.project_id
    request.authorize({"project_id": network.project_id, "own_network": own_network})
    wanted = {**given(new), "allocation_pools": entries(new.allocation_pools), "host_routes": entries(new.host_routes)}
    subnet = await subnets.create(tx, request.service, project_id, wanted)
    await addresses.give_automatic(tx, request.service, subnet)
    return subnet


async def _views(_tx: Tx, _request: NetworkRequest, found: list[Subnet]) -> list[Body]:
    return [subnet_view(each) for each in found]


async def _target(tx: Tx, request: NetworkRequest, subnet: Subnet) -> Body:
    network = await networks.find(tx, subnet.network_id)
    return {
        "project_id": subnet.project_id,
        "own_network": network.project_id == request.ctx.project_id,
        "shared": network.shared,
        "router:external": network.external,
    }


SUBNETS = Resource("subnet", "subnets", "subnet_id", subnets.VISIBILITY, subnets.LISTING, _views, _target)


async def list_subnets(request: NetworkRequest) -> Body:
    return await SUBNETS.list(request)


async def check_named(tx: Tx, request: NetworkRequest, wanted: Iterable[FixedIp]) -> None:
    """Raises SubnetNotFound when one of these addresses is to be of a subnet that the caller cannot see."""
    for each in wanted:
        if each.subnet_id is not UNSET:
            await SUBNETS.fetch(tx, request, each.subnet_id, rule="get_subnet")


async def show_subnet(request: NetworkRequest) -> Body:
    return await SUBNETS.show(request)


async def update_subnet(request: NetworkRequest, body: ChangedSubnetBody) -> Body:
    service, values = request.service, given(body.subnet)
    if "dns_nameservers" in values:
        values["dns_nameservers"] = values["dns_nameservers"] or []
    for name in ("host_routes", "allocation_pools"):
        if name in values:
            values[name] = entries(values[name])
    if "gateway_ip" in values:
        values["gateway_ip"] = subnets.parse_gateway(values["gateway_ip"])
    async with service.database.transaction() as tx:
        subnet = await SUBNETS.fetch_to_change(tx, request)
        subnet = await subnets.change(tx, service, subnet, values)
        await agents.refresh_dhcp(tx, service, subnet.network_id)
    return {"subnet": subnet_view(subnet)}


async def delete_subnet(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        subnet = await SUBNETS.fetch_to_change(tx, request)
        await subnets.delete(tx, request.service, subnet)
