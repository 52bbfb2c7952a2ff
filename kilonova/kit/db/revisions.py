"""Writes a service's next migration file: `python -m kilonova.kit.db.revisions kilonova.identity "reason"`.

Compares the tables in the code with those the migrations so far make, as Alembic's autogenerate does. Read the file it
writes before committing it: renames look like a drop and an add.
"""

import importlib
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from kilonova.kit.db.engine import Database
from kilonova.kit.db.migrate import current_revision, upgrade

TEMPLATE = '''"""{reason}"""

import sqlalchemy as sa
from alembic import op

import kilonova.kit.db.types

revision = "{revision}"
down_revision = {down_revision}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
'''


def write_revision(package: str, reason: str) -> Path:
    tables = importlib.import_module(f"{package}.tables")
    migrations = Path(str(tables.__file__)).parent / "migrations"
    versions = migrations / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        database = Database(f"sqlite:///{scratch}/now.db", tables.metadata)
        if any(versions.glob("*.py")):
            upgrade(database, migrations)
        down = current_revision(database)
        script = database.run_alone(lambda connection: _missing(connection, tables.metadata))
    revision = f"{int(down or '0') + 1:04d}"
    assert script.upgrade_ops is not None and script.downgrade_ops is not None  # noqa: S101
    text = TEMPLATE.format(
        reason=reason,
        revision=revision,
        down_revision=repr(down),
        upgrade=render_python_code(script.upgrade_ops, render_as_batch=True),
        downgrade=render_python_code(script.downgrade_ops, render_as_batch=True),
    )
    path = versions / f"{revision}_{reason.lower().replace(' ', '_')}.py"
    path.write_text(text)
    return path


def _missing(connection: Connection, metadata: MetaData) -> MigrationScript:
    return produce_migrations(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


if __name__ == "__main__":
    sys.stdout.write(f"{write_revision(sys.argv[1], sys.argv[2])}\n")
