"""What every resource of the network service does alike: find, list by equal columns, change, and count revisions."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, delete, func, insert, or_, select, update

from kilonova.kit.db import Tx
from kilonova.kit.errors import Fault
from kilonova.network.tables import Standard, revisions

Filters = Mapping[str, Sequence[Any]]
"""Column → values, one of which it must hold."""

RowT = TypeVar("RowT", bound=Standard)


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


async def find(tx: Tx, table: Table, row_type: type[RowT], wanted_id: str, missing: Callable[[str], Fault]) -> RowT:
    """Raises the fault `missing` makes of the id."""
    row = await tx.first(row_type, select(table).where(table.c.id == wanted_id))
    if row is None:
        raise missing(wanted_id)
    return row


async def list_where(
    tx: Tx,
    table: Table,
    row_type: type[RowT],
    filters: Filters,
    visible: ColumnElement[bool] | None = None,
) -> list[RowT]:
    """Rows whose columns hold one of each filter's values, in the order of creation."""
    statement = select(table).order_by(table.c.created_at, table.c.id)
    for column, values in filters.items():
        statement = statement.where(table.c[column].in_(list(values)))
    if visible is not None:
        statement = statement.where(visible)
    return await tx.all(row_type, statement)


def own_or(table: Table, project_id: str | None, *others: ColumnElement[bool]) -> ColumnElement[bool]:
    """Rows of the project, and those that any of `others` opens to it."""
    return or_(table.c.project_id == (project_id or ""), *others)


async def change(tx: Tx, table: Table, row: Standard, now: datetime, values: Mapping[str, Any]) -> None:
    """Writes `values` and raises the row's revision."""
    revision = row.revision_number + 1
    statement = update(table).where(table.c.id == row.id)
    await tx.execute(statement.values(**values, revision_number=revision, updated_at=now))


async def remove(tx: Tx, table: Table, wanted_id: str) -> None:
    await tx.execute(delete(table).where(table.c.id == wanted_id))


async def raise_revision(tx: Tx) -> int:
    """Marks that some host has something to hear of. Called by every transaction that changes wanted state."""
    if not await tx.execute(update(revisions).where(revisions.c.id == 1).values(value=revisions.c.value + 1)):
        await tx.execute(insert(revisions).values(id=1, value=1))
    return await current_revision(tx)


async def current_revision(tx: Tx) -> int:
    value: int = await tx.scalar(select(func.coalesce(func.max(revisions.c.value), 0)))
    return value
