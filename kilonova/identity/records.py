"""What every one of identity's resources does alike: find by id, list by equal columns, change, remove.

The rules that differ stand in the resources' own files.
"""

import uuid
from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Table, delete, select, update
from sqlalchemy.exc import IntegrityError

from kilonova.identity.errors import NameTaken, ResourceNotFound
from kilonova.kit.db import Tx

RowT = TypeVar("RowT", bound=Struct)


def new_id() -> str:
    """32 hexadecimal digits, the form identity's ids have."""
    return uuid.uuid4().hex


async def look_up(tx: Tx, table: Table, row_type: type[RowT], wanted_id: str) -> RowT | None:
    return await tx.first(row_type, select(table).where(table.c.id == wanted_id))


async def find(tx: Tx, table: Table, row_type: type[RowT], kind: str, wanted_id: str) -> RowT:
    """Raises ResourceNotFound naming `kind` (`user`) and the id."""
    row = await look_up(tx, table, row_type, wanted_id)
    if row is None:
        raise ResourceNotFound(kind, wanted_id)
    return row


async def list_equal(tx: Tx, table: Table, row_type: type[RowT], filters: Mapping[str, Any]) -> list[RowT]:
    """Rows whose columns equal every filter that is not None, in the order of their ids."""
    statement = select(table).order_by(table.c.id)
    for column, value in filters.items():
        if value is not None:
            statement = statement.where(table.c[column] == value)
    return await tx.all(row_type, statement)


async def add(tx: Tx, table: Table, row: RowT, kind: str) -> RowT:
    """Raises NameTaken when its name (in its domain) is in use."""
    if not await tx.insert_new(table, row):
        raise NameTaken(kind, str(getattr(row, "name", "") or getattr(row, "id", "")))
    return row


async def change(tx: Tx, table: Table, row_type: type[RowT], kind: str, row: Any, values: Mapping[str, Any]) -> RowT:
    """Writes `values` into the row. Raises NameTaken."""
    if values:
        try:
            await tx.execute(update(table).where(table.c.id == row.id).values(**values))
        except IntegrityError as error:
            raise NameTaken(kind, str(values.get("name", row.id))) from error
    return await find(tx, table, row_type, kind, row.id)


def with_extra(
    known: Mapping[str, Any], values: Mapping[str, Any], extra: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """`values` to write, with the attributes of no meaning laid over those the row has."""
    return {**values, "extra": {**known, **extra}} if extra else values


async def remove(tx: Tx, table: Table, wanted_id: str) -> None:
    await tx.execute(delete(table).where(table.c.id == wanted_id))
