"""How many servers each host has, counted as they come and go, and when each host last changed.

The one rule: whatever writes a row of `hosts`, or the host or vm_state of a row of `servers`, says so here in the same
transaction. The scheduler holds the hosts in memory, and reads again what has a later revision than the last it saw
(`index.py`, docs/decisions/0035).
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import bindparam, func, select, update

from kilonova.compute.tables import HostLoad, Server, host_loads, servers
from kilonova.compute.transactions import CellTx


class Place(NamedTuple):
    """The host a server counts on, and the state that tells whether it is being built."""

    host: str | None
    vm_state: str


def place_of(server: Server) -> Place:
    return Place(server.host, server.vm_state)


async def find_place(tx: CellTx, server_id: str) -> Place | None:
    """None when the database does not have the server."""
    rows = await tx.tuples(_PLACE, server_id=server_id)
    return Place(*rows[0]) if rows else None


_PLACE = select(servers.c.host, servers.c.vm_state).where(servers.c.id == bindparam("server_id"))


async def images_on_hosts(tx: CellTx) -> list[tuple[str, Mapping[str, str]]]:
    """Host and image properties of every server that is on a host."""
    found = await tx.tuples(_IMAGES)
    return [(host, image["properties"]) for host, image in found if image is not None]


_IMAGES = select(servers.c.host, servers.c.image).where(servers.c.host.is_not(None))


async def follow(tx: CellTx, before: Place | None, after: Place | None) -> None:
    """Counts a server that was at `before` and is at `after`; None: it was not, or is no longer, in this database."""
    changes: dict[str, tuple[int, int]] = {}
    for place, sign in ((before, -1), (after, 1)):
        if place is not None and place.host is not None:
            count, building = changes.get(place.host, (0, 0))
            changes[place.host] = count + sign, building + sign * (place.vm_state == "building")
    for host, (count, building) in changes.items():
        if (count or building) and not await tx.execute(_COUNT, counted=host, more=count, more_building=building):
            await _insert(tx, host, count, building)


async def mark_changed(tx: CellTx, host: str) -> None:
    """Gives the host the next revision: whoever holds its row in memory will read it again."""
    if not await tx.execute(_MARK, marked=host):
        await _insert(tx, host, 0, 0)


async def _insert(tx: CellTx, host: str, count: int, building: int) -> None:
    revision = await tx.scalar(_NEXT)
    await tx.insert(host_loads, HostLoad(host, count, building, revision, revision))


_NEXT = select(func.coalesce(func.max(host_loads.c.revision), 0) + 1)
# A table of its own, because MySQL refuses to read the table that a statement changes.
_NEXT_REVISION = select(_NEXT.subquery().c[0]).scalar_subquery()
_COUNT = (
    update(host_loads)
    .where(host_loads.c.host == bindparam("counted"))
    .values(
        servers=host_loads.c.servers + bindparam("more"),
        building=host_loads.c.building + bindparam("more_building"),
        revision=_NEXT_REVISION,
    )
)
# MariaDB may find a name in another case; it is kept as `hosts` has it now.
_MARK = (
    update(host_loads)
    .where(host_loads.c.host == bindparam("marked"))
    .values(host=bindparam("marked"), revision=_NEXT_REVISION, row_revision=_NEXT_REVISION)
)
