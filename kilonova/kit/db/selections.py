"""Keyset paging: a page starts after a marker row, in an order that ends in a unique key.

Offsets are not used: a list that changes while it is read would skip and repeat rows.
"""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, or_

Sort = tuple[ColumnElement[Any], Literal["asc", "desc"]]


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
        if direction == "asc":
            statement = statement.order_by(column.is_not(None), column.asc())
        else:
            statement = statement.order_by(column.is_(None), column.desc())
    return statement
