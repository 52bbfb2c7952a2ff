"""`nova-manage placement`: claims and aggregates in placement, mended from compute's databases.

Words and exit codes are upstream's. Source: the Compute command reference, "nova-manage placement".
"""

from collections.abc import AsyncIterator
from typing import Any

from kilonova.cli.daemons.region_commands import Command, Refused, Region, command, whole
from kilonova.compute.hosts import aggregates, hosts
from kilonova.compute.region import claims, mappings
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.tables import Server
from kilonova.compute.transactions import cell_reading, region_reading
from kilonova.kit.db import Database
from kilonova.kit.http.client import RemoteFault
from kilonova.placement.client import ClaimConflict

REASONS = {
    "held": "holds its claims",
    "unplaced": "is on no host",
    "busy": "is being worked on: what it holds may be about to change",
}

# --- claims -----------------------------------------------------------------------------------------------------------


async def _heal(region: Region, asked: Any) -> int:
    """Returns 0 when claims were made, 1 when --max-count ended it, 4 when there was nothing to do."""
    most = None if asked.max_count is None else whole(asked.max_count, 127, "--max-count")
    if asked.instance and asked.cell:
        raise Refused(127, "--instance and --cell cannot be given together.")
    if asked.instance and most is not None:
        raise Refused(127, "--instance and --max-count cannot be given together.")
    if asked.force and not asked.instance:
        raise Refused(127, "--force takes what a server holds away: it needs --instance.")
    healed = 0
    async for database, server in _servers_of(region, asked):
        if healed == most:
            print(f"--max-count is reached: {healed} servers were healed, others may be left.")
            return 1
        healed += await _heal_one(region, database, server, asked)
    said = "would be healed" if asked.dry_run else "were healed"
    print(f"{healed} servers {said}.")
    return 0 if healed else 4


async def _servers_of(region: Region, asked: Any) -> AsyncIterator[tuple[Database, Server]]:
    """Yields the servers that the words ask for. Raises Refused with 127 for one that is not there."""
    if asked.instance:
        yield await region.server(asked.instance, code=127)
        return
    if asked.cell:
        databases = [region.open(await region.cell(asked.cell, 127))]
    else:
        databases = await region.databases(everywhere=True)
    for database in databases:
        after = ""
        while found := await claims.some_servers(database, after):
            after = found[-1].id
            for server in found:
                yield database, server


async def _heal_one(region: Region, database: Database, server: Server, asked: Any) -> int:
    """Returns 1 for a server that was healed. Raises Refused."""
    try:
        outcome = await claims.heal(database, region.placement, server, dry_run=asked.dry_run, force=asked.force)
    except (UnusableSpec, ClaimConflict, RemoteFault) as error:
        raise Refused(3, f"Server {server.id} could not be healed: {error}") from error
    if outcome == "hostless":
        raise Refused(2, f"Server {server.id} is on host {server.host}, which has no row: it could not be healed.")
    if asked.verbose:
        done = "would be healed" if asked.dry_run else "holds now what it uses"
        print(f"Server {server.id} {REASONS.get(outcome, f'{done} of host {server.host}')}.")
    return int(outcome == "healed")


async def _audit(region: Region, asked: Any) -> int:
    """Returns 0 when nothing is orphaned, 3 when something is, 4 when that was deleted."""
    chosen = [asked.resource_provider] if asked.resource_provider else None
    try:
        providers = chosen or [each.uuid for each in await region.placement.providers()]
        databases = await region.databases(everywhere=True)
        orphans, count = await claims.find_orphans(region.database, databases, region.placement, providers)
        for each in orphans:
            if asked.delete:
                await claims.release_orphan(region.placement, each)
            if asked.verbose:
                done = "were deleted" if asked.delete else "are orphaned and can be deleted"
                print(f"Allocations of consumer {each.consumer_id} on resource provider {each.provider_id} {done}.")
    except RemoteFault as error:
        if error.status == 404 and chosen:
            raise Refused(127, f"There is no resource provider {chosen[0]}.") from error
        raise Refused(1, f"Placement could not be audited: {error}") from error
    except ClaimConflict as error:
        raise Refused(1, f"A consumer changed while it was looked at, run this again: {error}") from error
    if asked.verbose or orphans:
        print(f"{count} allocations were looked at, {len(orphans)} of them orphaned.")
    return (4 if asked.delete else 3) if orphans else 0


# --- aggregates -------------------------------------------------------------------------------------------------------


async def _sync_aggregates(region: Region, asked: Any) -> int:
    """Makes the provider of each host of an aggregate one of the same aggregate's in placement. Takes none out."""
    async with region_reading(region.database) as tx:
        found = await aggregates.list_all(tx)
    code = 0
    for each in found:
        for host in each.hosts:
            code = await _sync_host(region, each.id, host, verbose=asked.verbose) or code
    return code


async def _sync_host(region: Region, aggregate_id: str, host: str, *, verbose: bool) -> int:
    """Returns 0, or the code of what keeps the host from it, which is said."""
    async with region_reading(region.database) as tx:
        mapping = await mappings.find_host(tx, host)
    if mapping is None:
        print(f"Host {host} of aggregate {aggregate_id} is mapped to no cell.")
        return 4
    async with cell_reading(region.open(await region.cell(mapping.cell_id))) as tx:
        row = next((each for each in await hosts.list_all(tx) if each.host == host), None)
    if row is None:
        print(f"Host {host} of aggregate {aggregate_id} has not registered in its cell.")
        return 5
    try:
        is_new = await region.placement.join_aggregate(row.id, aggregate_id)
    except RemoteFault as error:
        code = {404: 6, 409: 3}.get(error.status, 2)
        print(f"The resource provider {row.id} of host {host} could not join aggregate {aggregate_id}: {error}")
        return code
    if verbose and is_new:
        print(f"Host {host} is in aggregate {aggregate_id} in placement, too.")
    return 0


def placement_commands() -> dict[str, Command]:
    return {
        "placement heal_allocations": command(
            "placement heal_allocations",
            _heal,
            *("--max-count", "--instance", "--cell"),
            flags=("--verbose", "--dry-run", "--skip-port-allocations", "--force"),
        ),
        "placement sync_aggregates": command("placement sync_aggregates", _sync_aggregates, flags=("--verbose",)),
        "placement audit": command("placement audit", _audit, "--resource_provider", flags=("--verbose", "--delete")),
    }
