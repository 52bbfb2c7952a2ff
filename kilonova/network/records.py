"""What every resource of the network service does alike: find, change, and count revisions."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import FromClause, Table, bindparam, delete, func, insert, select, update

from kilonova.kit.db import Tx
from kilonova.kit.db.statements import inserting
from kilonova.kit.errors import Fault
from kilonova.network.concerns import Concern
from kilonova.network.errors import RevisionNumberConstraintFailed
from kilonova.network.tables import Standard, changes, revisions
from kilonova.network.topics import HOSTS_CONCERNED

RowT = TypeVar("RowT", bound=Standard)
ItemT = TypeVar("ItemT")

MOST_TAGS = 50
"""Of one resource."""
CHUNK = 10_000
"""Most values one statement names; SQLite allows 32,766."""


def new_id() -> str:
    return str(uuid.uuid4())


def standard(project_id: str, name: str, description: str, now: datetime) -> dict[str, Any]:
    """The standard attributes of a new resource."""
    return {
        "id": new_id(),
        "project_id": project_id,
        "name": name,
        "description": description,
        "tags": [],
        "revision_number": 1,
        "created_at": now,
        "updated_at": now,
    }


async def find(
    tx: Tx, table: FromClause, row_type: type[RowT], wanted_id: str, missing: Callable[[str], Fault]
) -> RowT:
    """Raises the fault `missing` makes of the id."""
    row = await tx.find(row_type, table, id=wanted_id)
    if row is None:
        raise missing(wanted_id)
    return row


def chunks(values: Sequence[ItemT], longest: int = CHUNK) -> Iterator[Sequence[ItemT]]:
    """Pieces short enough to be named in one statement."""
    for start in range(0, len(values), longest):
        yield values[start : start + longest]


async def change(tx: Tx, table: Table, row: Standard, now: datetime, values: Mapping[str, Any]) -> None:
    """Writes `values` and raises the row's revision. Raises RevisionNumberConstraintFailed unless the row is still as
    it was read: whatever was concluded from `row` holds for what is written."""
    revision = row.revision_number
    news = {**values, "revision_number": revision + 1, "updated_at": now}
    if not await tx.change(table, {"id": row.id, "revision_number": revision}, **news):
        current = await tx.scalar(select(table.c.revision_number).where(table.c.id == row.id))
        raise RevisionNumberConstraintFailed(str(revision), current or 0)


async def remove(tx: Tx, table: Table, wanted_id: str) -> None:
    await tx.remove(table, id=wanted_id)


_RAISE = update(revisions).where(revisions.c.id == 1).values(value=revisions.c.value + 1)


async def raise_revision(tx: Tx, *concerned: str | Concern) -> None:
    """Marks that the hosts that are `concerned` (`concerns.py`) have something to hear of.

    Called by every transaction that changes wanted state. The row of the revision is held until the commit, so
    revisions become visible in their order.
    """
    if not await tx.execute(_RAISE):
        await tx.execute(insert(revisions).values(id=1, value=1))
    revision = await current_revision(tx)
    found = dict.fromkeys(Concern(each) if isinstance(each, str) else each for each in concerned)
    await tx.execute(inserting(changes), revision=revision, concerned=list(found))
    tx.after(HOSTS_CONCERNED, *dict.fromkeys(each.name for each in found))


async def changed_since(tx: Tx, revision: int, until: int) -> list[tuple[int, Concern]]:
    """(revision, what it concerned), in order, of the later revisions up to `until` that are not forgotten."""
    rows = await tx.tuples(_LATER, after=revision, until=until)
    return [(number, Concern(*each)) for number, found in rows for each in found]


_LATER = (
    select(changes.c.revision, changes.c.concerned)
    .where(changes.c.revision > bindparam("after"), changes.c.revision <= bindparam("until"))
    .order_by(changes.c.revision)
)


async def first_kept(tx: Tx) -> int | None:
    """The earliest revision of which it is known what it concerned."""
    found: int | None = await tx.scalar(select(func.min(changes.c.revision)))
    return found


async def forget_changes(tx: Tx, until: int) -> None:
    await tx.execute(delete(changes).where(changes.c.revision <= until))


_CURRENT = select(func.coalesce(func.max(revisions.c.value), 0))


async def current_revision(tx: Tx) -> int:
    value: int = await tx.scalar(_CURRENT)
    return value
