"""Lists of identity's records: filtered, in order, a page at a time."""

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, Table, false, func, select

from kilonova.identity import records
from kilonova.identity.names import fold
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import after_marker, ordered
from kilonova.kit.errors import BadRequest

RowT = TypeVar("RowT", bound=Struct)

Comparison = Literal["equals", "contains", "startswith", "endswith"]


class Filter(Struct, frozen=True):
    column: str
    comparison: Comparison
    value: Any


class Listing(Struct):
    """What part of a list. `sorts` are columns' names and end in a unique one."""

    filters: list[Filter] = []
    sorts: tuple[tuple[str, Literal["asc", "desc"]], ...] = (("id", "asc"),)
    limit: int | None = None
    """None: all of it."""
    marker: str | None = None
    is_empty: bool = False
    """Asks for what no record here has."""


class Page(Struct, Generic[RowT]):
    rows: list[RowT]
    next_marker: str | None = None
    """Of the page after this one, if there is one."""


async def page(
    tx: Tx, table: Table, row_type: type[RowT], listing: Listing, *conditions: ColumnElement[bool]
) -> Page[RowT]:
    """Raises BadRequest for a marker that is none, and for one that does not meet the `conditions`: who is not to see a
    record would learn its place in the order."""
    statement: Select[Any] = select(table).where(*conditions, *(_matches(table, each) for each in listing.filters))
    if listing.is_empty:
        statement = statement.where(false())
    sorts = [(table.c[name], direction) for name, direction in listing.sorts]
    if listing.marker is not None:
        marked = await tx.first(row_type, select(table).where(table.c.id == listing.marker, *conditions))
        if marked is None:
            raise BadRequest(f"The marker {listing.marker!r} is the id of nothing in this list.")
        statement = statement.where(after_marker(sorts, [getattr(marked, name) for name, _ in listing.sorts]))
    statement = ordered(statement, sorts)
    if listing.limit is None:
        return Page(await tx.all(row_type, statement))
    rows = await tx.all(row_type, statement.limit(listing.limit + 1))
    return cut(rows, listing.limit)


def cut(rows: Sequence[RowT], limit: int) -> Page[RowT]:
    """A page out of its rows and, where there is another page, one more."""
    kept = list(rows[:limit])
    return Page(kept, str(getattr(kept[-1], "id", "")) if len(rows) > limit else None)


def _matches(table: Table, wanted: Filter) -> ColumnElement[bool]:
    """Parts of texts are compared without case, as upstream's databases do."""
    if wanted.comparison == "equals":
        is_name = wanted.column == "name"
        return records.is_named(table, wanted.value) if is_name else table.c[wanted.column] == wanted.value
    is_folded = wanted.column == "name" and "folded_name" in table.c
    column = table.c.folded_name if is_folded else func.lower(table.c[wanted.column])
    value = fold(wanted.value) if is_folded else wanted.value.lower()
    found: ColumnElement[bool] = getattr(column, wanted.comparison)(value, autoescape=True)
    return found
