"""Creating servers: what the quota allows, their rows, and the tasks that build them, in one commit."""

from collections.abc import Sequence
from typing import Any

import msgspec

from kilonova.compute.agent.spec import SpecImage
from kilonova.compute.catalog import quotas, server_groups
from kilonova.compute.programs.build import BUILD, BuildArgs
from kilonova.compute.servers import admin_passwords, new_volumes, requests, servers, specs, volumes
from kilonova.compute.servers.new_volumes import ReadyVolume
from kilonova.compute.servers.requests import WantedServers
from kilonova.compute.servers.timeline import task_of
from kilonova.compute.service import Region
from kilonova.compute.tables import Server
from kilonova.compute.transactions import RegionTx
from kilonova.kit.auth import RequestContext
from kilonova.kit.errors import BadRequest

MOST_AT_ONCE = 500
"""Servers that one request makes, whatever the quota allows: they are written in one transaction."""


async def create(
    region: Region, ctx: RequestContext, request_id: str, wanted: WantedServers, least: int, password: str
) -> list[Server]:
    """Makes the servers wanted, or as many as the quota allows, but `least` at least.

    `password`: the administrator's, of each. Raises QuotaExceeded, BadRequest, and RemoteFault for volumes that the
    caller cannot have; no volume stays then that was made for a server.
    """
    ready = await _ready_volumes(region, ctx, wanted, least)
    try:
        made = await _insert(region, ctx, request_id, wanted, least, password, ready)
    except BaseException:
        await new_volumes.discard(region, ready)
        raise
    # Other requests may have taken of the quota meanwhile.
    await new_volumes.discard(region, ready[len(made) :])
    return made


async def _ready_volumes(
    region: Region, ctx: RequestContext, wanted: WantedServers, least: int
) -> list[list[ReadyVolume]]:
    """Makes the volumes of as many servers as the quota allows now."""
    if not wanted.volumes:
        return []
    async with region.reading() as tx:
        count = await _affordable(tx, wanted, least, ctx)
    return await new_volumes.make_ready(region, ctx, wanted.volumes, count, wanted.requested_zone)


async def _insert(
    region: Region,
    ctx: RequestContext,
    request_id: str,
    wanted: WantedServers,
    least: int,
    password: str,
    ready: Sequence[Sequence[ReadyVolume]],
) -> list[Server]:
    now, project_id = region.clock.now(), ctx.project_id or ""
    async with region.transaction() as tx:
        if wanted.metadata:
            quotas.check_metadata(await quotas.limits_of(tx, project_id), len(wanted.metadata))
        count = await _affordable(tx, wanted, least, ctx)
        made = requests.make_servers(wanted, ctx, now, min(count, len(ready)) if wanted.volumes else count)
        for server, own in zip(made, ready, strict=False):
            server.volumes = _placed(server, own, wanted)
        for server in made:
            args = BuildArgs(admin_password=admin_passwords.of_request(server, password))
            task = task_of(ctx, request_id, BUILD, server.id, args)
            await servers.insert(tx, region.local(tx), server, task, now)
        if wanted.group_id is not None:
            await server_groups.tell_members(tx, wanted.group_id)
    return made


def _placed(server: Server, own: Sequence[ReadyVolume], wanted: WantedServers) -> list[dict[str, Any]]:
    """Returns a new server's volumes as its row keeps them."""
    flavor, image = specs.spec_flavor(server.flavor), msgspec.convert(server.image, SpecImage | None)
    placed = new_volumes.place(own, flavor, image, wanted.local_disks, config_drive=server.config_drive)
    return volumes.as_kept(placed)


async def _affordable(tx: RegionTx, wanted: WantedServers, least: int, ctx: RequestContext) -> int:
    """Returns how many of the servers wanted the quotas allow, `least` at least. Raises QuotaExceeded, BadRequest.

    Before any is made: how many are asked for is limited by nothing else.
    """
    count = await quotas.affordable(tx, ctx.project_id or "", ctx.user_id, wanted.flavor, least, wanted.count)
    if least > MOST_AT_ONCE:
        raise BadRequest(f"One request creates {MOST_AT_ONCE} servers at most: ask for the others with another one.")
    count = min(count, MOST_AT_ONCE)
    if wanted.group_id is not None:
        await server_groups.check_room(tx, await server_groups.find(tx, wanted.group_id), count)
    return count
