"""Deleted servers that an operator archives, and then purges.

The rule: what is archived is in the database and the API tells nothing of it, what is purged is gone. Both may be
repeated at any moment, and die at any.
Source: the Compute command reference, "nova-manage db".
"""

from datetime import datetime

from sqlalchemy import select, update

from kilonova.compute.region import mappings
from kilonova.compute.servers import deleted_servers
from kilonova.compute.tables import server_history
from kilonova.compute.transactions import cell_transaction, region_transaction
from kilonova.kit.db import Database

AT_ONCE = 100


async def archive_some(
    region: Database, database: Database, before: datetime | None, most: int, now: datetime
) -> dict[str, int]:
    """Archives the servers of one database that were deleted first, `most` and AT_ONCE of them at most.

    Returns the number of rows by table: none when nothing was left. `before`: only what was deleted earlier.
    """
    table = server_history.c
    statement = select(table.id).where(table.archived_at.is_(None)).order_by(table.deleted_at, table.id)
    if before is not None:
        statement = statement.where(table.deleted_at < before)
    async with cell_transaction(database) as tx:
        chosen = [row[0] for row in await tx.tuples(statement.limit(min(most, AT_ONCE)))]
        archived = update(server_history).where(table.id.in_(chosen)).values(archived_at=now)
        count = await tx.execute(archived) if chosen else 0
    if not count:
        return {}
    # What died in between leaves mappings that lead to nothing shown; a purge, or their age, takes them away.
    async with region_transaction(region) as region_tx:
        return {"server_history": count, "server_mappings": await mappings.forget_servers(region_tx, chosen)}


async def purge_some(region: Database, database: Database, before: datetime | None) -> dict[str, int]:
    """Deletes AT_ONCE archived servers of one database at most; returns the number of rows by table.

    `before`: only what was deleted earlier.
    """
    table = server_history.c
    statement = select(table.id).where(table.archived_at.is_not(None)).limit(AT_ONCE)
    if before is not None:
        statement = statement.where(table.deleted_at < before)
    async with cell_transaction(database) as tx:
        chosen = [row[0] for row in await tx.tuples(statement)]
    if not chosen:
        return {}
    async with region_transaction(region) as region_tx:
        removed = {"server_mappings": await mappings.forget_servers(region_tx, chosen)}
    async with cell_transaction(database) as tx:
        return removed | await deleted_servers.forget_some(tx, chosen)
