"""/v2.0/floatingips."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id, Word
from kilonova.network import floating_ips, networks
from kilonova.network.api.bodies import (
    Body,
    NetworkRequest,
    created,
    is_cloud_admin,
    one_or_many,
    owner,
    require,
    viewer,
)
from kilonova.network.api.fields import MOST_AT_ONCE, Description, DnsName, Fields, ProjectId, Tags, given
from kilonova.network.api.ports import PORTS
from kilonova.network.api.resource import Resource
from kilonova.network.api.subnets import SUBNETS
from kilonova.network.errors import InvalidInput
from kilonova.network.tables import FloatingIp
from kilonova.network.views.resources import floating_ip_view

QUERY = floating_ips.LISTING.query


class NewFloatingIp(Fields):
    floating_network_id: Id
    floating_ip_address: Word | None = None
    fixed_ip_address: Word | None = None
    port_id: Id | None = None
    subnet_id: Id | None = None
    description: Description = ""
    dns_name: DnsName = ""
    dns_domain: DnsName = ""
    tags: Tags = []
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewFloatingIpBody(Fields):
    floatingip: NewFloatingIp | UnsetType = UNSET
    floatingips: Annotated[list[NewFloatingIp], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


class ChangedFloatingIp(Fields):
    port_id: Id | None | UnsetType = UNSET
    fixed_ip_address: Word | None | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class ChangedFloatingIpBody(Fields):
    floatingip: ChangedFloatingIp


async def _views(tx: Tx, _request: NetworkRequest, found: list[FloatingIp]) -> list[Body]:
    serving = await floating_ips.fixed_ports(tx, found)
    return [floating_ip_view(each, serving.get(each.fixed_port_id or "")) for each in found]


async def create_floating_ip(request: NetworkRequest, body: NewFloatingIpBody) -> Body:
    wanted, service = one_or_many(body.floatingip, body.floatingips, "floatingip"), request.service
    async with service.database.transaction() as tx:
        views = await _views(tx, request, [await _create(tx, request, new) for new in wanted])
    return created("floatingip", views, body.floatingips)


async def _create(tx: Tx, request: NetworkRequest, new: NewFloatingIp) -> FloatingIp:
    project_id = owner(request, new)
    if new.floating_ip_address is not None:
        require(request, "create_floatingip:floating_ip_address", {"project_id": project_id}, "floating_ip_address")
    if new.port_id is not None:
        await _check_port(tx, request, new.port_id, project_id)
    network = await networks.VISIBILITY.find(tx, viewer(request), new.floating_network_id)
    if new.subnet_id is not None:
        await SUBNETS.fetch(tx, request, new.subnet_id, rule="get_subnet")
    return await floating_ips.create(tx, request.service, project_id, network, given(new))


async def _check_port(tx: Tx, request: NetworkRequest, port_id: str, project_id: str) -> None:
    """Raises PortNotFound, or BadRequest for a port of another project than the floating IP's."""
    port = await PORTS.fetch(tx, request, port_id, rule="get_port")
    if port.project_id != project_id and not is_cloud_admin(request):
        raise BadRequest(f"Port {port_id} is associated with a different project than the floating IP.")


FLOATING_IPS = Resource(
    "floatingip", "floatingips", "floating_ip_id", floating_ips.VISIBILITY, floating_ips.LISTING, _views
)


async def list_floating_ips(request: NetworkRequest) -> Body:
    return await FLOATING_IPS.list(request)


async def show_floating_ip(request: NetworkRequest) -> Body:
    return await FLOATING_IPS.show(request)


async def update_floating_ip(request: NetworkRequest, body: ChangedFloatingIpBody) -> Body:
    changed, service = body.floatingip, request.service
    async with service.database.transaction() as tx:
        floating = await FLOATING_IPS.fetch_to_change(tx, request)
        if changed.description is not UNSET:
            floating = await floating_ips.change(tx, service, floating, {"description": changed.description})
        if changed.port_id is not UNSET or changed.fixed_ip_address is not UNSET:
            port_id = floating.fixed_port_id if changed.port_id is UNSET else changed.port_id
            fixed_ip = None if changed.fixed_ip_address is UNSET else changed.fixed_ip_address
            if port_id is None and fixed_ip is not None:
                raise InvalidInput("fixed_ip_address cannot be specified without a port_id.")
            if port_id is not None:
                await _check_port(tx, request, port_id, floating.project_id)
            floating = await floating_ips.associate(tx, service, floating, port_id, fixed_ip)
        return await FLOATING_IPS.body(tx, request, floating)


async def delete_floating_ip(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        floating = await FLOATING_IPS.fetch_to_change(tx, request)
        await floating_ips.delete(tx, request.service, floating)
