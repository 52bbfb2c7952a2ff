"""Chores that keep a region and its cells consistent, where there are several cells.

Nothing here is needed while nobody dies: a move wakes what it has moved, a cell's conductor maps its hosts and ends the
mappings of the servers it destroys. One that dies, or cannot reach the API database, leaves it to this.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from kilonova.compute.hosts import hosts
from kilonova.compute.region import mappings, moving
from kilonova.compute.region.directory import CellDown
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import CellMapping, Host, server_history
from kilonova.compute.transactions import RegionTx, region_reading, region_transaction
from kilonova.kit.db import Database
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

log = logger(__name__)

EVERY_SECONDS = 5.0
FIRST_LOOK_BACK = timedelta(days=7)
OVERLAP = timedelta(minutes=10)
"""Two looks share this much: a row may be committed later than its time says."""


class Discovered(Struct):
    """What a look at one cell's hosts found."""

    cell: CellMapping
    hosts: list[Host] = []
    mapped: list[Host] = []
    """Those that had no mapping and have one now."""


async def discover_hosts(region: Region, only: str | None = None) -> AsyncIterator[Discovered]:
    """Maps the hosts of every cell, or of the one with that id, that have no mapping. Raises what a cell that is down
    raises.
    """
    async with region.reading() as tx:
        known = [each for each in await mappings.list_cells(tx) if only in (None, each.id)]
    for cell in known:
        if cell.id != CELL0_ID:
            member = await region.cells.member(cell.id)
            async with member.reading() as tx:
                found = await hosts.list_all(tx)
            yield Discovered(cell, found, await _map_missing(region, cell, found))


async def unmapped(database: Database, found: list[Host]) -> list[Host]:
    """Those without a mapping in the API database."""
    async with region_reading(database) as tx:
        return [each for each in found if await mappings.find_host(tx, each.host) is None]


async def map_one(database: Database, cell: CellMapping, host: Host, now: datetime) -> bool:
    """False when somebody else has mapped it meanwhile."""
    async with region_transaction(database) as tx:
        if await mappings.find_host(tx, host.host) is not None:
            return False
        await mappings.map_host(tx, host.host, cell.id, now, number=host.number)
        return True


async def _map_missing(region: Region, cell: CellMapping, found: list[Host]) -> list[Host]:
    missing, now = await unmapped(region.database, found), region.clock.now()
    return [each for each in missing if await map_one(region.database, cell, each, now)]


async def end_mappings(region: Region, cell: Cell, since: datetime) -> None:
    """Of servers that were destroyed in a cell since then without the API database hearing of it."""
    async with cell.reading() as tx:
        rows = await tx.tuples(select(server_history.c.id).where(server_history.c.deleted_at >= since))
    ids = [row[0] for row in rows]
    async with region.reading() as tx:
        open_ones = [each for each in ids if await _is_open(tx, each)]
    for server_id in open_ones:
        async with region.transaction() as tx:
            await mappings.end_server(tx, server_id, region.clock.now())


async def _is_open(tx: RegionTx, server_id: str) -> bool:
    mapping = await mappings.find_server(tx, server_id)
    return mapping is not None and mapping.deleted_at is None


async def settle(region: Region, last: datetime | None) -> None:
    """Settles what was moved into every other cell, and ends the mappings of what was destroyed there since `last`.

    Raises CellDown, once the others are looked after, for a cell that is down.
    """
    since = (last or region.clock.now() - FIRST_LOOK_BACK) - OVERLAP
    down: list[CellDown] = []
    for cell_id in await region.cells.elsewhere():
        try:
            cell = await region.cells.member(cell_id)
            await moving.settle_arrivals(region, cell)
            await end_mappings(region, cell, since)
        except (ServiceUnavailable, SQLAlchemyError) as fault:
            log.debug("a cell could not be looked after", cell=cell_id, reason=str(fault))
            down.append(CellDown(cell_id))
    if down:
        raise down[0]


async def discover(region: Region) -> None:
    """Maps the hosts of all cells that have no mapping."""
    async for found in discover_hosts(region):
        for host in found.mapped:
            log.info("mapped a host that was found in a cell", host=host.host, cell=found.cell.name)
