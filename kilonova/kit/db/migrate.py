"""Runs a service's Alembic migrations. Each service keeps its own in `<service>/migrations/`.

`upgrade` is safe to repeat; the write lock taken for the whole run makes it safe for two processes at once.
"""

from pathlib import Path
from typing import Any

from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from kilonova.kit.db.engine import Database


def upgrade(database: Database, migrations: Path, revision: str = "head") -> None:
    """Brings the schema to `revision`, going up only."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(current: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs(revision, current)

    def run(connection: Connection) -> None:
        if connection.dialect.name in ("mysql", "mariadb"):
            # Names differ when their letters do, whatever the server's default; tables take the database's.
            connection.execute(text("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
        with EnvironmentContext(config, script, fn=steps, destination_rev=revision):
            context.configure(connection=connection, target_metadata=database.metadata, render_as_batch=True)
            context.run_migrations()

    database.run_alone(run)


def current_revision(database: Database) -> str | None:
    return database.run_alone(lambda connection: MigrationContext.configure(connection).get_current_revision())


def head_revision(migrations: Path) -> str:
    """The newest revision this release knows."""
    heads = ScriptDirectory(str(migrations)).get_heads()
    if len(heads) != 1:
        raise ValueError(f"{migrations} has {len(heads)} heads, exactly one is allowed")
    return heads[0]
