"""The migrations make exactly the tables the code speaks of, and may be run again."""

from pathlib import Path

from sqlalchemy import Connection, text

from kilonova.image.tables import metadata
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.testing.schema import differences
from tests.databases import Databases

FALSE, WHEN = "false", "2026-10-01 12:00:00"
MIGRATIONS = Path(__file__).parents[2] / "kilonova/image/migrations"


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    assert differences(metadata, MIGRATIONS, tmp_path) == []


def test_a_database_of_the_release_before_uploads_had_names_comes_up(databases: Databases, tmp_path: Path) -> None:
    database = Database(databases.engine.create("older", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0001")
    columns = (
        "id, name, status, visibility, protected, hidden, min_disk_gib, min_ram_mib, size_bytes, created_at, updated_at"
    )

    def fill(connection: Connection) -> None:
        for status in ("active", "saving", "queued"):
            values = f"'{status}', '', '{status}', 'shared', {FALSE}, {FALSE}, 0, 0, 5, '{WHEN}', '{WHEN}'"
            connection.execute(text(f"INSERT INTO images ({columns}) VALUES ({values})"))
            connection.execute(text(f"INSERT INTO image_tags (image_id, tag) VALUES ('{status}', 'red')"))

    database.run_alone(fill)
    upgrade(database, MIGRATIONS)

    def read(connection: Connection) -> list[tuple[str, str, int | None, str | None]]:
        found = connection.execute(text("SELECT id, status, size_bytes, upload_id FROM images ORDER BY id"))
        return [tuple(row) for row in found]

    assert database.run_alone(read) == [
        ("active", "active", 5, None),
        ("queued", "queued", 5, None),
        ("saving", "queued", None, None),
    ]
    assert (
        database.run_alone(lambda connection: connection.execute(text("SELECT tag FROM image_tags")).all())
        == [("red",)] * 3
    )
