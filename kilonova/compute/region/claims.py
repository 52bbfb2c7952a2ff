"""Servers and what they hold in placement, compared: claims that are missing, and claims that nobody has.

Nothing here is needed while all goes well: each operation claims and gives back by itself. It is for an operator whose
placement was restored, emptied or written by hand.
Source: the Compute command reference, "nova-manage placement".
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from sqlalchemy import bindparam, select

from kilonova.compute.scheduling.numa.guests import topology_of, with_own_cpus
from kilonova.compute.scheduling.requirements import UnusableSpec, requirements_of
from kilonova.compute.servers import migrations as moves
from kilonova.compute.servers import volumes
from kilonova.compute.tables import Server, hosts, migrations, server_mappings, servers, tasks
from kilonova.compute.transactions import CellTx, cell_reading, region_reading
from kilonova.kit.db import Database
from kilonova.placement.client import PlacementClient, Resources

AT_ONCE = 50
OVER = (moves.COMPLETED, moves.CANCELLED, moves.FAILED, moves.CONFIRMED, moves.REVERTED)
OURS = ("", "INSTANCE", "MIGRATION", "unknown")
"""Types of consumers that are compute's; `unknown` is what somebody has written by hand."""

Outcome = Literal["healed", "held", "unplaced", "busy", "hostless"]
"""`held`: it has its claims; `unplaced`: it is on no host; `hostless`: on one that is not known."""


def resources_of(server: Server) -> Resources:
    """Returns what a server holds of its host. Raises UnusableSpec where its flavor has numbered groups, too: nobody
    can say afterwards which provider gave those.
    """
    flavor, properties = volumes.own_disks(server.flavor, server.volumes), (server.image or {}).get("properties", {})
    needed = requirements_of(flavor, properties)
    if needed.groups:
        raise UnusableSpec("Its flavor asks for numbered groups of resources: claim those by hand.")
    topology = topology_of(flavor["extra_specs"], properties, flavor["vcpus"], flavor["memory_mib"])
    return {name: n for name, n in with_own_cpus(needed.resources, topology).items() if n}


async def some_servers(database: Database, after: str) -> list[Server]:
    """The next servers of a database by id."""
    async with cell_reading(database) as tx:
        return await tx.all(Server, _NEXT, after=after)


_NEXT = select(servers).where(servers.c.id > bindparam("after")).order_by(servers.c.id).limit(AT_ONCE)


async def heal(
    database: Database, placement: PlacementClient, server: Server, *, dry_run: bool, force: bool
) -> Outcome:
    """Claims for a server what it uses, where it holds nothing. `force`: whatever it holds.

    Raises UnusableSpec, ClaimConflict, RemoteFault.
    """
    async with cell_reading(database) as tx:
        active = await tasks.active(tx, server.id)
        known = await tx.scalar(select(hosts.c.id).where(hosts.c.host == server.host))
    if active is not None:
        return "busy"
    if server.host is None:
        return "unplaced"
    if known is None:
        return "hostless"
    claims = await placement.claims(server.id)
    wanted = {str(known): resources_of(server)}
    if claims.held == wanted or (claims.held and not force):
        return "held"
    if not dry_run:
        owner = {"project_id": server.project_id, "user_id": server.user_id}
        await placement.replace_claims(server.id, claims, wanted, **owner)
    return "healed"


class Orphan(Struct, frozen=True):
    """A consumer that holds something of a provider and has no business there."""

    consumer_id: str
    provider_id: str


class Known(Struct):
    """Consumers that may hold something, as the region's databases have them."""

    servers: dict[str, str | None] = {}
    """Server id → the provider it runs on; None while an operation may be about to change that."""
    migrations: set[str] = set()
    """Ids of those that are not over."""
    mapped: set[str] = set()
    """Ids of servers that have a cell, whether it has told of them or not."""
    hosts: set[str] = set()
    """Providers that are hosts."""


async def find_orphans(
    region: Database, databases: Sequence[Database], placement: PlacementClient, provider_ids: Sequence[str]
) -> tuple[list[Orphan], int]:
    """Returns the orphans of these providers, and the number of claims looked at. RemoteFault 404: no such provider.

    Placement is read first, then the databases in the order in which a server goes through them when it is placed:
    nothing that begins meanwhile is taken for an orphan.
    """
    claims = [(consumer, provider) for provider in provider_ids for consumer in await placement.consumers(provider)]
    known = await _read_known(region, databases)
    suspects = [Orphan(*each) for each in claims if _is_suspect(*each, known)]
    types = {each.consumer_id: (await placement.claims(each.consumer_id)).consumer_type for each in suspects}
    return [each for each in suspects if types[each.consumer_id] in OURS], len(claims)


async def _read_known(region: Database, databases: Sequence[Database]) -> Known:
    known = Known()
    for database in databases:
        async with cell_reading(database) as tx:
            await _add_known(tx, known)
    async with region_reading(region) as region_tx:
        living = select(server_mappings.c.server_id).where(server_mappings.c.deleted_at.is_(None))
        known.mapped = {row[0] for row in await region_tx.tuples(living)}
    return known


async def _add_known(tx: CellTx, known: Known) -> None:
    of_tasks = tasks.tasks.c
    active = {row[0] for row in await tx.tuples(select(of_tasks.subject_id).where(of_tasks.finished_at.is_(None)))}
    for server_id, node_id in await tx.tuples(select(servers.c.id, servers.c.node_id)):
        known.servers[server_id] = None if server_id in active else node_id
    for migration_id, server_id, status in await tx.tuples(_MIGRATIONS):
        if status not in OVER or server_id in active:
            known.migrations.add(migration_id)
    known.hosts |= {row[0] for row in await tx.tuples(select(hosts.c.id))}


_MIGRATIONS = select(migrations.c.id, migrations.c.server_id, migrations.c.status)


def _is_suspect(consumer_id: str, provider_id: str, known: Known) -> bool:
    """A server's claim is left over on a host that is not its own; what lies below a host, or beside it, is its."""
    if consumer_id in known.servers:
        host_id = known.servers[consumer_id]
        return host_id is not None and provider_id in known.hosts and provider_id != host_id
    return consumer_id not in known.mapped and consumer_id not in known.migrations


async def release_orphan(placement: PlacementClient, orphan: Orphan) -> None:
    """Gives back what an orphan holds of its provider; what it holds elsewhere stays. Raises ClaimConflict."""
    claims = await placement.claims(orphan.consumer_id)
    kept = {provider: held for provider, held in claims.held.items() if provider != orphan.provider_id}
    await placement.replace_claims(
        orphan.consumer_id, claims, kept, project_id=claims.project_id, user_id=claims.user_id
    )
