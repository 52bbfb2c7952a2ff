"""What projects have used over a time: hours of servers, those deleted meanwhile included.

A server counts from its launch to its end; one that never ran is not counted. Of each no more is kept than is shown,
and they are read a few hundred at a time: a project's year may have had a hundred thousand.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Select, Table, select

from kilonova.compute.region import cells
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import server_history, servers
from kilonova.compute.transactions import CellTx

READ_AT_ONCE = 500


class Used(Struct, frozen=True):
    """One server's share of the time asked for."""

    id: str
    name: str
    project_id: str
    flavor_name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    launched_at: datetime
    ended_at: datetime | None
    vm_state: str
    hours: float


async def everywhere(region: Region, start: datetime, end: datetime, project_id: str | None = None) -> list[Used]:
    """In all cells that answer."""
    now = region.clock.now()

    async def ask(_cell: Cell, tx: CellTx) -> list[Used]:
        return await between(tx, start, end, now, project_id)

    gathered = await cells.gather(region, ask)
    by_id = {each.id: each for part in reversed(gathered.values()) for each in part}
    return sorted(by_id.values(), key=lambda each: (each.project_id, each.id))


async def between(
    tx: CellTx, start: datetime, end: datetime, now: datetime, project_id: str | None = None
) -> list[Used]:
    """Every server that ran at some moment in between. What is to come is not counted."""
    end, table = min(end, now), servers.c
    columns = (table.id, table.name, table.project_id, table.flavor, table.vcpus, table.memory_mib)
    live = select(*columns, table.launched_at, table.vm_state)
    live = live.where(table.launched_at.is_not(None), table.launched_at < end)
    history = server_history.c
    gone = select(history.id, history.record, history.deleted_at)
    gone = gone.where(history.deleted_at > start, history.created_at < end, history.archived_at.is_(None))
    if project_id is not None:
        live = live.where(table.project_id == project_id)
        gone = gone.where(history.project_id == project_id)
    found = await _read(tx, live, servers, lambda row: _live(row, start, end))
    return found + await _read(tx, gone, server_history, lambda row: _gone(row, start, end))


async def _read(tx: CellTx, statement: Select[Any], table: Table, used_of: Callable[[Any], Used | None]) -> list[Used]:
    """The statement's first column is the id."""
    found: list[Used] = []
    ordered, after = statement.order_by(table.c.id).limit(READ_AT_ONCE), ""
    while True:
        rows = await tx.tuples(ordered.where(table.c.id > after))
        found += [used for row in rows if (used := used_of(row)) is not None]
        if len(rows) < READ_AT_ONCE:
            return found
        after = rows[-1][0]
        await asyncio.sleep(0)


def _live(row: Any, start: datetime, end: datetime) -> Used:
    server_id, name, project_id, flavor, vcpus, memory_mib, launched_at, vm_state = row
    hours = _hours(launched_at, None, start, end)
    return Used(
        *(server_id, name, project_id, flavor["name"], vcpus, memory_mib, _disk_gib(flavor)),
        *(launched_at, None, vm_state, hours),
    )


def _gone(row: Any, start: datetime, end: datetime) -> Used | None:
    """None: it never ran, or only later."""
    server_id, record, ended_at = row
    if record["launched_at"] is None:
        return None
    launched_at = datetime.fromisoformat(record["launched_at"])
    if launched_at >= end:
        return None
    flavor = record["flavor"]
    return Used(
        *(server_id, record["name"], record["project_id"], flavor["name"], record["vcpus"], record["memory_mib"]),
        *(_disk_gib(flavor), launched_at, ended_at, record["vm_state"], _hours(launched_at, ended_at, start, end)),
    )


def _hours(launched_at: datetime, ended_at: datetime | None, start: datetime, end: datetime) -> float:
    first, last = max(start, launched_at), min(end, ended_at or end)
    return max((last - first).total_seconds(), 0) / 3600


def _disk_gib(flavor: dict[str, Any]) -> int:
    disk_gib: int = flavor["root_gib"] + flavor["ephemeral_gib"]
    return disk_gib
