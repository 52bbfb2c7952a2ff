"""Servers that were deleted softly: destroyed for good when nobody has restored them in time."""

import uuid
from datetime import timedelta

from sqlalchemy import select

from kilonova.compute.errors import ServerNotFound
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell
from kilonova.compute.tables import servers as table
from kilonova.kit.log import logger

log = logger(__name__)

EVERY_SECONDS = 60.0
AT_ONCE = 100


async def reclaim(cell: Cell) -> None:
    """Destroys the servers of one database whose time is over. Safe to repeat."""
    seconds = cell.region.options.reclaim_seconds
    if seconds == 0:
        return
    until = cell.clock.now() - timedelta(seconds=seconds)
    over = select(table.c.id).where(table.c.left_at <= until, table.c.vm_state == "soft-delete").limit(AT_ONCE)
    async with cell.reading() as tx:
        found = [row[0] for row in await tx.tuples(over)]
    for server_id in found:
        await _destroy(cell, server_id)


async def _destroy(cell: Cell, server_id: str) -> None:
    """Unless somebody restores it in this moment."""
    async with cell.transaction() as tx:
        try:
            each = await servers.find_with_task(tx, server_id)
        except ServerNotFound:
            return
        if each.task is not None or each.server.vm_state != "soft-delete":
            return
        log.info("a server that was deleted softly is destroyed", server=server_id)
        task = DESTROY.new_task(
            server_id,
            request_id=f"req-{uuid.uuid4()}",
            user_id=each.server.user_id,
            project_id=each.server.project_id,
        )
        await cell.tasks.start(tx, task, cell.clock.now())
