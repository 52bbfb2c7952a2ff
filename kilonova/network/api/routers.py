"""/v2.0/routers and /v2.0/floatingips."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.network import floating_ips, networks, ports, records, routers
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
from kilonova.network.api.networks import fetch_subnet
from kilonova.network.api.ports import fetch_port
from kilonova.network.errors import FloatingIPNotFound, NetworkNotFound, RouterNotFound
from kilonova.network.routers import Attached
from kilonova.network.tables import FloatingIp, Router
from kilonova.network.views.resources import floating_ip_view, router_view

Name = Annotated[str, Meta(max_length=255)]


class Gateway(Struct, forbid_unknown_fields=True):
    network_id: str | None = None
    enable_snat: bool | UnsetType = UNSET
    external_fixed_ips: list[dict[str, str]] | UnsetType = UNSET


class NewRouter(Struct, forbid_unknown_fields=True):
    name: Name = ""
    description: Name = ""
    admin_state_up: bool = True
    external_gateway_info: Gateway | None = None
    distributed: bool | None = None
    ha: bool | None = None
    flavor_id: str | None = None
    availability_zone_hints: list[str] = []
    tags: list[str] = []
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewRouterBody(Struct, forbid_unknown_fields=True):
    router: NewRouter


class ChangedRouter(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    external_gateway_info: Gateway | None | UnsetType = UNSET
    routes: list[dict[str, str]] | None | UnsetType = UNSET
    distributed: bool | UnsetType = UNSET
    ha: bool | UnsetType = UNSET


class ChangedRouterBody(Struct, forbid_unknown_fields=True):
    router: ChangedRouter


class Interface(Struct, forbid_unknown_fields=True):
    subnet_id: str | None = None
    port_id: str | None = None


ROUTERS = Listing(
    "routers",
    {**STANDARD_FILTERS, "admin_state_up": "admin_state_up", "status": "status"},
    other=("tags", "distributed", "ha"),
    booleans=("admin_state_up",),
)


async def _view(tx: Tx, router: Router) -> Body:
    gateway = await ports.details_of(tx, router.gateway_port_id) if router.gateway_port_id else None
    return router_view(router, gateway)


def _refuse_unserved(fields: NewRouter | ChangedRouter) -> None:
    for name in ("distributed", "ha"):
        if getattr(fields, name) is True:
            raise BadRequest(f"{name} routers are not served; leave {name} out or set it to false.")


async def create_router(request: NetworkRequest, body: NewRouterBody) -> Body:
    new, service = body.router, request.service
    project_id = owner(request, new)
    _refuse_unserved(new)
    async with service.database.transaction() as tx:
        standard = records.standard(project_id, new.name, new.description, service.clock.now())
        router = Router(
            **{**standard, "tags": new.tags},
            admin_state_up=new.admin_state_up,
            status="DOWN",
            gateway_port_id=None,
            gateway_network_id=None,
            enable_snat=True,
            routes=[],
            host=None,
        )
        await routers.insert(tx, router)
        if new.external_gateway_info is not None:
            router = await _set_gateway(tx, request, router, new.external_gateway_info)
        view = await _view(tx, router)
    await service.wake_agents()
    return {"router": view}


async def _set_gateway(tx: Tx, request: NetworkRequest, router: Router, wanted: Gateway | None) -> Router:
    values: dict[str, Any] = {} if wanted is None else given(wanted)
    target = {"project_id": router.project_id}
    for name in ("enable_snat", "external_fixed_ips"):
        if name in values:
            require(request, f"create_router:external_gateway_info:{name}", target, f"external_gateway_info:{name}")
    if values.get("network_id"):
        network = await networks.find(tx, values["network_id"])
        if not (networks.is_visible(network, request.ctx.project_id) or request.ctx.is_admin):
            raise NetworkNotFound(network.id)
    return await routers.set_gateway(tx, request.service, router, values, may_name_addresses=True)


async def list_routers(request: NetworkRequest) -> Body:
    request.authorize(rule="get_router")
    async with request.service.database.reading() as tx:
        found = await routers.list_seen(tx, ROUTERS.filters(request), **seen(request))
        views = [await _view(tx, each) for each in found]
    return ROUTERS.answer(request, views)


async def fetch_router(tx: Tx, request: NetworkRequest) -> Router:
    router_id = request.path["router_id"]
    router = await routers.find(tx, router_id)
    visible = router.project_id == request.ctx.project_id
    authorize_found(request, {"project_id": router.project_id}, visible, RouterNotFound(router_id))
    return router


async def show_router(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        view = await _view(tx, await fetch_router(tx, request))
    return {"router": only_fields(view, request.query.getlist("fields"))}


async def update_router(request: NetworkRequest, body: ChangedRouterBody) -> Body:
    changed = body.router
    _refuse_unserved(changed)
    values = given(changed, without=("external_gateway_info", "distributed", "ha"))
    if "routes" in values:
        values["routes"] = values["routes"] or []
    async with request.service.database.transaction() as tx:
        router = await fetch_router(tx, request)
        if changed.external_gateway_info is not UNSET:
            router = await _set_gateway(tx, request, router, changed.external_gateway_info)
        router = await routers.change(tx, request.service, router, values)
        view = await _view(tx, router)
    await request.service.wake_agents()
    return {"router": view}


async def delete_router(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        await routers.delete(tx, request.service, await fetch_router(tx, request))
    await request.service.wake_agents()


def _exactly_one(body: Interface) -> None:
    if (body.subnet_id is None) == (body.port_id is None):
        raise BadRequest("Exactly one of subnet_id and port_id must be given.")


def _interface_view(router: Router, attached: Attached) -> Body:
    return {
        "id": router.id,
        "tenant_id": router.project_id,
        "project_id": router.project_id,
        "port_id": attached.port.id,
        "network_id": attached.port.network_id,
        "subnet_id": attached.subnet.id,
        "subnet_ids": [attached.subnet.id],
        "tags": router.tags,
    }


async def add_interface(request: NetworkRequest, body: Interface) -> Body:
    """PUT /v2.0/routers/{id}/add_router_interface."""
    _exactly_one(body)
    async with request.service.database.transaction() as tx:
        router = await fetch_router(tx, request)
        if body.subnet_id is not None:
            subnet = await fetch_subnet(tx, request, body.subnet_id)
            attached = await routers.add_subnet(tx, request.service, router, subnet)
        else:
            port = await fetch_port(tx, request, str(body.port_id))
            attached = await routers.add_port(tx, request.service, router, port)
    await request.service.wake_agents()
    return _interface_view(router, attached)


async def remove_interface(request: NetworkRequest, body: Interface) -> Body:
    """PUT /v2.0/routers/{id}/remove_router_interface."""
    if body.subnet_id is None and body.port_id is None:
        raise BadRequest("Either subnet_id or port_id must be specified.")
    async with request.service.database.transaction() as tx:
        router = await fetch_router(tx, request)
        attached = await routers.remove_interface(tx, router, subnet_id=body.subnet_id, port_id=body.port_id)
    await request.service.wake_agents()
    return _interface_view(router, attached)


class NewFloatingIp(Struct, forbid_unknown_fields=True):
    floating_network_id: str
    floating_ip_address: str | None = None
    fixed_ip_address: str | None = None
    port_id: str | None = None
    subnet_id: str | None = None
    description: Name = ""
    dns_name: str = ""
    dns_domain: str = ""
    tags: list[str] = []
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewFloatingIpBody(Struct, forbid_unknown_fields=True):
    floatingip: NewFloatingIp


class ChangedFloatingIp(Struct, forbid_unknown_fields=True):
    port_id: str | None | UnsetType = UNSET
    fixed_ip_address: str | None = None
    description: Name | UnsetType = UNSET


class ChangedFloatingIpBody(Struct, forbid_unknown_fields=True):
    floatingip: ChangedFloatingIp


FLOATING_IPS = Listing(
    "floatingips",
    {
        **{name: column for name, column in STANDARD_FILTERS.items() if name != "name"},
        "floating_network_id": "floating_network_id",
        "floating_ip_address": "floating_ip_address",
        "fixed_ip_address": "fixed_ip_address",
        "port_id": "fixed_port_id",
        "router_id": "router_id",
        "status": "status",
    },
    other=("tags",),
)


async def _floating_view(tx: Tx, floating: FloatingIp) -> Body:
    port = await ports.details_of(tx, floating.fixed_port_id) if floating.fixed_port_id else None
    return floating_ip_view(floating, port)


async def create_floating_ip(request: NetworkRequest, body: NewFloatingIpBody) -> Body:
    new, service = body.floatingip, request.service
    project_id = owner(request, new)
    if new.floating_ip_address is not None:
        require(request, "create_floatingip:floating_ip_address", {"project_id": project_id}, "floating_ip_address")
    async with service.database.transaction() as tx:
        if new.port_id is not None:
            await fetch_port(tx, request, new.port_id)
        floating = await floating_ips.create(tx, service, project_id, new.floating_network_id, given(new))
        view = await _floating_view(tx, floating)
    await service.wake_agents()
    await service.wake_events()
    return {"floatingip": view}


async def list_floating_ips(request: NetworkRequest) -> Body:
    request.authorize(rule="get_floatingip")
    async with request.service.database.reading() as tx:
        found = await floating_ips.list_seen(tx, FLOATING_IPS.filters(request), **seen(request))
        views = [await _floating_view(tx, each) for each in found]
    return FLOATING_IPS.answer(request, views)


async def fetch_floating_ip(tx: Tx, request: NetworkRequest) -> FloatingIp:
    floating_id = request.path["floating_ip_id"]
    floating = await floating_ips.find(tx, floating_id)
    visible = floating.project_id == request.ctx.project_id
    authorize_found(request, {"project_id": floating.project_id}, visible, FloatingIPNotFound(floating_id))
    return floating


async def show_floating_ip(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        view = await _floating_view(tx, await fetch_floating_ip(tx, request))
    return {"floatingip": only_fields(view, request.query.getlist("fields"))}


async def update_floating_ip(request: NetworkRequest, body: ChangedFloatingIpBody) -> Body:
    changed, service = body.floatingip, request.service
    async with service.database.transaction() as tx:
        floating = await fetch_floating_ip(tx, request)
        if changed.description is not UNSET:
            floating = await floating_ips.change(tx, service, floating, {"description": changed.description})
        if changed.port_id is not UNSET:
            if changed.port_id is not None:
                await fetch_port(tx, request, changed.port_id)
            floating = await floating_ips.associate(tx, service, floating, changed.port_id, changed.fixed_ip_address)
        view = await _floating_view(tx, floating)
    await service.wake_agents()
    await service.wake_events()
    return {"floatingip": view}


async def delete_floating_ip(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        await floating_ips.delete(tx, request.service, await fetch_floating_ip(tx, request))
    await request.service.wake_agents()
    await request.service.wake_events()
