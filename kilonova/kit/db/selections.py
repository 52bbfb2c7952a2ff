"""Selections: which rows of a list are asked for, in which order, and which page of them.

A page starts after a marker row, in an order that ends in a unique key. Offsets are used only where an API has them: a
list that changes while it is read would skip and repeat rows.
"""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, TypeVar

from msgspec import Struct
from sqlalchemy import ColumnElement, FromClause, Integer, Select, and_, bindparam, func, not_, or_, select

from kilonova.kit.db.engine import Tx
from kilonova.kit.db.expressions import has_text
from kilonova.kit.errors import BadRequest, Fault

RowT = TypeVar("RowT", bound=Struct)
ItemT = TypeVar("ItemT")

Direction = Literal["asc", "desc"]
Sorts = tuple[tuple[str, Direction], ...]
"""Columns, and the direction of each."""
Operator = Literal[
    "eq", "ne", "lt", "le", "gt", "ge", "in", "contains", "startswith", "endswith",
    "has_all", "has_any", "lacks_one", "lacks_all",
]  # fmt: skip
"""Parts of texts are compared without case. `has_all` to `lacks_all` ask a column of a list of texts."""


class Filter(Struct, frozen=True):
    """A condition on one column."""

    column: str
    operator: Operator
    value: Any


NOTHING = Filter("id", "in", ())
"""A filter that no row meets."""

Condition = Filter | ColumnElement[bool]
Meanings = Mapping[str, Callable[[Filter], ColumnElement[bool]]]
"""Column → the SQL of a filter on it, where that is no plain comparison."""


def marker_not_found(marker: str) -> Fault:
    return BadRequest(f"marker [{marker}] not found")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked of a list."""

    conditions: tuple[Condition, ...] = ()
    sorts: Sorts = ()
    """End in a unique column. Empty: the order in which the rows come."""
    limit: int | None = None
    """Most rows to read."""
    offset: int = 0
    marker: str | None = None
    """Id of the row that the page follows."""
    backwards: bool = False
    """The page that ends before the marker, or the last one; its rows stay in the list's order."""
    lost: Callable[[str], Fault] = marker_not_found
    """Makes the fault for a marker that is not in the list."""

    def narrowed(self, *conditions: Condition) -> "Selection":
        return replace(self, conditions=(*self.conditions, *conditions))


async def select_rows(
    tx: Tx,
    table: FromClause,
    row_type: type[RowT],
    selection: Selection,
    visible: Iterable[ColumnElement[bool]] = (),
    meanings: Meanings | None = None,
    *,
    given: Mapping[str, Any] | None = None,
) -> list[RowT]:
    """The selected rows of a table among those that are `visible`. `given`: the values that these conditions ask for;
    whoever gives them has conditions that are always the same, and the statement is kept.

    Raises the selection's fault for a marker that is not visible: its place in the order would tell of it.
    """
    seen = tuple(visible)
    if (given is not None or not seen) and _is_plain(selection, meanings or {}):
        rows = await tx.all(row_type, _kept(table, seen, _shape(selection)), **_values(selection), **(given or {}))
        return rows[::-1] if selection.backwards else rows
    statement = select(table).where(*seen, *conditions(table, selection, meanings))
    after: Sequence[Any] | None = None
    if selection.marker is not None:
        marked = select(*(table.c[name] for name, _ in selection.sorts)).where(table.c.id == selection.marker, *seen)
        after = next(iter(await tx.tuples(marked, **(given or {}))), None)
        if after is None:
            raise selection.lost(selection.marker)
    rows = await tx.all(row_type, paged(statement, table, selection, after), **(given or {}))
    return rows[::-1] if selection.backwards else rows


_Shape = tuple[tuple[tuple[str, Operator], ...], Sorts, bool, bool]
"""A selection without its values: filters, sorts, whether it is limited, whether it is read backwards."""
_MOST_ROWS = "most_rows"


def _is_plain(selection: Selection, meanings: Meanings) -> bool:
    """Whether other values make it another question of the same shape."""
    return not (selection.offset or selection.marker) and all(
        isinstance(each, Filter) and each.column not in meanings and _is_comparison(each)
        for each in selection.conditions
    )


def _is_comparison(wanted: Filter) -> bool:
    """Whether the column is compared with a value, or with several, none of which stands for NULL."""
    if wanted.operator == "in":
        return None not in wanted.value
    return wanted.operator in ("eq", "ne", "lt", "le", "gt", "ge") and wanted.value is not None


def _shape(selection: Selection) -> _Shape:
    filters = tuple((each.column, each.operator) for each in selection.conditions if isinstance(each, Filter))
    return filters, selection.sorts, selection.limit is not None, selection.backwards


def _values(selection: Selection) -> dict[str, Any]:
    filters = [each for each in selection.conditions if isinstance(each, Filter)]
    values = {_value_name(place): each.value for place, each in enumerate(filters)}
    return values if selection.limit is None else {**values, _MOST_ROWS: selection.limit}


def _value_name(place: int) -> str:
    return f"value_{place}"


# Callers choose filters and sorts: shapes that nobody asks for any more make room for others.
@lru_cache(maxsize=512)
def _kept(table: FromClause, visible: tuple[ColumnElement[bool], ...], shape: _Shape) -> Select[Any]:
    filters, sorts, is_limited, backwards = shape
    wanted: list[ColumnElement[bool]] = []
    for place, (name, comparison) in enumerate(filters):
        if comparison == "in":
            wanted.append(table.c[name].in_(bindparam(_value_name(place), expanding=True)))
        else:
            wanted.append(getattr(operator, comparison)(table.c[name], bindparam(_value_name(place))))
    statement = select(table).where(*visible, *wanted)
    statement = paged(statement, table, Selection(sorts=sorts, backwards=backwards), None)
    return statement.limit(bindparam(_MOST_ROWS, type_=Integer)) if is_limited else statement


def paged(statement: Select[Any], table: FromClause, selection: Selection, after: Sequence[Any] | None) -> Select[Any]:
    """The statement in the selection's order, for its page. `after`: the marker row's value of each sort column."""
    sorts: list[Sort] = [
        (table.c[name], _reverse(direction) if selection.backwards else direction)
        for name, direction in selection.sorts
    ]
    statement = ordered(statement, sorts).limit(selection.limit)
    if selection.offset:
        statement = statement.offset(selection.offset)
    return statement if after is None else statement.where(after_marker(sorts, after))


def _reverse(direction: Direction) -> Direction:
    return "asc" if direction == "desc" else "desc"


def conditions(table: FromClause, selection: Selection, meanings: Meanings | None = None) -> list[ColumnElement[bool]]:
    found, meanings = [], meanings or {}
    for each in selection.conditions:
        if not isinstance(each, Filter):
            found.append(each)
        elif each.column in meanings:
            found.append(meanings[each.column](each))
        else:
            found.append(compared(table.c[each.column], each))
    return found


def compared(column: ColumnElement[Any], wanted: Filter) -> ColumnElement[bool]:
    """The SQL of a filter on a column. None among the values of `in` stands for NULL."""
    value = wanted.value
    found: ColumnElement[bool]
    match wanted.operator:
        case "in":
            found = column.in_([each for each in value if each is not None])
            found = or_(found, column.is_(None)) if None in value else found
        case "contains" | "startswith" | "endswith":
            found = getattr(func.lower(column), wanted.operator)(value.lower(), autoescape=True)
        case "has_all" | "lacks_one":
            found = and_(*(has_text(column, each) for each in value))
        case "has_any" | "lacks_all":
            found = or_(*(has_text(column, each) for each in value))
        case comparison:
            found = getattr(operator, comparison)(column, value)
    return not_(found) if wanted.operator.startswith("lacks") else found


def fits_texts(texts: Collection[str], wanted: Filter) -> bool:
    """What `has_all` to `lacks_all` ask, of a list of texts in memory."""
    held = [each in texts for each in wanted.value]
    found = all(held) if wanted.operator in ("has_all", "lacks_one") else any(held)
    return found != wanted.operator.startswith("lacks")


Sort = tuple[ColumnElement[Any], Direction]


def after_marker(sorts: Sequence[Sort], marker: Sequence[Any]) -> ColumnElement[bool]:
    """The condition "sorts after this row". `marker` holds the row's value of each sort column.

    NULL sorts before everything in ascending order on every database we use once written out like this.
    """
    choices: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for (column, direction), value in zip(sorts, marker, strict=True):
        beyond: ColumnElement[bool] | None
        if value is None:
            beyond = column.is_not(None) if direction == "asc" else None
            same: ColumnElement[bool] = column.is_(None)
        else:
            beyond = column > value if direction == "asc" else or_(column < value, column.is_(None))
            same = column == value
        if beyond is not None:
            choices.append(and_(*equal, beyond))
        equal.append(same)
    return or_(*choices)


def ordered(statement: Select[Any], sorts: Sequence[Sort]) -> Select[Any]:
    """Orders by every sort, NULLs first when ascending and last when descending."""
    for column, direction in sorts:
        # A column without NULLs is ordered by alone, so that it can be read from its index.
        if getattr(column, "nullable", True):
            statement = statement.order_by(column.is_not(None) if direction == "asc" else column.is_(None))
        statement = statement.order_by(column.asc() if direction == "asc" else column.desc())
    return statement


def among(rows: Iterable[ItemT], selection: Selection, key: Callable[[ItemT], str]) -> list[ItemT]:
    """The selected rows of those in memory. `key` returns the id that a marker names.

    Rows that are filtered or sorted are mappings. Their values are compared as text; those that `in` asks for are in
    small letters, and match whatever the case.
    """
    found: list[Any] = [row for row in rows if all(_fits(row, each) for each in selection.conditions)]
    for name, direction in reversed(selection.sorts):
        found.sort(key=partial(_text, name), reverse=direction == "desc")
    if selection.marker is not None:
        places = [place for place, row in enumerate(found) if key(row) == selection.marker]
        if not places:
            raise selection.lost(selection.marker)
        found = found[: places[0]] if selection.backwards else found[places[0] + 1 :]
    found = found[selection.offset :]
    if selection.limit is None:
        return found
    return found[max(len(found) - selection.limit, 0) :] if selection.backwards else found[: selection.limit]


def _fits(row: Any, wanted: Condition) -> Any:
    if not isinstance(wanted, Filter) or wanted.operator not in ("eq", "in"):
        raise TypeError(f"rows in memory are not compared by {wanted}")
    text = _text(wanted.column, row)
    return text == wanted.value if wanted.operator == "eq" else text.lower() in wanted.value


def _text(name: str, row: Any) -> str:
    return str(row[name])
