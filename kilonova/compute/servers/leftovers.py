"""What came to a server after it was deleted: taken away a while later.

A conductor that dies, or loses its task to a delete, may have a call under way that makes a port or a claim. The delete
does not see what that call is about to make. So the servers of the last while are looked at once more, when no call
that was made for them can be under way any longer.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import select

from kilonova.compute.hosts import takings
from kilonova.compute.programs import release
from kilonova.compute.service import Cell
from kilonova.compute.tables import DeletedServer, Server, server_history, servers
from kilonova.kit.http.client import RemoteMissing
from kilonova.kit.log import logger

log = logger(__name__)

LONGEST_CALL = timedelta(seconds=90)
"""A client gives a call up after 60 s; what it asked for is done or refused soon after."""
FIRST_LOOK_BACK = timedelta(minutes=30)
OVERLAP = timedelta(seconds=30)
"""Two looks share this much: a row may be committed later than its time says."""
EVERY_SECONDS = 15.0
AT_ONCE = 50


async def sweep_since(cell: Cell, last: datetime | None) -> None:
    """Looks at the servers of one database that nobody has looked at since `last`."""
    await sweep_takings(cell)
    now = cell.clock.now()
    since = now - FIRST_LOOK_BACK if last is None else last - OVERLAP
    await sweep(cell, since - LONGEST_CALL, now - LONGEST_CALL)


async def sweep_takings(cell: Cell) -> None:
    """Gives back what was taken of hosts of this cell for servers that did not come, or were deleted meanwhile."""
    async with cell.reading() as tx:
        strays = await takings.without_server(tx)
    if not strays:
        return
    async with cell.region.reading() as region_tx:
        here = cell.region.local(region_tx)
        # A server waits in the API database until its copy is in its cell.
        strays = [each for each in strays if await here.find(Server, servers, id=each) is None]
    for server_id in strays:
        async with cell.transaction() as tx:
            if await takings.without_server(tx, server_id):
                log.warning("what a server had of a host is given back", server=server_id)
                await takings.give_back(tx, server_id)


async def sweep(cell: Cell, since: datetime, until: datetime) -> None:
    """Frees what servers hold that were deleted in this time. Safe to repeat."""
    async with cell.reading() as tx:
        deleted_at = server_history.c.deleted_at
        statement = select(server_history).where(deleted_at >= since, deleted_at < until)
        gone = await tx.all(DeletedServer, statement)
    for start in range(0, len(gone), AT_ONCE):
        await _free(cell, gone[start : start + AT_ONCE])


async def _free(cell: Cell, gone: list[DeletedServer]) -> None:
    by_id = {each.id: each for each in gone}
    try:
        found = await cell.region.network.list_ports(device_id=sorted(by_id))
    except RemoteMissing:
        # A cloud without a network service has claims to give back all the same.
        found = []
    for server_id in {each.device_id for each in found if each.project_id == by_id[each.device_id].project_id}:
        log.warning("a port came to a server after its deletion, and is taken away", server=server_id)
        await release.ports(cell.region.network, msgspec.convert(by_id[server_id].record, Server))
    for server_id in by_id:
        if await cell.region.placement.allocations(server_id):
            log.warning("a claim came to a server after its deletion, and is given back", server=server_id)
            await cell.region.placement.release(server_id)
