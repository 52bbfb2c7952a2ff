"""The migrations make exactly the tables the code speaks of, and may be run again."""

from pathlib import Path

from sqlalchemy import Connection, select, text

from kilonova.identity import records
from kilonova.identity.tables import Domain, Project, User, domains, metadata, projects, users
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.testing.schema import differences
from tests.databases import Databases

MIGRATIONS = Path(__file__).parents[2] / "kilonova/identity/migrations"


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    assert differences(metadata, MIGRATIONS, tmp_path) == []


async def test_names_that_differ_by_case_only_stay_apart(databases: Databases, tmp_path: Path) -> None:
    """A database from before case stopped counting, with everything that belongs to its records."""
    database = Database(databases.engine.create("older", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0003")

    def fill(connection: Connection) -> None:
        for row in (("d1", "Branch"), ("d2", "BRANCH"), ("d3", "Straße")):
            values = f"'{row[0]}', '{row[1]}', '', true, '{{}}'"
            connection.execute(text(f"INSERT INTO domains (id, name, description, enabled, extra) VALUES ({values})"))
        for number, (domain, name) in enumerate((("d1", "demo"), ("d1", "Demo"), ("d1", "DEMO"), ("d2", "Demo"))):
            values = f"'p{number}', '{domain}', '{name}', '', true, '[]', '{{}}'"
            connection.execute(
                text(f"INSERT INTO projects (id, domain_id, name, description, enabled, tags, extra) VALUES ({values})")
            )
            values = f"'u{number}', '{domain}', '{name}', true, '{{}}', '2026-10-01 12:00:00'"
            connection.execute(
                text(f"INSERT INTO users (id, domain_id, name, enabled, extra, created_at) VALUES ({values})")
            )
        connection.execute(
            text("INSERT INTO roles (id, domain_id, name, description, extra) VALUES ('r', '', 'Admin', '', '{}')")
        )
        given = "('u0', 'project', 'p0', 'r'), ('u1', 'project', 'p1', 'r')"
        connection.execute(text(f"INSERT INTO assignments (user_id, target_kind, target_id, role_id) VALUES {given}"))

    database.run_alone(fill)
    upgrade(database, MIGRATIONS)
    async with database.reading() as tx:

        async def found(name: str, domain_id: str = "d1") -> str | None:
            user = await records.find_named(tx, users, User, name, domain_id)
            project = await records.find_named(tx, projects, Project, name, domain_id)
            assert (user is None) == (project is None)
            assert user is None or (project is not None and project.id[1:] == user.id[1:])
            return user.id if user is not None else None

        assert [await found(name) for name in ("demo", "Demo", "DEMO", "dEMO", "other")] == [
            "u0",
            "u1",
            "u2",
            "u0",
            None,
        ]
        assert await found("demo", "d2") == "u3"
        listed = await records.list_equal(tx, users, User, {"name": "Demo", "domain_id": "d1"})
        assert [each.id for each in listed] == ["u1"]
        named = [await records.find_named(tx, domains, Domain, name) for name in ("branch", "BRANCH", "STRASSE")]
        assert [each.id for each in named if each is not None] == ["d1", "d2", "d3"]
        assert await tx.scalar(select(text("count(*)")).select_from(text("assignments"))) == 2
    await database.close()
