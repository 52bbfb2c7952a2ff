"""Lists of servers: what they may be narrowed to, and their pages.

Text filters are regular expressions, as upstream's are. They run inside the database, on this service's loop: one that
could take long is refused (`check_pattern`), not tried.
"""

import json
import re
import warnings
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, String, and_, cast, exists, false, not_, or_, select

from kilonova.compute import cells, deleted_servers
from kilonova.compute.server_filters import Filters
from kilonova.compute.servers import TASK_STATES, ServerWithTask
from kilonova.compute.service import Compute
from kilonova.compute.tables import Server, servers, tasks
from kilonova.kit.db import Tx
from kilonova.kit.db.paging import after_marker, ordered
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.paging import Page
from kilonova.kit.http.queries import moment
from kilonova.kit.tasks import Task

STATUSES: dict[str, tuple[str, str | None]] = {
    "ACTIVE": ("active", None),
    "BUILD": ("building", None),
    "ERROR": ("error", None),
    "PAUSED": ("paused", None),
    "SUSPENDED": ("suspended", None),
    "HARD_REBOOT": ("active", "rebooting_hard"),
    "REBOOT": ("active", "rebooting"),
    "SHUTOFF": ("stopped", None),
}
"""Status → vm_state, and the task_state that makes the difference."""

UNREACHED_STATUSES = frozenset(
    "MIGRATING PASSWORD REBUILD RESCUE RESIZE REVERT_RESIZE SHELVED SHELVED_OFFLOADED SOFT_DELETED "
    "VERIFY_RESIZE".split()
)
"""Statuses of the API that no listed server is in: nothing here leads to them."""

LONGEST_PATTERN = 255
MOST_REPETITIONS = 2
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_ESCAPE_OR_CLASS = re.compile(r"\\.|\[\^?\]?[^\]]*\]")


def is_status(text: str) -> bool:
    return text.upper() in STATUSES or text.upper() in UNREACHED_STATUSES or text.upper() == "DELETED"


def read_moment(text: str, name: str) -> datetime:
    """Raises BadRequest."""
    return moment(name, text)


def check_pattern(text: str, name: str) -> None:
    """Raises BadRequest for what is no regular expression, and for one whose time grows out of bounds.

    Without groups, and with two repetitions at most, matching takes the square of the text's length at worst.
    """
    try:
        with warnings.catch_warnings():
            # What will mean something else in a later Python means nothing here.
            warnings.simplefilter("error", FutureWarning)
            re.compile(text)
    except (re.error, FutureWarning, RecursionError, OverflowError) as error:
        raise BadRequest(f"{name}: {text!r} is not a regular expression: {error}.") from error
    bare = _ESCAPE_OR_CLASS.sub("x", text)
    if "(" in bare or len(re.findall(r"[*+{]", bare)) > MOST_REPETITIONS or len(text) > LONGEST_PATTERN:
        raise BadRequest(
            f"{name}: {text!r} is too costly a regular expression: no groups, {MOST_REPETITIONS} repetitions "
            f"and {LONGEST_PATTERN} characters are allowed."
        )


class NamedServer(Struct, frozen=True):
    id: str
    name: str


async def list_names(tx: Tx, filters: Filters, page: Page, marker: Server | None) -> list[NamedServer]:
    """Like `list_page`, and reads no more than it shows."""
    if filters.with_deleted:
        found = await list_page(tx, filters, page, marker)
        return [NamedServer(each.server.id, each.server.name) for each in found]
    statement = await _narrowed(tx, select(servers.c.id, servers.c.name), filters, page, marker)
    return await tx.all(NamedServer, statement)


async def list_page(tx: Tx, filters: Filters, page: Page, marker: Server | None) -> list[ServerWithTask]:
    """One page and one row beyond it, in the page's order, each with its active task. It begins after `marker`."""
    statement = await _narrowed(tx, select(servers), filters, page, marker)
    found = await tx.all(Server, statement) if filters.with_live else []
    active = await _active_tasks(tx, found)
    live = [ServerWithTask(server, active.get(server.id)) for server in found]
    if not filters.with_deleted:
        return live
    deleted = await deleted_servers.first_matching(tx, filters, page, marker)
    return deleted_servers.merged([live, deleted], page)


async def _narrowed(tx: Tx, statement: Select[Any], filters: Filters, page: Page, marker: Server | None) -> Select[Any]:
    """The statement with the filters, in the page's order, from the marker on."""
    where = _conditions(filters)
    for version, pattern in filters.addresses.items():
        where.append(servers.c.id.in_(await _with_address(tx, where, version, pattern)))
    sorts = [(servers.c[key], direction) for key, direction in page.sorts]
    statement = ordered(statement.where(*where), sorts).limit(page.limit + 1)
    if marker is None:
        return statement
    return statement.where(after_marker(sorts, [getattr(marker, key) for key, _ in page.sorts]))


async def find_marker(compute: Compute, filters: Filters, server_id: str | None) -> Server | None:
    """The server a page begins after, in whichever cell it is.

    Raises BadRequest for one that is not there, or that belongs to a project the list is not of.
    """
    if server_id is None:
        return None
    by_id = select(servers).where(servers.c.id == server_id)
    if filters.project_id is not None:
        by_id = by_id.where(servers.c.project_id == filters.project_id)
    async with cells.reading(compute, server_id) as (_cell, tx):
        marker = await tx.first(Server, by_id)
        if marker is None and filters.with_deleted:
            marker = await deleted_servers.find_record(tx, server_id, filters.project_id)
    if marker is None:
        raise BadRequest(f"marker [{server_id}] not found")
    return marker


async def _active_tasks(tx: Tx, found: list[Server]) -> dict[str, Task]:
    """Server id → what is being done to it."""
    ids = [server.id for server in found]
    active = await tx.all(Task, select(tasks.tasks).where(tasks.tasks.c.active_subject.in_(ids)))
    return {task.subject_id: task for task in active}


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    table = servers.c
    where: list[ColumnElement[bool]] = [table[column] == value for column, value in filters.equal.items()]
    where += [_holds(table[column], pattern) for column, pattern in filters.patterns.items()]
    if filters.project_id is not None:
        where.append(table.project_id == filters.project_id)
    if filters.flavor_id is not None:
        where.append(table.flavor["id"].as_string() == filters.flavor_id)
    if filters.image_id is not None:
        where.append(table.image["id"].as_string() == filters.image_id)
    if filters.statuses is not None:
        where.append(or_(false(), *(_has_status(status) for status in filters.statuses)))
    if filters.task_states:
        where.append(or_(*(_in_task_state(state) for state in filters.task_states)))
    if filters.changed_since is not None:
        where.append(table.updated_at >= filters.changed_since)
    if filters.changed_before is not None:
        where.append(table.updated_at <= filters.changed_before)
    if filters.tags_all:
        where.append(and_(*map(_has_tag, filters.tags_all)))
    if filters.tags_any:
        where.append(or_(*map(_has_tag, filters.tags_any)))
    if filters.tags_not_all:
        where.append(not_(and_(*map(_has_tag, filters.tags_not_all))))
    if filters.tags_not_any:
        where.append(not_(or_(*map(_has_tag, filters.tags_not_any))))
    return where


def _holds(column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    if _SPECIAL.search(pattern):
        return column.regexp_match(pattern)
    return column.contains(pattern, autoescape=True)


def _has_tag(tag: str) -> ColumnElement[bool]:
    return cast(servers.c.tags, String).contains(json.dumps(tag), autoescape=True)


def _has_status(status: str) -> ColumnElement[bool]:
    if status.upper() not in STATUSES:
        return false()
    vm_state, task_state = STATUSES[status.upper()]
    in_state = servers.c.vm_state == vm_state
    return in_state if task_state is None else and_(in_state, _in_task_state(task_state))


def _in_task_state(state: str) -> ColumnElement[bool]:
    """`task_state` is a view of the active task, so its filter asks for that task."""
    table = tasks.tasks.c
    plain = "rebooting" if state == "rebooting_hard" else state
    choices = [
        and_(table.program == program, table.step == step) if step else table.program == program
        for (program, step), shown in TASK_STATES.items()
        if shown == plain
    ]
    active = exists().where(table.active_subject == servers.c.id, or_(false(), *choices))
    if plain != "rebooting":
        return active
    is_hard = servers.c.reboot_type == "HARD"
    return and_(active, is_hard if state == "rebooting_hard" else not_(is_hard))


async def _with_address(tx: Tx, where: list[ColumnElement[bool]], version: int, pattern: str) -> list[str]:
    """Ids of the servers with an address that matches: addresses stand in a JSON list, and are looked through here."""
    wanted = re.compile(pattern)
    found = []
    for server_id, ports in await tx.tuples(select(servers.c.id, servers.c.ports).where(*where)):
        addresses = [each for port in ports for each in (*port.get("fixed_ips", ()), *port.get("floating_ips", ()))]
        if any(wanted.match(each) for each in addresses if (":" in each) == (version == 6)):
            found.append(server_id)
    return found
