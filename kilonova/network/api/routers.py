"""/v2.0/routers."""

from functools import partial
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id
from kilonova.network import agents, networks, routers
from kilonova.network.api.bodies import (
    Body,
    NetworkRequest,
    created,
    one_or_many,
    owner,
    owns,
    require,
    viewer,
)
from kilonova.network.api.fields import (
    MOST_AT_ONCE,
    Description,
    Fields,
    FixedIps,
    Flag,
    Name,
    Names,
    ProjectId,
    Routes,
    Tags,
    entries,
    fixed_ips,
    given,
)
from kilonova.network.api.ports import PORTS
from kilonova.network.api.resource import Resource
from kilonova.network.api.subnets import SUBNETS, check_named
from kilonova.network.errors import SubnetNotOwned
from kilonova.network.routers import Attached
from kilonova.network.tables import Router
from kilonova.network.views.resources import router_view

QUERY = routers.LISTING.query


class Gateway(Fields):
    network_id: Id | None = None
    enable_snat: Flag | UnsetType = UNSET
    external_fixed_ips: FixedIps | UnsetType = UNSET


class NewRouter(Fields):
    name: Name = ""
    description: Description = ""
    admin_state_up: Flag = True
    external_gateway_info: Gateway | None = None
    distributed: Flag | None = None
    ha: Flag | None = None
    flavor_id: Id | None = None
    availability_zone_hints: Names = []
    tags: Tags = []
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewRouterBody(Fields):
    router: NewRouter | UnsetType = UNSET
    routers: Annotated[list[NewRouter], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


class ChangedRouter(Fields):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    admin_state_up: Flag | UnsetType = UNSET
    external_gateway_info: Gateway | None | UnsetType = UNSET
    routes: Routes | None | UnsetType = UNSET
    distributed: Flag | UnsetType = UNSET
    ha: Flag | UnsetType = UNSET


class ChangedRouterBody(Fields):
    router: ChangedRouter


class Routed(Fields):
    routes: Routes


class RoutedBody(Fields):
    router: Routed


class Interface(Fields):
    subnet_id: Id | None = None
    port_id: Id | None = None


async def _views(tx: Tx, _request: NetworkRequest, found: list[Router]) -> list[Body]:
    gateways = await routers.gateways(tx, found)
    return [router_view(each, gateways.get(each.id)) for each in found]


def _refuse_unserved(fields: NewRouter | ChangedRouter) -> None:
    for name in ("distributed", "ha", "flavor_id"):
        if getattr(fields, name, None) not in (None, False, UNSET):
            raise BadRequest(f"Routers with {name} are not served here yet; leave {name} out.")


async def create_router(request: NetworkRequest, body: NewRouterBody) -> Body:
    wanted = one_or_many(body.router, body.routers, "router")
    async with request.service.database.transaction() as tx:
        views = await _views(tx, request, [await _create(tx, request, new) for new in wanted])
    return created("router", views, body.routers)


async def _create(tx: Tx, request: NetworkRequest, new: NewRouter) -> Router:
    project_id = owner(request, new)
    _refuse_unserved(new)
    await agents.check_zone_hints(tx, new.availability_zone_hints, "router")
    router = await routers.create(tx, request.service, project_id, given(new))
    if new.external_gateway_info is not None:
        router = await _set_gateway(tx, request, router, new.external_gateway_info)
    return router


async def _set_gateway(tx: Tx, request: NetworkRequest, router: Router, wanted: Gateway | None) -> Router:
    values: dict[str, Any] = {} if wanted is None else given(wanted)
    target = {"project_id": router.project_id}
    for name in ("enable_snat", "external_fixed_ips"):
        if name in values:
            require(request, f"create_router:external_gateway_info:{name}", target, f"external_gateway_info:{name}")
    if values.get("network_id"):
        await networks.VISIBILITY.find(tx, viewer(request), values["network_id"])
    if wanted is not None and wanted.external_fixed_ips is not UNSET:
        await check_named(tx, request, wanted.external_fixed_ips)
        values["external_fixed_ips"] = fixed_ips(wanted.external_fixed_ips)
    return await routers.set_gateway(tx, request.service, router, values)


ROUTERS = Resource("router", "routers", "router_id", routers.VISIBILITY, routers.LISTING, _views)


async def list_routers(request: NetworkRequest) -> Body:
    return await ROUTERS.list(request)


async def show_router(request: NetworkRequest) -> Body:
    return await ROUTERS.show(request)


async def update_router(request: NetworkRequest, body: ChangedRouterBody) -> Body:
    changed = body.router
    values = given(changed, without=("external_gateway_info", "distributed", "ha"))
    if "routes" in values:
        values["routes"] = entries(values["routes"])
    async with request.service.database.transaction() as tx:
        router = await ROUTERS.fetch_to_change(tx, request)
        _refuse_unserved(changed)
        if changed.external_gateway_info is not UNSET:
            router = await _set_gateway(tx, request, router, changed.external_gateway_info)
        return await ROUTERS.body(tx, request, await routers.change(tx, request.service, router, values))


async def add_routes(request: NetworkRequest, body: RoutedBody) -> Body:
    """PUT /v2.0/routers/{id}/add_extraroutes: beside the routes that somebody else adds at the same time."""
    async with request.service.database.transaction() as tx:
        router = await ROUTERS.fetch_to_change(tx, request)
        wanted = routers.with_routes(router, entries(body.router.routes))
        return await ROUTERS.body(tx, request, await routers.change(tx, request.service, router, {"routes": wanted}))


async def remove_routes(request: NetworkRequest, body: RoutedBody) -> Body:
    """PUT /v2.0/routers/{id}/remove_extraroutes."""
    async with request.service.database.transaction() as tx:
        router = await ROUTERS.fetch_to_change(tx, request)
        wanted = routers.without_routes(router, entries(body.router.routes))
        return await ROUTERS.body(tx, request, await routers.change(tx, request.service, router, {"routes": wanted}))


async def delete_router(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        router = await ROUTERS.fetch_to_change(tx, request)
        await routers.delete(tx, request.service, router)


def _exactly_one(body: Interface) -> None:
    if (body.subnet_id is None) == (body.port_id is None):
        raise BadRequest("Exactly one of subnet_id and port_id must be given.")


def _interface_view(router: Router, attached: Attached) -> Body:
    subnet_ids = [each.id for each in attached.subnets]
    return {
        "id": router.id,
        "tenant_id": router.project_id,
        "project_id": router.project_id,
        "port_id": attached.port.id,
        "network_id": attached.port.network_id,
        "subnet_id": subnet_ids[0],
        "subnet_ids": subnet_ids,
        "tags": router.tags,
    }


async def add_interface(request: NetworkRequest, body: Interface) -> Body:
    """PUT /v2.0/routers/{id}/add_router_interface."""
    async with request.service.database.transaction() as tx:
        router = await ROUTERS.fetch_to_change(tx, request)
        _exactly_one(body)
        if body.subnet_id is not None:
            subnet = await SUBNETS.fetch(tx, request, body.subnet_id, rule="get_subnet")
            if not owns(request, subnet):
                raise SubnetNotOwned(subnet.id)
            attached = await routers.add_subnet(tx, request.service, router, subnet)
        else:
            # The port becomes the router's, so seeing it on a network of one's own is not enough.
            port = await PORTS.fetch(tx, request, str(body.port_id), rule="update_port")
            attached = await routers.add_port(tx, request.service, router, port, owns=partial(owns, request))
    return _interface_view(router, attached)


async def remove_interface(request: NetworkRequest, body: Interface) -> Body:
    """PUT /v2.0/routers/{id}/remove_router_interface."""
    async with request.service.database.transaction() as tx:
        router = await ROUTERS.fetch_to_change(tx, request)
        if body.subnet_id is None and body.port_id is None:
            raise BadRequest("Either subnet_id or port_id must be specified.")
        named = {"subnet_id": body.subnet_id, "port_id": body.port_id}
        attached = await routers.remove_interface(tx, request.service, router, **named)
    return _interface_view(router, attached)
