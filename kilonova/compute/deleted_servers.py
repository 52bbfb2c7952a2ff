"""Deleted servers in lists: from the history, filtered and sorted here because a record there is one document.

Only the newest `MOST_LOOKED_AT` are looked at: a list that must name every change since long ago is asked for in time.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from typing import Any

import msgspec
from sqlalchemy import select

from kilonova.compute.server_filters import Filters
from kilonova.compute.servers import ServerWithTask
from kilonova.compute.tables import DeletedServer, Server, server_history
from kilonova.kit.db import Tx
from kilonova.kit.http.paging import Page

MOST_LOOKED_AT = 1000


async def matching(tx: Tx, filters: Filters) -> list[ServerWithTask]:
    """Those of the history that match, in no order."""
    table = server_history.c
    statement = select(server_history).order_by(table.deleted_at.desc()).limit(MOST_LOOKED_AT)
    if filters.project_id is not None:
        statement = statement.where(table.project_id == filters.project_id)
    if filters.changed_since is not None:
        statement = statement.where(table.deleted_at >= filters.changed_since)
    if filters.changed_before is not None:
        statement = statement.where(table.deleted_at <= filters.changed_before)
    found = [_as_listed(each) for each in await tx.all(DeletedServer, statement)]
    return [each for each in found if _matches(each.server, filters)]


def _as_listed(deleted: DeletedServer) -> ServerWithTask:
    server = msgspec.convert(deleted.record, Server)
    server.vm_state, server.power_state, server.updated_at = "deleted", 0, deleted.deleted_at
    return ServerWithTask(server, None, deleted.deleted_at)


def _matches(server: Server, filters: Filters) -> bool:
    if any(getattr(server, column) != value for column, value in filters.equal.items()):
        return False
    if any(not _holds(getattr(server, column), pattern) for column, pattern in filters.patterns.items()):
        return False
    if filters.flavor_id not in (None, server.flavor["id"]):
        return False
    if filters.image_id is not None and filters.image_id != (server.image or {}).get("id"):
        return False
    if filters.statuses is not None and "DELETED" not in map(str.upper, filters.statuses):
        return False
    return not filters.task_states and _has_tags(set(server.tags), filters) and _has_addresses(server, filters)


def _holds(value: str | None, pattern: str) -> bool:
    return value is not None and re.search(pattern, value) is not None


def _has_tags(tags: set[str], filters: Filters) -> bool:
    return (
        tags >= set(filters.tags_all)
        and (not filters.tags_any or bool(tags & set(filters.tags_any)))
        and (not filters.tags_not_all or not tags >= set(filters.tags_not_all))
        and not tags & set(filters.tags_not_any)
    )


def _has_addresses(server: Server, filters: Filters) -> bool:
    addresses = [each for port in server.ports for each in (*port.get("fixed_ips", ()), *port.get("floating_ips", ()))]
    return all(
        any(re.match(pattern, each) for each in addresses if (":" in each) == (version == 6))
        for version, pattern in filters.addresses.items()
    )


def merged(
    live: Sequence[ServerWithTask], deleted: Iterable[ServerWithTask], page: Page, marker: Server | None
) -> list[ServerWithTask]:
    """One page and one beyond it of both, in the page's order. `live` begins after the marker already."""

    def compare(one: Server, other: Server) -> int:
        for key, direction in page.sorts:
            order = _compare_values(getattr(one, key), getattr(other, key))
            if order:
                return order if direction == "asc" else -order
        return 0

    after = [each for each in deleted if marker is None or compare(each.server, marker) > 0]
    by_server = cmp_to_key(compare)
    in_order = sorted([*live, *after], key=lambda each: by_server(each.server))
    return in_order[: page.limit + 1]


def _compare_values(one: Any, other: Any) -> int:
    """As the database compares: nothing before anything."""
    if one == other:
        return 0
    if one is None or other is None:
        return -1 if one is None else 1
    return -1 if one < other else 1


async def find_record(tx: Tx, server_id: str, project_id: str | None) -> Server | None:
    """For a page that begins after a deleted server."""
    statement = select(server_history).where(server_history.c.id == server_id)
    if project_id is not None:
        statement = statement.where(server_history.c.project_id == project_id)
    deleted = await tx.first(DeletedServer, statement)
    return None if deleted is None else _as_listed(deleted).server
