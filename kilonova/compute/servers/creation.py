"""Creating servers: what the quota allows, their rows, and the tasks that build them, in one commit."""

from kilonova.compute.catalog import quotas, server_groups
from kilonova.compute.programs.build import BUILD, BuildArgs
from kilonova.compute.servers import admin_passwords, requests, servers
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

    `password`: the administrator's, of each. Raises QuotaExceeded, BadRequest.
    """
    now, project_id = region.clock.now(), ctx.project_id or ""
    async with region.transaction() as tx:
        if wanted.metadata:
            quotas.check_metadata(await quotas.limits_of(tx, project_id), len(wanted.metadata))
        count = await _affordable(tx, wanted, least, ctx)
        made = requests.make_servers(wanted, ctx, now, count)
        for server in made:
            args = BuildArgs(admin_password=admin_passwords.of_request(server, password))
            task = task_of(ctx, request_id, BUILD, server.id, args)
            await servers.insert(tx, region.local(tx), server, task, now)
        if wanted.group_id is not None:
            await server_groups.tell_members(tx, wanted.group_id)
    return made


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
