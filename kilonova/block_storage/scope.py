"""Scopes of lists: whose rows are looked at, and which metadata they have to have."""

from msgspec import Struct
from sqlalchemy import ColumnElement, Table

from kilonova.block_storage import metadata
from kilonova.kit.db.expressions import has_entry


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
