"""What projects have used over a time: hours of servers, those deleted meanwhile included.

A server counts from its launch to its end; one that never ran is not counted.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import select

from kilonova.compute import cells
from kilonova.compute.service import Compute
from kilonova.compute.tables import DeletedServer, Server, server_history, servers
from kilonova.kit.db import Tx


class Used(Struct, frozen=True):
    """One server's share of the time asked for."""

    server: Server
    ended_at: datetime | None
    hours: float


async def everywhere(compute: Compute, start: datetime, end: datetime, project_id: str | None = None) -> list[Used]:
    """In all cells that answer."""
    now = compute.clock.now()

    async def ask(_cell: Compute, tx: Tx) -> list[Used]:
        return await between(tx, start, end, now, project_id)

    gathered = await cells.gather(compute, ask)
    by_id = {each.server.id: each for part in reversed(gathered.values()) for each in part}
    return sorted(by_id.values(), key=lambda each: (each.server.project_id, each.server.id))


async def between(tx: Tx, start: datetime, end: datetime, now: datetime, project_id: str | None = None) -> list[Used]:
    """Every server that ran at some moment in between, by project and id. What is to come is not counted."""
    end = min(end, now)
    live = select(servers).where(servers.c.launched_at.is_not(None), servers.c.launched_at < end)
    gone = select(server_history).where(server_history.c.deleted_at > start, server_history.c.created_at < end)
    if project_id is not None:
        live = live.where(servers.c.project_id == project_id)
        gone = gone.where(server_history.c.project_id == project_id)
    found = [(server, None) for server in await tx.all(Server, live)]
    deleted = [(msgspec.convert(each.record, Server), each.deleted_at) for each in await tx.all(DeletedServer, gone)]
    return _clipped([*found, *deleted], start, end)


def _clipped(found: Iterable[tuple[Server, datetime | None]], start: datetime, end: datetime) -> list[Used]:
    used = []
    for server, ended_at in found:
        if server.launched_at is None or server.launched_at >= end:
            continue
        first, last = max(start, server.launched_at), min(end, ended_at or end)
        used.append(Used(server, ended_at, max((last - first).total_seconds(), 0) / 3600))
    return sorted(used, key=lambda each: (each.server.project_id, each.server.id))
