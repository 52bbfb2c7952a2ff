"""Brings a service's schema up. Each service keeps its steps in `<service>/migrations/`, named by their revision.

`upgrade` is safe to repeat; the write lock taken for the whole run makes it safe for two processes at once.
"""

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from kilonova.kit.db.engine import Database

VERSION_TABLE = table("alembic_version", column("version_num"))


def upgrade(database: Database, migrations: Path, revision: str = "head") -> None:
    """Brings the schema to `revision`, going up only."""
    wanted = head_revision(migrations) if revision == "head" else revision
    if current_revision(database) == wanted:
        return
    # Eleven MiB that a process whose schema is there has no use for.
    from kilonova.kit.db.migration_steps import take_steps

    take_steps(database, migrations, wanted)


def current_revision(database: Database) -> str | None:
    """None: no step has been taken."""
    return database.run_alone(read_revision)


def read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE.name):
        return None
    found: str | None = connection.execute(select(VERSION_TABLE.c.version_num)).scalar()
    return found


def head_revision(migrations: Path) -> str:
    """The newest revision this release knows."""
    return max(path.stem.partition("_")[0] for path in (migrations / "versions").glob("[0-9]*.py"))
