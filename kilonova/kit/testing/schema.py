"""Compares a service's migrations with the tables in its code."""

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from kilonova.kit.db import Database
from kilonova.kit.db.migrate import current_revision, head_revision, upgrade


def differences(metadata: MetaData, migrations: Path, scratch: Path) -> list[Any]:
    """Lists what is missing after every migration ran, twice, on an empty database in `scratch`."""
    database = Database(f"sqlite:///{scratch}/migrated.db", metadata)
    upgrade(database, migrations)
    upgrade(database, migrations)
    found: list[Any] = []
    heads = ScriptDirectory(str(migrations)).get_heads()
    if heads != [head_revision(migrations)]:
        found.append(f"the newest step is {heads}, by its name it is {head_revision(migrations)}")
    if current_revision(database) != head_revision(migrations):
        found.append(f"at revision {current_revision(database)}, not at {head_revision(migrations)}")
    found += database.run_alone(lambda connection: _compare(connection, metadata))
    return found


def _compare(connection: Connection, metadata: MetaData) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))
