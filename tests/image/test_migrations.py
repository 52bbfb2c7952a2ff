"""The migrations make exactly the tables the code speaks of, and may be run again."""

from pathlib import Path
from typing import Any

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
    assert rows_of(database, "SELECT id, status, size_bytes FROM images ORDER BY id") == [
        ("active", "active", 5),
        ("queued", "queued", 5),
        ("saving", "queued", None),
    ]
    assert rows_of(database, "SELECT image_id, store, name FROM image_locations") == [("active", "file", "active")]
    assert rows_of(database, "SELECT tag FROM image_tags") == [("red",)] * 3


def test_data_of_the_release_before_locations_is_found_and_its_uploads_are_not_gone_on_with(
    databases: Databases, tmp_path: Path
) -> None:
    database = Database(databases.engine.create("older", tmp_path), metadata)
    upgrade(database, MIGRATIONS, "0002")
    columns = "id, status, upload_id, visibility, protected, hidden, min_disk_gib, min_ram_mib, created_at, updated_at"

    def fill(connection: Connection) -> None:
        for status in ("active", "deactivated", "saving", "queued"):
            upload = "NULL" if status == "queued" else "'u1'"
            values = f"'{status}', '{status}', {upload}, 'shared', {FALSE}, {FALSE}, 0, 0, '{WHEN}', '{WHEN}'"
            connection.execute(text(f"INSERT INTO images ({columns}) VALUES ({values})"))
            member = f"'{status}', 'p', 'pending', '{WHEN}', '{WHEN}'"
            connection.execute(text(f"INSERT INTO image_members VALUES ({member})"))

    database.run_alone(fill)
    upgrade(database, MIGRATIONS)
    assert rows_of(database, "SELECT image_id, store, name FROM image_locations ORDER BY image_id") == [
        ("active", "file", "active.u1"),
        ("deactivated", "file", "deactivated.u1"),
    ]
    assert rows_of(database, "SELECT id, status FROM images ORDER BY id") == [
        ("active", "active"),
        ("deactivated", "deactivated"),
        ("queued", "queued"),
        ("saving", "queued"),
    ]
    assert len(rows_of(database, "SELECT * FROM image_members")) == 4
    assert rows_of(database, "SELECT * FROM upload_leases") == []


def rows_of(database: Database, statement: str) -> list[tuple[Any, ...]]:
    return database.run_alone(lambda connection: [tuple(row) for row in connection.execute(text(statement))])
