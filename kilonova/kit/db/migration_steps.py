"""Takes the steps of a schema, with Alembic. The rule: `migrate` decides whether there is anything to do."""

from pathlib import Path
from typing import Any

from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from kilonova.kit.db.engine import Database


def take_steps(database: Database, migrations: Path, revision: str) -> None:
    """All that lead up to `revision`, in one transaction where the engine has such for tables."""
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
