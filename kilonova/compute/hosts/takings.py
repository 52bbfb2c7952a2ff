"""Shares that servers have taken of their hosts' NUMA nodes: processors of their own, memory and pages.

The one rule: whoever takes has read, in the transaction that writes, what all others have of that host; so no processor
and no page is taken twice, whatever the scheduler believed. A server takes once for each host and flavor: one that
moves, or is resized where it is, has two takings until it is known where it stays.
"""

from collections.abc import Collection, Iterable

import msgspec
from msgspec import structs
from sqlalchemy import BindParameter, bindparam, select
from sqlalchemy.sql.expression import outerjoin

from kilonova.compute.agent.spec import GuestPlacement, HostShare
from kilonova.compute.hosts import loads
from kilonova.compute.scheduling.numa.fitting import fit, taken_by
from kilonova.compute.scheduling.numa.guests import GuestTopology, asks_for_nodes
from kilonova.compute.scheduling.numa.hosts import HostTopology
from kilonova.compute.tables import Host, Server, Taking, hosts, servers, takings
from kilonova.compute.transactions import CellTx


def topology_of(row: Host, placements: Iterable[GuestPlacement]) -> HostTopology | None:
    """A host's nodes with these guests on it. None where its agent tells none."""
    told = row.inventory.get("topology")
    if told is None:
        return None
    share = msgspec.convert(row.inventory.get("share", {}), HostShare)
    bare = msgspec.convert(told, HostTopology)
    found = structs.replace(bare, cpu_ratio=share.cpu_allocation_ratio, ram_ratio=share.ram_allocation_ratio)
    for placement in placements:
        found = taken_by(found, placement)
    return found


async def on_hosts(tx: CellTx, names: Collection[str]) -> dict[str, list[GuestPlacement]]:
    """Host → what is taken of it, of those of which something is."""
    found: dict[str, list[GuestPlacement]] = {}
    for each in await tx.all(Taking, _ON_HOSTS, names=list(names)):
        found.setdefault(each.host, []).append(read(each))
    return found


def read(taking: Taking) -> GuestPlacement:
    return msgspec.convert(taking.placement, GuestPlacement, str_keys=True)


async def take(tx: CellTx, host_id: str, guest: GuestTopology, server_id: str, flavor_id: str) -> bool:
    """Takes what the guest asks of the host's nodes. False: others have it. Safe to repeat.

    A guest that any host can serve takes nothing of one that does not tell its nodes.
    """
    row = await tx.find(Host, hosts, id=host_id)
    if row is None:
        return False
    if await tx.find(Taking, takings, server_id=server_id, host=row.host, flavor_id=flavor_id) is not None:
        return True
    topology = topology_of(row, (await on_hosts(tx, [row.host])).get(row.host, ()))
    if topology is None:
        return not guest.is_demanding
    placement = fit(guest, topology)
    if placement is None:
        return False
    await tx.insert(takings, Taking(server_id, row.host, flavor_id, msgspec.to_builtins(placement, str_keys=True)))
    await loads.mark_changed(tx, row.host)
    return True


async def find(tx: CellTx, server: Server, host: str | None) -> GuestPlacement | None:
    """Returns the place of the server's guest on that host, with the flavor that it has; None: anywhere."""
    properties = (server.image or {}).get("properties", {})
    if host is None or not asks_for_nodes(server.flavor["extra_specs"], properties):
        return None
    found = await tx.find(Taking, takings, server_id=server.id, host=host, flavor_id=server.flavor["id"])
    return None if found is None else read(found)


async def give_back(tx: CellTx, server_id: str) -> None:
    """Gives back all that a server has taken in this database. Safe to repeat."""
    await _give_back(tx, await tx.all(Taking, _OF_SERVER, server_id=server_id))


async def keep_own(tx: CellTx, server_id: str) -> None:
    """Gives back what a server has taken but of its host, as its row says, and for its flavor. Safe to repeat."""
    server = await tx.find(Server, servers, id=server_id)
    own = None if server is None else (server.host, server.flavor["id"])
    found = await tx.all(Taking, _OF_SERVER, server_id=server_id)
    await _give_back(tx, [each for each in found if (each.host, each.flavor_id) != own])


async def _give_back(tx: CellTx, given: Iterable[Taking]) -> None:
    for each in given:
        await tx.remove(takings, server_id=each.server_id, host=each.host, flavor_id=each.flavor_id)
        await loads.mark_changed(tx, each.host)


async def without_server(tx: CellTx, server_id: str | None = None) -> list[str]:
    """Ids of the servers that have taken something in this database and are not in it; of that one only, if named."""
    statement = _STRAY if server_id is None else _STRAY.where(takings.c.server_id == server_id)
    return [row[0] for row in await tx.tuples(statement)]


_NAMES: BindParameter[list[str]] = bindparam("names", expanding=True)
_ON_HOSTS = select(takings).where(takings.c.host.in_(_NAMES)).order_by(takings.c.server_id, takings.c.flavor_id)
_OF_SERVER = select(takings).where(takings.c.server_id == bindparam("server_id"))
_STRAY = (
    select(takings.c.server_id)
    .select_from(outerjoin(takings, servers, takings.c.server_id == servers.c.id))
    .where(servers.c.id.is_(None))
    .distinct()
)
