"""A statement gives the same answer from the driver as from SQLAlchemy, whatever its values and its columns' types."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import JSON, Boolean, Column, Float, Integer, MetaData, String, Table, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from kilonova.kit.db import Database, UtcDateTime
from kilonova.kit.db.prepared import MOST_LENGTHS
from kilonova.kit.db.sqlite_engine import _statements
from kilonova.kit.db.statements import rows_among, rows_by

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(20)),
    Column("is_red", Boolean),
    Column("tags", JSON),
    Column("weight", Float),
    Column("seen_at", UtcDateTime),
)


class Thing(Struct):
    id: int
    name: str | None = None
    is_red: bool | None = None
    tags: Any = None
    weight: float | None = None
    seen_at: datetime | None = None


SEEN_AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
FIRST = Thing(1, "a", True, ["x", {"y": [1, None]}], 1.5, SEEN_AT)
SECOND = Thing(2, None, False, [], 0.0, None)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'things.db'}", metadata)
    database.run_alone(metadata.create_all)
    async with database.transaction() as tx:
        for each in (FIRST, SECOND):
            await tx.insert(things, each)
    yield database
    await database.close()


def is_prepared(statement: Any, values: dict[str, Any]) -> bool:
    return _statements().find(statement, values) is not None


async def test_every_type_is_written_and_read_as_by_sqlalchemy(database: Database) -> None:
    statement = select(things).order_by(things.c.id)
    async with database.reading() as tx:
        by_sqlalchemy = await tx.all(Thing, statement)
        by_driver = await tx.all(Thing, statement)
    assert is_prepared(statement, {})
    assert by_sqlalchemy == by_driver == [FIRST, SECOND]
    assert (await tx_changes(database)) == [Thing(1, "b", False, {"n": 2}, 2.5, None), SECOND]


async def tx_changes(database: Database) -> list[Thing]:
    changed = {"name": "b", "is_red": False, "tags": {"n": 2}, "weight": 2.5, "seen_at": None}
    async with database.transaction() as tx:
        for _ in range(3):
            assert await tx.change(things, {"id": 1}, **changed) == 1
        return await tx.all(Thing, select(things).order_by(things.c.id))


async def test_lists_of_any_length_are_asked_for(database: Database) -> None:
    statement = rows_among(things, "id", order="id")
    async with database.reading() as tx:
        for asked, answer in (([], []), ([2], [SECOND]), ({1, 2, 3}, [FIRST, SECOND]), ((1,), [FIRST])) * 3:
            assert await tx.all(Thing, statement, id=asked) == answer
        for length in range(MOST_LENGTHS + 2):
            assert await tx.all(Thing, statement, id=range(2, 2 + length)) == [SECOND][:length]
    assert is_prepared(statement, {"id": [1]})


async def test_what_a_statement_always_says_and_what_it_is_given_are_told_apart(database: Database) -> None:
    seen_after = bindparam("seen_after", type_=UtcDateTime)
    statement = (
        select(things.c.name, func.count().label("number"), things.c.seen_at)
        .where(things.c.id.in_([1, 2, 3]), things.c.seen_at >= seen_after, things.c.is_red.is_(True))
        .group_by(things.c.name, things.c.seen_at)
        .limit(5)
    )
    async with database.reading() as tx:
        answers = [await tx.tuples(statement, seen_after=SEEN_AT) for _ in range(3)]
        assert answers == [[("a", 1, SEEN_AT)]] * 3
        assert await tx.tuples(statement, seen_after=datetime.max.replace(tzinfo=UTC)) == []
        assert [await tx.scalar(statement, seen_after=SEEN_AT) for _ in range(2)] == ["a", "a"]


async def test_a_value_that_a_column_cannot_have_is_refused_both_ways(database: Database) -> None:
    statement = rows_by(things, ("seen_at", False))
    naive = datetime(2026, 1, 2)
    async with database.reading() as tx:
        for _ in range(3):
            with pytest.raises(StatementError, match="has no time zone"):
                await tx.all(Thing, statement, by_seen_at=naive)


async def test_a_broken_constraint_is_told_without_values_and_nothing_of_it_stays(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(IntegrityError) as refusal:
            async with database.transaction() as tx:
                await tx.insert(things, Thing(3, "secret"))
                await tx.insert(things, Thing(1, "secret"))
        assert "secret" not in str(refusal.value)
    async with database.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(things)) == 2


async def test_what_was_only_begun_to_be_read_holds_no_snapshot(database: Database) -> None:
    statement = select(things.c.name).order_by(things.c.id)
    for name in ("b", "c", "d"):
        async with database.transaction() as tx:
            await tx.execute(update(things).where(things.c.id == 1).values(name=name))
        async with database.reading() as tx:
            assert await tx.scalar(statement) == name


async def test_a_request_that_is_cancelled_leaves_its_connection_as_new(database: Database) -> None:
    async def write_and_wait() -> None:
        async with database.transaction() as tx:
            await tx.change(things, {"id": 1}, name="lost")
            await asyncio.Event().wait()

    for _ in range(3):
        waiting = asyncio.create_task(write_and_wait())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with database.transaction() as tx:
        assert await tx.find(Thing, things, id=1) == FIRST
