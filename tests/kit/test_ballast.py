"""A full disk: room that was set aside is given back, and a database that cannot write says so."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import Struct
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, select, text

from kilonova.kit.db import Database, ballast
from kilonova.kit.db.ballast import LOW_BYTES, ROOMY_BYTES, SIZE_BYTES
from kilonova.kit.errors import DiskFull

metadata = MetaData()
things = Table("things", metadata, Column("id", Integer, primary_key=True), Column("content", LargeBinary))


class Thing(Struct):
    id: int
    content: bytes = b""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/things.db", metadata, has_ballast=True)
    database.run_alone(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Says how many bytes the disk has free."""

    def set_free(free: int) -> None:
        monkeypatch.setattr(ballast.os, "statvfs", lambda _path: SimpleNamespace(f_bavail=free // 512, f_frsize=512))

    return set_free


async def write(database: Database, number: int) -> None:
    async with database.transaction() as tx:
        await tx.insert(things, Thing(number))


async def test_room_is_set_aside_given_back_and_set_aside_again(
    database: Database, tmp_path: Path, set_free: Callable[[int], None]
) -> None:
    file = tmp_path / "things.db.ballast"
    assert file.stat().st_blocks * 512 >= SIZE_BYTES
    assert file.stat().st_mode & 0o777 == 0o600
    set_free(LOW_BYTES)
    await write(database, 1)
    assert file.exists()
    set_free(LOW_BYTES - 512)
    await write(database, 2)
    assert not file.exists()
    await write(database, 3)
    set_free(ROOMY_BYTES - 512)
    await write(database, 4)
    assert not file.exists()
    set_free(ROOMY_BYTES)
    await write(database, 5)
    assert file.stat().st_size == SIZE_BYTES


async def test_a_ballast_that_was_there_is_given_back(tmp_path: Path, set_free: Callable[[int], None]) -> None:
    file = tmp_path / "things.db.ballast"
    file.write_bytes(b"x")
    database = Database(f"sqlite:///{tmp_path}/things.db", metadata, has_ballast=True)
    database.run_alone(metadata.create_all)
    set_free(0)
    await write(database, 1)
    assert not file.exists()
    await database.close()


async def test_room_that_cannot_be_set_aside_is_no_failure(
    database: Database, set_free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    set_free(ROOMY_BYTES)
    monkeypatch.setattr(os, "posix_fallocate", full)
    await write(database, 1)


async def test_without_a_ballast_nothing_lies_beside_a_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/things.db", metadata)
    database.run_alone(metadata.create_all)
    await write(database, 1)
    await database.close()
    assert not list(tmp_path.glob("*.ballast"))


async def test_a_database_that_cannot_grow_says_that_the_disk_is_full(database: Database) -> None:
    with pytest.raises(DiskFull, match="disk that holds this service's database is full"):
        async with database.transaction() as tx:
            # SQLite's own limit, which ends like the disk's.
            await tx.scalar(text("PRAGMA max_page_count=3"))
            await tx.insert(things, Thing(1, bytes(1 << 20)))
    async with database.reading() as tx:
        assert await tx.all(Thing, select(things)) == []
