"""Lists of servers: what they may be narrowed to, and their pages.

Everything is narrowed by the database but for text filters (`patterns`): no two engines mean the same by them, so what
the others leave is looked through here, a few hundred at a time, until the page is full. Where such a filter is plain
text, the database leaves out what certainly has it not.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select

from kilonova.compute.operations import OPERATIONS, steps_shown_as
from kilonova.compute.region import cells
from kilonova.compute.servers import deleted_servers, patterns
from kilonova.compute.servers import servers as servers_domain
from kilonova.compute.servers.server_filters import Filters, fits_addresses
from kilonova.compute.servers.servers import ServerWithTask
from kilonova.compute.service import Region
from kilonova.compute.tables import Server, servers, tasks
from kilonova.compute.transactions import CellTx
from kilonova.kit.db.selections import Selection, compared, paged
from kilonova.kit.http.queries import moment
from kilonova.kit.tasks import Task

STATES = {status: vm_state for vm_state, status in servers_domain.STATUSES.items() if vm_state != "deleted"}
"""Status → vm_state."""

STATUSES = {*STATES, *filter(None, (each.status for each in OPERATIONS.values()))}

UNREACHED_STATUSES = frozenset({"PASSWORD"})
"""Statuses of the API that no listed server is in: nothing here leads to them."""

LOOKED_AT_ONCE = 500
"""Servers of which a text filter reads what it asks for, in one statement."""


def is_status(text: str) -> bool:
    return text.upper() in STATUSES or text.upper() in UNREACHED_STATUSES or text.upper() == "DELETED"


def read_moment(text: str, name: str) -> datetime:
    """Raises BadRequest."""
    return moment(name, text)


class NamedServer(Struct, frozen=True):
    id: str
    name: str


async def list_names(tx: CellTx, filters: Filters, selection: Selection, marker: Server | None) -> list[NamedServer]:
    """Like `list_page`, and reads no more than it shows."""
    if filters.with_deleted:
        found = await list_page(tx, filters, selection, marker)
        return [NamedServer(each.server.id, each.server.name) for each in found]
    statement = await _narrowed(tx, select(servers.c.id, servers.c.name), filters, selection, marker)
    return await tx.all(NamedServer, statement)


async def list_page(tx: CellTx, filters: Filters, selection: Selection, marker: Server | None) -> list[ServerWithTask]:
    """The selected servers, in their order, each with its active task. They begin after `marker`."""
    statement = await _narrowed(tx, select(servers), filters, selection, marker)
    found = await tx.all(Server, statement) if filters.with_live else []
    active = await _active_tasks(tx, found)
    live = [ServerWithTask(server, active.get(server.id)) for server in found]
    if not filters.with_deleted:
        return live
    deleted = await deleted_servers.first_matching(tx, filters, selection, marker)
    return deleted_servers.merged([live, deleted], selection)


async def _narrowed(
    tx: CellTx, statement: Select[Any], filters: Filters, selection: Selection, marker: Server | None
) -> Select[Any]:
    """The statement with the filters, in the selection's order, from the marker on."""
    after = None if marker is None else [getattr(marker, key) for key, _ in selection.sorts]
    if filters.patterns or filters.addresses:
        ids = await _matching(tx, filters, selection, after)
        return paged(statement.where(servers.c.id.in_(ids)), servers, selection, None)
    return paged(statement.where(*_conditions(filters)), servers, selection, after)


async def _matching(tx: CellTx, filters: Filters, selection: Selection, after: Sequence[Any] | None) -> list[str]:
    """Ids of the selected servers, by the text filters, too."""
    keys = [key for key, _ in selection.sorts]
    names = list(dict.fromkeys(["id", *keys, *filters.patterns, *(["ports"] if filters.addresses else [])]))
    statement = select(*(servers.c[name] for name in names)).where(*_conditions(filters), *_likely(filters))
    part = replace(selection, limit=LOOKED_AT_ONCE)
    found: list[str] = []
    while True:
        rows = await tx.tuples(paged(statement, servers, part, after))
        looked_at = [dict(zip(names, row, strict=True)) for row in rows]
        # In a thread: hundreds of texts against the costliest expression take seconds.
        found += await asyncio.to_thread(_ids_of_fitting, looked_at, filters)
        if len(found[: selection.limit]) == selection.limit or len(rows) < LOOKED_AT_ONCE:
            return found[: selection.limit]
        after = [looked_at[-1][key] for key in keys]


def _likely(filters: Filters) -> list[ColumnElement[bool]]:
    """Conditions that each server meets which fits the text filters."""
    likes = {column: patterns.like(text) for column, text in filters.patterns.items()}
    return [func.lower(servers.c[name]).like(like, escape="/") for name, like in likes.items() if like is not None]


def _ids_of_fitting(rows: list[dict[str, Any]], filters: Filters) -> list[str]:
    return [each["id"] for each in rows if _fits(each, filters)]


def _fits(row: dict[str, Any], filters: Filters) -> bool:
    fits = all(patterns.is_in(pattern, row[column]) for column, pattern in filters.patterns.items())
    return fits and (not filters.addresses or fits_addresses(filters, row["ports"]))


async def find_marker(region: Region, filters: Filters, selection: Selection) -> Server | None:
    """The server a page begins after, in whichever cell it is; one that was deleted since the page before will do.

    Raises BadRequest for one that is not there, or that belongs to a project the list is not of.
    """
    server_id = selection.marker
    if server_id is None:
        return None
    by_id = select(servers).where(servers.c.id == server_id)
    if filters.project_id is not None:
        by_id = by_id.where(servers.c.project_id == filters.project_id)
    async with cells.reading(region, server_id) as (_cell, tx):
        marker = await tx.first(Server, by_id)
        if marker is None:
            marker = await deleted_servers.find_record(tx, server_id, filters.project_id)
    if marker is None:
        raise selection.lost(server_id)
    return marker


async def _active_tasks(tx: CellTx, found: list[Server]) -> dict[str, Task]:
    """Server id → what is being done to it."""
    ids = [server.id for server in found]
    active = await tx.all(Task, select(tasks.tasks).where(tasks.tasks.c.active_subject.in_(ids)))
    return {task.subject_id: task for task in active}


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    table = servers.c
    where: list[ColumnElement[bool]] = [table[column] == value for column, value in filters.equal.items()]
    if filters.project_id is not None:
        where.append(table.project_id == filters.project_id)
    if filters.flavor_id is not None:
        where.append(table.flavor["id"].as_string() == filters.flavor_id)
    if filters.image_id is not None:
        where.append(table.image["id"].as_string() == filters.image_id)
    if not filters.with_soft_deleted:
        where.append(table.vm_state != "soft-delete")
    if filters.statuses is not None:
        where.append(or_(false(), *(_has_status(status) for status in filters.statuses)))
    if filters.task_states:
        where.append(or_(*(_in_task_state(state) for state in filters.task_states)))
    if filters.changed_since is not None:
        where.append(table.updated_at >= filters.changed_since)
    if filters.changed_before is not None:
        where.append(table.updated_at <= filters.changed_before)
    return where + [compared(table.tags, wanted) for wanted in filters.tags]


def _has_status(status: str) -> ColumnElement[bool]:
    wanted = status.upper()
    choices = [servers.c.vm_state == STATES[wanted]] if wanted in STATES else []
    for each in OPERATIONS.values():
        if each.status == wanted:
            choices.append(
                and_(servers.c.vm_state.in_(each.status_in), _is_under(tasks.tasks.c.program == each.program))
            )
    return or_(false(), *choices)


def _in_task_state(state: str) -> ColumnElement[bool]:
    """`task_state` is a view of the active task, so its filter asks for that task."""
    table = tasks.tasks.c
    choices = [
        table.program == program if step is None else and_(table.program == program, table.step == step)
        for program, step in steps_shown_as(state)
    ]
    return _is_under(or_(false(), *choices))


def _is_under(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(tasks.tasks.c.active_subject == servers.c.id, condition)
