"""Visibility: which project sees which rows.

One rule a table gives both the condition of its lists and the look-up of one row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, FromClause, or_, select

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


def _nobody_else(_project_id: str) -> Sequence[ColumnElement[bool]]:
    return ()


@dataclass(frozen=True, slots=True)
class Visibility(Generic[RowT]):
    """A project sees its own rows, and those that any of `opened` opens to it."""

    table: FromClause
    row_type: type[RowT]
    missing: Callable[[str], Fault]
    """Makes the fault for a row that is not there, or that is not seen: the two cannot be told apart."""
    opened: Callable[[str], Sequence[ColumnElement[bool]]] = _nobody_else

    def condition(self, viewer: Viewer) -> ColumnElement[bool] | None:
        """None: everything is seen."""
        if viewer.sees_all:
            return None
        return or_(self.table.c.project_id == viewer.project_id, *self.opened(viewer.project_id))

    async def find(self, tx: Tx, viewer: Viewer, wanted_id: str) -> RowT:
        """Raises the fault for what is missing."""
        statement = select(self.table).where(self.table.c.id == wanted_id)
        seen = self.condition(viewer)
        row = await tx.first(self.row_type, statement if seen is None else statement.where(seen))
        if row is None:
            raise self.missing(wanted_id)
        return row

    async def list(self, tx: Tx, viewer: Viewer, selection: Selection) -> list[RowT]:
        """Raises InvalidInput for a marker that is not in the list."""
        seen = self.condition(viewer)
        return await select_rows(tx, self.table, self.row_type, selection, () if seen is None else (seen,))
