"""/os-networks, /os-tenant-networks, /os-floating-ip-pools and /os-floating-ips, up to version 2.35: the network
service's, in compute's words.

Source: Compute API reference, "Networks", "Project networks", "Floating IP pools", "Floating IPs" (deprecated). What
the network service shows the caller is shown; a pool is an external network.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import UUID, ComputeRequest
from kilonova.compute.views.networking import (
    floating_ip_view,
    network_view,
    pool_view,
    project_network_view,
)
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.network.client import FloatingIp, Network


class NewFloatingIp(Struct, forbid_unknown_fields=True):
    pool: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


async def list_networks(request: ComputeRequest) -> dict[str, Any]:
    return {"networks": [network_view(each) for each in await _networks(request)]}


async def list_project_networks(request: ComputeRequest) -> dict[str, Any]:
    return {"networks": [project_network_view(each) for each in await _networks(request)]}


async def _networks(request: ComputeRequest, **filters: Any) -> list[Network]:
    request.authorize()
    with passing_refusals_on():
        return await request.service.network.list_networks(token=request.ctx.token, **filters)


async def show_network(request: ComputeRequest) -> dict[str, Any]:
    return {"network": network_view(await _network(request))}


async def show_project_network(request: ComputeRequest) -> dict[str, Any]:
    return {"network": project_network_view(await _network(request))}


async def _network(request: ComputeRequest) -> Network:
    request.authorize()
    network_id = request.path["network_id"]
    # A name in its place is not found: clients try that first.
    if not UUID.fullmatch(network_id):
        raise NotFound(f"Network {network_id[:64]} could not be found.")
    with passing_refusals_on():
        return await request.service.network.show_network(network_id, token=request.ctx.token)


async def list_pools(request: ComputeRequest) -> dict[str, Any]:
    return {"floating_ip_pools": [pool_view(each) for each in await _pools(request)]}


async def _pools(request: ComputeRequest) -> list[Network]:
    return await _networks(request, **{"router:external": True})


async def list_floating_ips(request: ComputeRequest) -> dict[str, Any]:
    """The caller's project's."""
    pools = {each.id: each.name for each in await _pools(request)}
    with passing_refusals_on():
        found = await request.service.network.list_floating_ips(
            token=request.ctx.token, project_id=request.ctx.project_id
        )
    return {"floating_ips": [floating_ip_view(each, pools) for each in found]}


async def show_floating_ip(request: ComputeRequest) -> dict[str, Any]:
    floating = await _floating_ip(request)
    pools = {each.id: each.name for each in await _pools(request)}
    return {"floating_ip": floating_ip_view(floating, pools)}


async def _floating_ip(request: ComputeRequest) -> FloatingIp:
    request.authorize()
    floating_ip_id = request.path["floating_ip_id"]
    if not UUID.fullmatch(floating_ip_id):
        raise NotFound(f"Floating IP not found for ID {floating_ip_id[:64]}")
    with passing_refusals_on():
        return await request.service.network.show_floating_ip(floating_ip_id, request.ctx.token)


async def create_floating_ip(request: ComputeRequest, body: NewFloatingIp | None) -> dict[str, Any]:
    """From a pool by its name or id; from the only one when none is named."""
    wanted = None if body is None else body.pool
    pools = [each for each in await _pools(request) if wanted in (None, each.name, each.id)]
    if not pools:
        raise NotFound("Floating IP pool not found." if wanted is None else f"Floating IP pool {wanted} not found.")
    if len(pools) > 1:
        names = ", ".join(each.name for each in pools)
        raise BadRequest(f"There are several pools: name one of {names}, or its id.")
    with passing_refusals_on():
        made = await request.service.network.create_floating_ip({"floating_network_id": pools[0].id}, request.ctx.token)
    return {"floating_ip": floating_ip_view(made, {pools[0].id: pools[0].name})}


async def delete_floating_ip(request: ComputeRequest) -> None:
    floating = await _floating_ip(request)
    with passing_refusals_on():
        await request.service.network.delete_floating_ip(floating.id, request.ctx.token)
