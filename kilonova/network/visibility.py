"""Visibility: which project sees which rows.

One rule a table gives both the condition of its lists and the look-up of one row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, bindparam, or_, select

from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection, select_rows
from kilonova.kit.errors import Fault
from kilonova.network.tables import Standard

RowT = TypeVar("RowT", bound=Standard)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose view it is. Seeing everything is a matter of policy (`context_is_admin`)."""

    project_id: str
    sees_all: bool


PROJECT: BindParameter[str] = bindparam("viewer_project_id")
"""The project of whoever looks, in the conditions of a `Visibility`."""


@dataclass(frozen=True, slots=True, eq=False)
class Visibility(Generic[RowT]):
    """A project sees its own rows, and those that any of the conditions `opened` opens to it."""

    table: FromClause
    row_type: type[RowT]
    missing: Callable[[str], Fault]
    """Makes the fault for a row that is not there, or that is not seen: the two cannot be told apart."""
    opened: Sequence[ColumnElement[bool]] = ()

    async def find(self, tx: Tx, viewer: Viewer, wanted_id: str) -> RowT:
        """Raises the fault for what is missing."""
        if viewer.sees_all:
            row = await tx.find(self.row_type, self.table, id=wanted_id)
        else:
            row = await tx.first(self.row_type, _seen_row(self), wanted_id=wanted_id, **_looking(viewer))
        if row is None:
            raise self.missing(wanted_id)
        return row

    async def list(self, tx: Tx, viewer: Viewer, selection: Selection) -> list[RowT]:
        """Raises InvalidInput for a marker that is not in the list."""
        if viewer.sees_all:
            return await select_rows(tx, self.table, self.row_type, selection)
        return await select_rows(tx, self.table, self.row_type, selection, (_seen(self),), given=_looking(viewer))


def _looking(viewer: Viewer) -> dict[str, Any]:
    return {PROJECT.key: viewer.project_id}


@cache
def _seen(visibility: Visibility[Any]) -> ColumnElement[bool]:
    return or_(visibility.table.c.project_id == PROJECT, *visibility.opened)


@cache
def _seen_row(visibility: Visibility[Any]) -> Select[Any]:
    return select(visibility.table).where(visibility.table.c.id == bindparam("wanted_id"), _seen(visibility))
