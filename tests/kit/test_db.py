"""Transactions, row types, paging and migrations on each engine."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, create_engine, insert, select, update
from sqlalchemy.exc import DBAPIError, StatementError

from kilonova.kit.db import Database, UtcDateTime, server_engine
from kilonova.kit.db.selections import after_marker, ordered
from kilonova.kit.db.statements import rows_among
from kilonova.kit.errors import ServiceUnavailable
from tests.databases import Databases

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(20)),
    Column("seen_at", UtcDateTime),
)


class Thing(Struct):
    id: int
    name: str | None = None
    seen_at: datetime | None = None


@pytest.fixture
async def database(databases: Databases, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(databases.engine.create("things", tmp_path), metadata)
    database.run_alone(metadata.create_all)
    yield database
    await database.close()


async def test_an_exception_rolls_everything_back(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction() as tx:
            await tx.insert(things, Thing(1, "a"))
            raise RuntimeError
    async with database.reading() as tx:
        assert await tx.all(Thing, select(things)) == []


async def test_what_follows_a_commit_happens_once_and_only_after_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[frozenset[str], int]] = []

    async def look(about: frozenset[str]) -> None:
        async with database.reading() as tx:
            seen.append((about, len(await tx.all(Thing, select(things)))))

    async def fail(_about: frozenset[str]) -> None:
        raise ConnectionError("the broker is away")

    database.on("things are there", fail)
    database.on("things are there", look)
    async with database.transaction() as tx:
        tx.after("things are there", "a")
        await tx.insert(things, Thing(1, "a"))
        tx.after("things are there", "a", "b")
        assert seen == []
    assert seen == [(frozenset({"a", "b"}), 1)]
    assert "what follows a commit failed" in caplog.text
    with pytest.raises(RuntimeError):
        async with database.transaction() as tx:
            tx.after("things are there")
            raise RuntimeError
    async with database.transaction() as tx:
        tx.after("what nobody acts on")
    assert len(seen) == 1


async def test_a_statement_that_is_made_once_is_asked_with_other_values(database: Database) -> None:
    async with database.transaction() as tx:
        for number, name in enumerate(("a", "b", "b"), 1):
            await tx.insert(things, Thing(number, name))
    named = select(things).where(things.c.name == bindparam("name")).order_by(things.c.id)
    of_ids = select(things.c.id).where(things.c.id.in_(bindparam("ids", expanding=True))).order_by(things.c.id)
    async with database.reading() as tx:
        assert [each.id for each in await tx.all(Thing, named, name="b")] == [2, 3]
        assert await tx.first(Thing, named, name="a") == Thing(1, "a")
        assert await tx.first(Thing, named, name="c") is None
        assert await tx.tuples(of_ids, ids=[3, 1, 5]) == [(1,), (3,)]
        assert await tx.tuples(of_ids, ids=[]) == []
        assert await tx.scalar(named, name="b") == 2


async def test_insert_new_says_whether_it_inserted(database: Database) -> None:
    async with database.transaction() as tx:
        assert await tx.insert_new(things, Thing(1, "a"))
        assert not await tx.insert_new(things, Thing(1, "b"))
        assert await tx.first(Thing, select(things)) == Thing(1, "a")


async def test_rows_are_found_changed_and_removed_by_their_columns(database: Database) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    async with database.transaction() as tx:
        for row in (Thing(1, "a"), Thing(2, "a", now), Thing(3, None), Thing(4, None)):
            await tx.insert(things, row)
    async with database.transaction() as tx:
        assert await tx.find(Thing, things, id=2) == Thing(2, "a", now)
        assert await tx.find(Thing, things, id=2, name="b") is None
        assert await tx.find(Thing, things, id=3, name=None) == Thing(3)
        assert sorted(each.id for each in await tx.find_all(Thing, things, name="a")) == [1, 2]
        assert sorted(each.id for each in await tx.all(Thing, rows_among(things, "id"), id=[1, 3, 9])) == [1, 3]
        assert await tx.all(Thing, rows_among(things, "id"), id=[]) == []
    async with database.transaction() as tx:
        # A column may be both what is asked for and what is written.
        assert await tx.change(things, {"id": 1, "name": "a"}, name="b", seen_at=now) == 1
        assert await tx.change(things, {"id": 1, "name": "a"}, name="c") == 0
        assert await tx.change(things, {"name": None}, seen_at=now) == 2
        # A value may be computed by the database, beside others.
        assert await tx.change(things, {"id": 2}, name=things.c.name + "!", seen_at=None) == 1
        assert await tx.find(Thing, things, id=2) == Thing(2, "a!")
        assert await tx.change(things, {"id": 2}, name="a", seen_at=now) == 1
        assert await tx.remove(things, name=None, seen_at=now) == 2
        assert await tx.all(Thing, select(things).order_by(things.c.id)) == [Thing(1, "b", now), Thing(2, "a", now)]


async def test_a_change_has_to_say_of_which_rows_and_what(database: Database) -> None:
    async with database.transaction() as tx:
        with pytest.raises(ValueError, match="which rows of things is not said"):
            await tx.change(things, {}, name="b")
        with pytest.raises(ValueError, match="which rows of things is not said"):
            await tx.remove(things)
        with pytest.raises(ValueError, match="nothing to change in things"):
            await tx.change(things, {"id": 1})


async def test_times_come_back_aware_and_naive_ones_are_refused(database: Database) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    async with database.transaction() as tx:
        await tx.insert(things, Thing(1, "a", moment))
        assert (await tx.all(Thing, select(things)))[0].seen_at == moment
        with pytest.raises(StatementError, match="no time zone"):
            await tx.execute(update(things).values(seen_at=datetime(2026, 1, 1)))


async def test_two_writers_take_turns_without_holding_the_loop(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.insert(things, Thing(1, "0"))

    async def increment(_: int) -> None:
        async with database.transaction() as tx:
            row = await tx.first(Thing, select(things))
            assert row is not None
            assert row.name is not None
            await asyncio.sleep(0)
            await tx.execute(update(things).values(name=str(int(row.name) + 1)))

    await asyncio.gather(*map(increment, range(50)))
    async with database.reading() as tx:
        assert await tx.scalar(select(things.c.name)) == "50"


async def test_any_number_of_readers_at_once_hold_nobody_up(database: Database) -> None:
    everyone_in = asyncio.Event()
    inside = 0
    # A server's connections are many, but not without end.
    readers = 60 if database.url.get_backend_name() == "sqlite" else 20

    async def read() -> None:
        nonlocal inside
        async with database.reading() as tx:
            await tx.all(Thing, select(things))
            inside += 1
            if inside == readers:
                everyone_in.set()
            await everyone_in.wait()

    async with asyncio.timeout(5):
        await asyncio.gather(*(read() for _ in range(readers)))


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    await Database(f"sqlite:///{tmp_path}/new/secret.db", metadata).close()
    assert (tmp_path / "new/secret.db").stat().st_mode & 0o777 == 0o600


def test_a_database_that_is_not_served_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="oracle"):
        Database("oracle://x", metadata)


rows_strategy = st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=rows_strategy, direction=st.sampled_from(["asc", "desc"]), limit=st.integers(1, 5))
def test_pages_put_together_are_the_whole_list(names: list[str | None], direction: str, limit: int) -> None:
    sorts = [(things.c.name, direction), (things.c.id, direction)]
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        for number, name in enumerate(names):
            connection.execute(insert(things).values(id=number, name=name))
        whole = [row.id for row in connection.execute(ordered(select(things), sorts))]
        paged: list[int] = []
        statement = ordered(select(things), sorts).limit(limit)
        while page := connection.execute(statement).all():
            paged += [row.id for row in page]
            marker = after_marker(sorts, [page[-1].name, page[-1].id])
            statement = ordered(select(things).where(marker), sorts).limit(limit)
    engine.dispose()
    assert paged == whole
    assert sorted(paged) == list(range(len(names)))


@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql"])
async def test_a_server_that_is_not_there_is_503_and_named(scheme: str) -> None:
    database = Database(f"{scheme}://nova:secret@127.0.0.1:1/nova", metadata)
    for opened in (database.transaction(), database.reading()):
        with pytest.raises(ServiceUnavailable, match=f"{scheme.partition('+')[0]} on 127.0.0.1") as caught:
            async with opened:
                raise AssertionError("nobody is there")
        assert "secret" not in str(caught.value)
        assert "Retry-After" in caught.value.headers
    await database.close()


async def test_writers_take_turns_and_each_sees_what_the_last_one_wrote(database: Database) -> None:
    second = Database(database.url.render_as_string(hide_password=False), metadata)

    async def add(one: Database) -> None:
        async with one.transaction() as tx:
            seen = len(await tx.all(Thing, select(things)))
            await asyncio.sleep(0)
            await tx.insert(things, Thing(id=seen + 1))

    if database.url.get_backend_name() == "sqlite":
        # Two connections of one loop would wait for each other: SQLite's lock is waited for inside it.
        await asyncio.gather(*(add(database) for _ in range(10)))
    else:
        await asyncio.gather(*(add(one) for one in (database, second) * 5))
    async with database.reading() as tx:
        assert sorted(each.id for each in await tx.all(Thing, select(things))) == list(range(1, 11))
    await second.close()


class Refused(Exception):
    sqlstate: str | None = None


@pytest.mark.parametrize(
    ("arguments", "sqlstate", "gone"),
    [
        ((2013, "Lost connection"), None, True),
        ((1927, "Connection was killed"), "70100", True),
        ((1053, "Server shutdown in progress"), "08S01", True),
        ((1062, "Duplicate entry"), "23000", False),
        (("terminating connection",), "57P01", True),
        (("duplicate key",), "23505", False),
        ((), None, False),
    ],
)
def test_what_a_server_says_as_it_goes_is_told_from_a_refusal(
    arguments: tuple[object, ...], sqlstate: str | None, gone: bool
) -> None:
    refused = Refused(*arguments)
    refused.sqlstate = sqlstate
    assert server_engine._is_gone(DBAPIError("", {}, refused)) == gone
