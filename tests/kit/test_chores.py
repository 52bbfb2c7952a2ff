"""What is done now and then: by every process, or by one of many."""

import ast
import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import MetaData

import kilonova
from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.db import Database
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.tasks import ChoreTable, SharedChoreKeeper
from kilonova.kit.tasks.chores import LEASE
from kilonova.kit.testing import FakeClock
from tests.databases import Databases

metadata = MetaData()
table = ChoreTable(metadata)


class Work:
    """A chore that notes what it was told, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[datetime | None] = []
        self.failures = failures
        self.chore = Chore("dust", 60, self.do)

    async def do(self, last: datetime | None) -> None:
        self.told.append(last)
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("The broom is away.")


@pytest.fixture
async def database(databases: Databases, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(databases.engine.create("chores", tmp_path), metadata)
    made.run_alone(metadata.create_all)
    yield made
    await made.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def keeper(work: Work, clock: FakeClock, database: Database) -> SharedChoreKeeper:
    return SharedChoreKeeper([work.chore], clock, database, table)


async def test_one_process_of_many_does_a_chore_each_time_it_is_due(database: Database, clock: FakeClock) -> None:
    one, other = Work(), Work()
    keepers = [(keeper(each, clock, database), each.chore) for each in (one, other)]
    began = clock.now()
    for _ in range(3):
        for each, chore in keepers:
            await each.take_turn(chore)
    assert (one.told, other.told) == ([None], [])
    clock.advance(61)
    for each, chore in reversed(keepers):
        await each.take_turn(chore)
    assert (one.told, other.told) == ([None], [began])


async def test_what_fails_is_done_again_and_not_counted_as_done(database: Database, clock: FakeClock) -> None:
    work = Work(failures=1)
    each, began = keeper(work, clock, database), clock.now()
    for _ in range(3):
        await each.take_turn(work.chore)
        clock.advance(61)
    assert work.told == [None, None, began + timedelta(seconds=61)]


async def test_a_process_that_dies_keeps_a_chore_for_one_lease(database: Database, clock: FakeClock) -> None:
    async with database.transaction() as tx:
        assert await table.claim(tx, "dust", "a process that dies", clock.now()) is not None
    work = Work()
    each = keeper(work, clock, database)
    assert 0 < await each.take_turn(work.chore) <= 60
    assert work.told == []
    clock.advance(LEASE.total_seconds() + 1)
    await each.take_turn(work.chore)
    assert work.told == [None]


async def test_a_lease_that_lapsed_is_not_given_back_for_who_has_it_now(database: Database, clock: FakeClock) -> None:
    async with database.transaction() as tx:
        slow = await table.claim(tx, "dust", "slow", clock.now())
    clock.advance(LEASE.total_seconds() + 1)
    async with database.transaction() as tx:
        assert await table.claim(tx, "dust", "quick", clock.now()) is not None
        assert not await table.renew(tx, "dust", "slow", clock.now())
        assert slow is not None
        await table.finish(tx, slow, clock.now(), clock.now())
        row = await table.find(tx, "dust")
    assert row is not None
    assert (row.holder, row.done_at) == ("quick", None)


async def test_looking_takes_no_write_lock(database: Database, clock: FakeClock) -> None:
    work = Work()
    each = keeper(work, clock, database)
    await each.take_turn(work.chore)
    writes = database.writes
    for _ in range(5):
        await each.take_turn(work.chore)
    assert database.writes == writes


async def test_a_chore_of_every_process_is_done_at_once_and_over_and_over(clock: FakeClock) -> None:
    work = Work(failures=2)
    running = asyncio.create_task(ChoreKeeper([work.chore], clock).run())
    async with asyncio.timeout(5):
        while len(work.told) < 5:
            await asyncio.sleep(0)
    running.cancel()
    assert work.told[:3] == [None, None, None]
    assert None not in work.told[3:]


THEIR_OWN = {
    "compute/agent/drivers/connection.py": "libvirt's event loop, in its thread",
    "compute/agent/drivers/libvirtd_sandbox.py": "a process of its own that waits for its children",
    "compute/notifications/notifier.py": "is woken by what it publishes, and waits for a broker",
    "kit/agents/agent.py": "the agent's passes",
    "kit/chores.py": "what does the chores",
    "kit/loop_lag.py": "measures the loop it runs on",
    "kit/tasks/runner.py": "what runs tasks",
    "network/events.py": "is woken by what it sends",
}
"""File with a loop without an end → why that is no chore."""


def test_nobody_else_loops_for_ever() -> None:
    (root,) = kilonova.__path__
    looping = {
        str(path.relative_to(root))
        for path in Path(root).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if _is_endless(node)
    }
    assert looping == set(THEIR_OWN)


def _is_endless(node: ast.AST) -> bool:
    if not (isinstance(node, ast.While) and isinstance(node.test, ast.Constant)):
        return False
    inside = [each for statement in node.body for each in ast.walk(statement)]
    return not any(isinstance(each, ast.Break | ast.Return | ast.Raise) for each in inside)
