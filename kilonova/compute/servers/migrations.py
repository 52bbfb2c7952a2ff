"""The ways of servers from one host to another: one row each, which outlives the operation."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select

from kilonova.compute.errors import MigrationNotFound
from kilonova.compute.notifications.notices import SERVERS_ACTED_ON
from kilonova.compute.tables import Host, Migration, Server, migrations
from kilonova.compute.transactions import CellTx
from kilonova.kit.db.selections import Selection, Sorts, compared, paged

LIVE = "live-migration"
EVACUATION = "evacuation"
RESIZE, COLD = "resize", "migration"
QUEUED = "queued"
FINISHED = "finished"
"""The server is what it was to become, and can still go back."""
CONFIRMING, REVERTING = "confirming", "reverting"
UNDER_WAY = (
    QUEUED, "preparing", "running", "pre-migrating", "migrating", "post-migrating", FINISHED, CONFIRMING, REVERTING
)  # fmt: skip
COMPLETED, CANCELLED, FAILED = "completed", "cancelled", "error"
CONFIRMED, REVERTED = "confirmed", "reverted"


async def insert(
    tx: CellTx,
    server: Server,
    kind: str,
    source: Host,
    asked_by: tuple[str, str],
    now: datetime,
    new_flavor: dict[str, Any] | None = None,
) -> Migration:
    """Writes down that a server is to leave its host, or is to get another flavor. `asked_by`: a project and a user."""
    project_id, user_id = asked_by
    flavor = server.flavor if new_flavor is None else new_flavor
    row = Migration(
        number=(await tx.scalar(_NEWEST) or 0) + 1,
        id=str(uuid.uuid4()),
        server_id=server.id,
        project_id=project_id,
        user_id=user_id,
        kind=kind,
        status=QUEUED,
        source_host=source.host,
        source_node=source.hypervisor_hostname,
        target_host=None,
        target_node=None,
        target_address=None,
        old_flavor_id=server.flavor["id"],
        new_flavor_id=flavor["id"],
        transfer=None,
        is_cancelled=False,
        is_hastened=False,
        created_at=now,
        updated_at=now,
        old_flavor=server.flavor if kind in (RESIZE, COLD) else None,
        new_flavor=flavor if kind in (RESIZE, COLD) else None,
    )
    await tx.insert(migrations, row)
    return row


_NEWEST = select(func.max(migrations.c.number))


async def find(tx: CellTx, migration_id: str) -> Migration:
    """Raises MigrationNotFound."""
    row = await tx.find(Migration, migrations, id=migration_id)
    if row is None:
        raise MigrationNotFound(migration_id)
    return row


async def find_of_server(tx: CellTx, server_id: str, reference: str) -> Migration | None:
    """The live migration of a server that is under way and has this number or id."""
    by = {"number": int(reference)} if reference.isdecimal() and len(reference) < 10 else {"id": reference}
    row = await tx.find(Migration, migrations, server_id=server_id, kind=LIVE, **by)
    return row if row is not None and row.status in UNDER_WAY else None


async def under_way(tx: CellTx, server_id: str) -> list[Migration]:
    """Those of a server that are not over: one at most, unless somebody has reset its state."""
    rows = await tx.find_all(Migration, migrations, server_id=server_id)
    return [each for each in rows if each.status in UNDER_WAY]


async def change(tx: CellTx, migration_id: str, now: datetime, **values: Any) -> None:
    await tx.change(migrations, {"id": migration_id}, updated_at=now, **values)


async def cancel(tx: CellTx, migration: Migration, now: datetime) -> None:
    """Says that a migration is to end without effect: its program sees it at its next step."""
    await change(tx, migration.id, now, is_cancelled=True)
    tx.after(SERVERS_ACTED_ON, (migration.server_id, "live_migration_abort"))


async def hasten(tx: CellTx, migration: Migration, now: datetime) -> None:
    """Says that the guest is to pause until it has moved."""
    await change(tx, migration.id, now, is_hastened=True)
    tx.after(SERVERS_ACTED_ON, (migration.server_id, "live_migration_force_complete"))


async def set_target(tx: CellTx, migration_id: str, host: Host, now: datetime, *, status: str = "preparing") -> None:
    values = {"target_host": host.host, "target_node": host.hypervisor_hostname}
    await change(tx, migration_id, now, **values, target_address=host.inventory["host_ip"], status=status)


async def find_finished(tx: CellTx, server_id: str, statuses: Sequence[str] = (FINISHED,)) -> Migration | None:
    """Returns the resize or cold migration of a server that can still be confirmed or reverted."""
    return next((each for each in await under_way(tx, server_id) if each.status in statuses), None)


async def kept_on(tx: CellTx, host: str) -> set[str]:
    """Ids of the servers whose disks a host keeps, in case that they come back to it."""
    return {row[0] for row in await tx.tuples(_KEPT_ON, host=host)}


_KEPT_ON = select(migrations.c.server_id).where(
    migrations.c.source_host == bindparam("host"), migrations.c.status.in_((FINISHED, CONFIRMING, REVERTING))
)


async def end_all(tx: CellTx, server_id: str, status: str, now: datetime) -> None:
    """Says of everything that is under way for a server that it is over."""
    for each in await under_way(tx, server_id):
        await change(tx, each.id, now, status=status)


async def find_any(tx: CellTx, migration_id: str) -> Migration | None:
    return await tx.find(Migration, migrations, id=migration_id)


def touches(host: str) -> ColumnElement[bool]:
    """The condition that a migration leaves a host or goes there."""
    return or_(migrations.c.source_host == host, migrations.c.target_host == host)


def order(migration: Migration) -> tuple[datetime, int]:
    """By what lists are sorted, the newest first."""
    return migration.created_at, migration.number


async def list_newest(tx: CellTx, selection: Selection, marker: Migration | None) -> list[Migration]:
    """The selected ones, the newest first. They begin after `marker`, which may be of another cell."""
    sorts: Sorts = (("created_at", "desc"), ("number", "desc"))
    after = None if marker is None else order(marker)
    conditions = [
        each if isinstance(each, ColumnElement) else compared(migrations.c[each.column], each)
        for each in selection.conditions
    ]
    statement = select(migrations).where(*conditions)
    return await tx.all(Migration, paged(statement, migrations, replace(selection, sorts=sorts), after))
