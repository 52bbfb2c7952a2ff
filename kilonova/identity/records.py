"""What every one of identity's resources does alike: find by id, list by equal columns, change, remove.

The rules that differ stand in the resources' own files.
"""

import functools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Select, Table, bindparam, case, exists, select
from sqlalchemy.exc import IntegrityError

from kilonova.identity.errors import Immutable, NameTaken, ResourceNotFound
from kilonova.identity.names import fold
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Filter, Meanings, Selection, compared, select_rows
from kilonova.kit.errors import BadRequest

RowT = TypeVar("RowT", bound=Struct)


def new_id() -> str:
    """32 hexadecimal digits, the form identity's ids have."""
    return uuid.uuid4().hex


async def look_up(tx: Tx, table: Table, row_type: type[RowT], wanted_id: str) -> RowT | None:
    return await tx.first(row_type, _by_id(table), wanted_id=wanted_id)


@functools.cache
def _by_id(table: Table) -> Select[Any]:
    return select(table).where(table.c.id == bindparam("wanted_id"))


MOST_IDS = 500
"""Of one statement: each id is a parameter, and engines have limits of them."""


async def find_all(tx: Tx, table: Table, row_type: type[RowT], ids: Iterable[str | None]) -> dict[str, RowT]:
    """Id → record, of those that exist."""
    wanted = sorted({each for each in ids if each is not None})
    found: dict[str, RowT] = {}
    for start in range(0, len(wanted), MOST_IDS):
        statement = select(table).where(table.c.id.in_(wanted[start : start + MOST_IDS]))
        found |= {str(getattr(row, "id", "")): row for row in await tx.all(row_type, statement)}
    return found


async def find(tx: Tx, table: Table, row_type: type[RowT], kind: str, wanted_id: str) -> RowT:
    """Raises ResourceNotFound naming `kind` (`user`) and the id."""
    row = await look_up(tx, table, row_type, wanted_id)
    if row is None:
        raise ResourceNotFound(kind, wanted_id)
    return row


def is_named(table: Table, name: str) -> ColumnElement[bool]:
    """Whether a record has this name, whatever its case; where there are several, the one spelled so."""
    if "folded_name" not in table.c:
        return table.c.name == name
    other = table.alias()
    beside = [other.c.name == name, other.c.id != table.c.id]
    if "domain_id" in table.c:
        beside.append(other.c.domain_id == table.c.domain_id)
    return (table.c.name == name) | ((table.c.folded_name == fold(name)) & ~exists().where(*beside))


async def list_where(
    tx: Tx,
    table: Table,
    row_type: type[RowT],
    selection: Selection,
    visible: Iterable[ColumnElement[bool]] = (),
    meanings: Meanings | None = None,
) -> list[RowT]:
    """The selected records among those that are `visible`; their names are compared without case.

    Raises BadRequest for a marker that is none of the visible.
    """

    def name_meant(wanted: Filter) -> ColumnElement[bool]:
        if wanted.operator == "eq":
            return is_named(table, wanted.value)
        if "folded_name" not in table.c:
            return compared(table.c.name, wanted)
        found: ColumnElement[bool] = getattr(table.c.folded_name, wanted.operator)(fold(wanted.value), autoescape=True)
        return found

    return await select_rows(tx, table, row_type, selection, visible, {"name": name_meant, **(meanings or {})})


async def find_named(
    tx: Tx, table: Table, row_type: type[RowT], name: str, domain_id: str | None = None
) -> RowT | None:
    """`domain_id`: within which the name is unique."""
    if domain_id is None:
        return await tx.first(row_type, _named(table), wanted=name, folded=fold(name))
    within = _named(table, is_within=True)
    return await tx.first(row_type, within, wanted=name, folded=fold(name), within=domain_id)


@functools.cache
def _named(table: Table, *, is_within: bool = False) -> Select[Any]:
    is_spelled_so = table.c.name == bindparam("wanted")
    matches = is_spelled_so | (table.c.folded_name == bindparam("folded"))
    statement = select(table).where(matches).order_by(case((is_spelled_so, 0), else_=1)).limit(1)
    return statement.where(table.c.domain_id == bindparam("within")) if is_within else statement


async def list_equal(tx: Tx, table: Table, row_type: type[RowT], filters: Mapping[str, Any]) -> list[RowT]:
    """Rows whose columns equal every filter that is not None, in the order of their ids; names whatever their case."""
    statement = select(table).order_by(table.c.id)
    for column, value in filters.items():
        if value is not None:
            statement = statement.where(is_named(table, value) if column == "name" else table.c[column] == value)
    return await tx.all(row_type, statement)


async def add(tx: Tx, table: Table, row: RowT, kind: str) -> RowT:
    """Raises NameTaken when its name (in its domain) is in use."""
    if not await tx.insert_new(table, row):
        raise NameTaken(kind, str(getattr(row, "name", "") or getattr(row, "id", "")))
    return row


async def change(tx: Tx, table: Table, row_type: type[RowT], kind: str, row: Any, values: Mapping[str, Any]) -> RowT:
    """Writes `values` into the row. Raises NameTaken, Immutable."""
    if values:
        if not _takes_immutability_away(row, values):
            refuse_immutable(row, kind)
        # One that has its name beside another of a different case keeps what it is known by.
        if "name" in values and "folded_name" in table.c and values["name"] != row.name:
            values = {**values, "folded_name": fold(values["name"])}
        try:
            await tx.change(table, {"id": row.id}, **values)
        except IntegrityError as error:
            raise NameTaken(kind, str(values.get("name", row.id))) from error
    return await find(tx, table, row_type, kind, row.id)


def with_extra(
    known: Mapping[str, Any], values: Mapping[str, Any], extra: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """`values` to write, with attributes of no meaning laid over those the row has; an option of null goes."""
    if not extra:
        return values
    merged = {**known, **extra}
    refuse_large(merged)
    if isinstance(extra.get("options"), dict):
        options = {**_options(known), **extra["options"]}
        merged["options"] = {name: value for name, value in options.items() if value is not None}
    return {**values, "extra": merged}


MOST_ATTRIBUTES, MOST_ATTRIBUTE_BYTES = 64, 16_384
"""That a record may have without a meaning: how many, and how many bytes of JSON in all."""


def refuse_large(extra: Mapping[str, Any]) -> None:
    """Raises BadRequest for more attributes without a meaning than a record may have."""
    if len(extra) > MOST_ATTRIBUTES:
        raise BadRequest(f"A record has {MOST_ATTRIBUTES} additional attributes at most, not {len(extra)}.")
    if (size := len(msgspec.json.encode(extra))) > MOST_ATTRIBUTE_BYTES:
        raise BadRequest(f"Additional attributes take {MOST_ATTRIBUTE_BYTES} bytes at most, not {size}.")
    if any(not 0 < len(name) <= 255 for name in extra):
        raise BadRequest("The name of an additional attribute has 1 to 255 characters.")


def _options(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    found = extra.get("options")
    return found if isinstance(found, dict) else {}


def refuse_immutable(row: Any, kind: str) -> None:
    """Raises Immutable. Source: Identity API v3, "Resource options"."""
    if _options(getattr(row, "extra", None) or {}).get("immutable"):
        raise Immutable(kind, row.id)


def _takes_immutability_away(row: Any, values: Mapping[str, Any]) -> bool:
    """Whether the change is of that option alone."""
    if set(values) != {"extra"} or _options(values["extra"]).get("immutable"):
        return False
    before, after = (
        {**extra, "options": {**_options(extra), "immutable": None}} for extra in (row.extra, values["extra"])
    )
    return before == after


async def remove(tx: Tx, table: Table, wanted_id: str) -> None:
    await tx.remove(table, id=wanted_id)
