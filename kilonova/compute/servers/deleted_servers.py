"""Deleted servers: in lists, and forgotten for good when their time is over.

A record in the history is one document, so lists filter and sort here. They look at all that were deleted in the time
they ask for, a few at a time: however long the history, nobody else waits.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cmp_to_key
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Select, and_, delete, or_, select

from kilonova.compute.region import mappings
from kilonova.compute.servers import patterns
from kilonova.compute.servers.server_filters import Filters, fits_addresses
from kilonova.compute.servers.servers import ServerWithTask
from kilonova.compute.service import Cell
from kilonova.compute.tables import DeletedServer, Server, migrations, server_history, tasks
from kilonova.compute.transactions import CellTx
from kilonova.kit.db.selections import Selection, fits_texts
from kilonova.kit.log import logger

log = logger(__name__)

LOOKED_AT_ONCE = 200
KEPT = timedelta(days=400)
"""How long a deleted server is remembered, with what was done to it: the usage of a year can be asked for."""

FORGOTTEN_AT_ONCE = 100
EVERY_SECONDS = 3600.0


async def first_matching(
    tx: CellTx, filters: Filters, selection: Selection, marker: Server | None
) -> list[ServerWithTask]:
    """The selected ones of those that match, in the selection's order."""
    by_server = sorting(selection)
    first: list[ServerWithTask] = []
    seen: DeletedServer | None = None
    while True:
        chunk = await tx.all(DeletedServer, _next_chunk(filters, seen))
        if not chunk:
            return first
        seen = chunk[-1]
        found = await asyncio.to_thread(_fitting, chunk, filters)
        if marker is not None:
            found = [each for each in found if by_server(each.server) > by_server(marker)]
        first = sorted([*first, *found], key=lambda each: by_server(each.server))[: selection.limit]


def _fitting(chunk: list[DeletedServer], filters: Filters) -> list[ServerWithTask]:
    return [each for each in map(_as_listed, chunk) if _matches(each.server, filters)]


def _next_chunk(filters: Filters, seen: DeletedServer | None) -> Select[Any]:
    """The newest first. `seen`: the last one of the chunk before."""
    table = server_history.c
    statement = select(server_history).where(table.archived_at.is_(None))
    statement = statement.order_by(table.deleted_at.desc(), table.id.desc()).limit(LOOKED_AT_ONCE)
    if filters.project_id is not None:
        statement = statement.where(table.project_id == filters.project_id)
    if filters.changed_since is not None:
        statement = statement.where(table.deleted_at >= filters.changed_since)
    if filters.changed_before is not None:
        statement = statement.where(table.deleted_at <= filters.changed_before)
    if seen is not None:
        same_moment = and_(table.deleted_at == seen.deleted_at, table.id < seen.id)
        statement = statement.where(or_(table.deleted_at < seen.deleted_at, same_moment))
    return statement


def _as_listed(deleted: DeletedServer) -> ServerWithTask:
    server = msgspec.convert(deleted.record, Server)
    server.vm_state, server.power_state, server.updated_at = "deleted", 0, deleted.deleted_at
    return ServerWithTask(server, None, deleted.deleted_at)


def _matches(server: Server, filters: Filters) -> bool:
    if any(getattr(server, column) != value for column, value in filters.equal.items()):
        return False
    if any(not patterns.is_in(pattern, getattr(server, column)) for column, pattern in filters.patterns.items()):
        return False
    if filters.flavor_id not in (None, server.flavor["id"]):
        return False
    if filters.image_id is not None and filters.image_id != (server.image or {}).get("id"):
        return False
    if filters.statuses is not None and "DELETED" not in map(str.upper, filters.statuses):
        return False
    if not all(fits_texts(server.tags, wanted) for wanted in filters.tags):
        return False
    return not filters.task_states and fits_addresses(filters, server.ports)


def merged(parts: Iterable[Sequence[ServerWithTask]], selection: Selection) -> list[ServerWithTask]:
    """The selected ones of all parts, in the selection's order. Each part begins after the marker already.

    A server that is in two of them, because it is just being placed, is taken from the first.
    """
    by_id: dict[str, ServerWithTask] = {}
    for each in chain.from_iterable(parts):
        by_id.setdefault(each.server.id, each)
    by_server = sorting(selection)
    return sorted(by_id.values(), key=lambda each: by_server(each.server))[: selection.limit]


def sorting(selection: Selection) -> Callable[[Server], Any]:
    """Returns the key that sorts servers in the selection's order."""

    def compare(one: Server, other: Server) -> int:
        for key, direction in selection.sorts:
            order = _compare_values(getattr(one, key), getattr(other, key))
            if order:
                return order if direction == "asc" else -order
        return 0

    return cmp_to_key(compare)


def _compare_values(one: Any, other: Any) -> int:
    """As the database compares: nothing before anything."""
    if one == other:
        return 0
    if one is None or other is None:
        return -1 if one is None else 1
    return -1 if one < other else 1


async def find_record(tx: CellTx, server_id: str, project_id: str | None) -> Server | None:
    """For a page that begins after a deleted server."""
    table = server_history.c
    statement = select(server_history).where(table.id == server_id, table.archived_at.is_(None))
    if project_id is not None:
        statement = statement.where(table.project_id == project_id)
    deleted = await tx.first(DeletedServer, statement)
    return None if deleted is None else _as_listed(deleted).server


async def forget_in_time(cell: Cell) -> None:
    """Forgets the deleted servers of one database whose time is over."""
    async with cell.reading() as tx:
        left = await over(tx, cell.clock.now())
    while left:
        # The mappings first: what they lead to must not go before them, and what they do not lead to may stay.
        async with cell.region.transaction() as region_tx:
            await mappings.forget_servers(region_tx, left)
        async with cell.transaction() as tx:
            await forget_some(tx, left)
            left = await over(tx, cell.clock.now())
        log.info("forgot deleted servers", days=KEPT.days)


async def forget_some(tx: CellTx, server_ids: Sequence[str]) -> dict[str, int]:
    """Deletes these, with what was done to them; returns the number of rows of each table."""
    done = select(tasks.tasks.c.id).where(tasks.tasks.c.subject_id.in_(server_ids))
    theirs = (
        (tasks.steps, tasks.steps.c.task_id.in_(done)),
        (tasks.tasks, tasks.tasks.c.subject_id.in_(server_ids)),
        (migrations, migrations.c.server_id.in_(server_ids)),
        (server_history, server_history.c.id.in_(server_ids)),
    )
    return {table.name: await tx.execute(delete(table).where(condition)) for table, condition in theirs}


async def over(tx: CellTx, now: datetime) -> list[str]:
    """Some of those whose time is over."""
    table = server_history.c
    statement = select(table.id).where(table.deleted_at < now - KEPT).limit(FORGOTTEN_AT_ONCE)
    return [row[0] for row in await tx.tuples(statement)]
