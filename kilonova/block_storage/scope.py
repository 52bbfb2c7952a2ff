"""Scopes of lists: whose rows are looked at, and which metadata they have to have."""

from typing import TypeVar

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, func, select

from kilonova.block_storage import metadata
from kilonova.kit.db import Tx
from kilonova.kit.db.expressions import has_entry
from kilonova.kit.db.selections import Selection, conditions, select_rows

RowT = TypeVar("RowT", bound=Struct)


class Scope(Struct, frozen=True):
    project_id: str | None
    """None: every project's rows."""
    metadata: dict[str, str] = {}
    """Items that a row has to have."""
    image_metadata: dict[str, str] = {}
    """Items that the image of a volume has to have had."""

    def conditions(self, table: Table, of_metadata: Table | None = None) -> list[ColumnElement[bool]]:
        """Returns the SQL of the scope on a table, whose metadata are in another one."""
        found = [] if self.project_id is None else [table.c.project_id == self.project_id]
        if self.metadata and of_metadata is not None:
            found.append(metadata.has_all(of_metadata, table.c.id, self.metadata))
        found += [has_entry(table.c.image_metadata, key, value) for key, value in self.image_metadata.items()]
        return found

    async def rows(
        self, tx: Tx, table: Table, row: type[RowT], selection: Selection, of_metadata: Table | None = None
    ) -> list[RowT]:
        """Returns a page of a list. Raises the selection's fault for a marker that is not in the scope."""
        return await select_rows(tx, table, row, selection, self.conditions(table, of_metadata))

    async def count(self, tx: Tx, table: Table, selection: Selection, of_metadata: Table | None = None) -> int:
        """Returns how many rows a list has in all, whatever its page."""
        wanted = [*self.conditions(table, of_metadata), *conditions(table, selection)]
        count: int = await tx.scalar(select(func.count()).select_from(table).where(*wanted))
        return count
