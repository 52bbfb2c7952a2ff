"""Servers whose time is over: those deleted softly are destroyed, and those shelved give their hosts back."""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from kilonova.compute.errors import ServerNotFound
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.programs.shelving import SHELVE_OFFLOAD
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell
from kilonova.compute.tables import servers as table
from kilonova.kit.log import logger
from kilonova.kit.tasks import Program

log = logger(__name__)

EVERY_SECONDS = 60.0
AT_ONCE = 100


async def look(cell: Cell) -> None:
    """Looks at the servers of one database that were left alone. Safe to repeat."""
    options = cell.region.options
    if options.reclaim_seconds > 0:
        await _end(cell, "soft-delete", options.reclaim_seconds, DESTROY)
    if options.shelved_offload_seconds > 0:
        await _end(cell, "shelved", options.shelved_offload_seconds, SHELVE_OFFLOAD)


async def _end(cell: Cell, vm_state: str, seconds: int, program: Program[Cell, Any]) -> None:
    until = cell.clock.now() - timedelta(seconds=seconds)
    over = select(table.c.id).where(table.c.left_at <= until, table.c.vm_state == vm_state).limit(AT_ONCE)
    async with cell.reading() as tx:
        found = [row[0] for row in await tx.tuples(over)]
    for server_id in found:
        await _begin(cell, server_id, vm_state, program)


async def _begin(cell: Cell, server_id: str, vm_state: str, program: Program[Cell, Any]) -> None:
    """Unless somebody does something with the server in this moment."""
    async with cell.transaction() as tx:
        try:
            each = await servers.find_with_task(tx, server_id)
        except ServerNotFound:
            return
        if each.task is not None or each.server.vm_state != vm_state:
            return
        log.info("the time of a server is over", server=server_id, program=program.name)
        task = program.new_task(
            server_id,
            request_id=f"req-{uuid.uuid4()}",
            user_id=each.server.user_id,
            project_id=each.server.project_id,
        )
        await cell.tasks.start(tx, task, cell.clock.now())
