"""Servers whose time is over: deleted softly, they are destroyed; shelved, they give their hosts back; resized, they
stay as they are.
"""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from kilonova.compute.errors import ServerNotFound
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.programs.resize import CONFIRM_RESIZE, ResizeArgs
from kilonova.compute.programs.shelving import SHELVE_OFFLOAD
from kilonova.compute.servers import migrations, servers
from kilonova.compute.service import Cell
from kilonova.compute.tables import migrations as migrations_table
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
    await _confirm(cell, options.resize_confirm_seconds)


async def _end(cell: Cell, vm_state: str, seconds: int, program: Program[Cell, Any]) -> None:
    until = cell.clock.now() - timedelta(seconds=seconds)
    over = select(table.c.id).where(table.c.left_at <= until, table.c.vm_state == vm_state).limit(AT_ONCE)
    async with cell.reading() as tx:
        found = [row[0] for row in await tx.tuples(over)]
    for server_id in found:
        await _begin(cell, server_id, vm_state, program)


async def _confirm(cell: Cell, seconds: int) -> None:
    """Confirms resizes that nobody has confirmed in time, and those of servers that are something else by now.

    The latter were restored after a delete, or an administrator has said what they are: nobody can confirm them.
    """
    async with cell.reading() as tx:
        waiting = [row for row in await tx.tuples(_WAITING) if not await cell.tasks.active(tx, row[1])]
    until = cell.clock.now() - timedelta(seconds=seconds) if seconds else None
    for migration_id, server_id, vm_state, since in waiting:
        is_over = vm_state == "resized" and until is not None and since <= until
        if is_over or vm_state not in ("resized", "soft-delete"):
            await _confirm_one(cell, migration_id, server_id)


_WAITING = (
    select(migrations_table.c.id, table.c.id, table.c.vm_state, migrations_table.c.updated_at)
    .join(table, table.c.id == migrations_table.c.server_id)
    .where(migrations_table.c.status == migrations.FINISHED)
    .limit(AT_ONCE)
)


async def _confirm_one(cell: Cell, migration_id: str, server_id: str) -> None:
    async with cell.transaction() as tx:
        migration = await migrations.find_finished(tx, server_id)
        if migration is None or migration.id != migration_id or await cell.tasks.active(tx, server_id) is not None:
            return
        now = cell.clock.now()
        await migrations.change(tx, migration_id, now, status=migrations.CONFIRMING)
        task = CONFIRM_RESIZE.new_task(
            server_id,
            ResizeArgs(migration=migration_id),
            request_id=f"req-{uuid.uuid4()}",
            user_id=migration.user_id,
            project_id=migration.project_id,
        )
        log.info("a resize is confirmed by itself", server=server_id)
        await cell.tasks.start(tx, task, now)


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
