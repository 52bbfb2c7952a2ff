"""Durable operations on a real database: leases, epochs, deadlines, deaths."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import Column, MetaData, String, Table, delete, insert, select

from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database, Tx
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.tasks import (
    TASKS_GONE_ON,
    Done,
    Fail,
    Next,
    Outcome,
    Program,
    Run,
    Runner,
    Sleep,
    SubjectBusy,
    Task,
    TaskTables,
    runner,
)
from kilonova.kit.tasks.runner import LEASE
from kilonova.kit.testing import CrashPlan, FakeClock, run_through, run_with_crash
from kilonova.kit.testing.crash import POINTS
from tests.databases import Databases

metadata = MetaData()
tables = TaskTables(metadata)
results = Table("results", metadata, Column("id", String(36), primary_key=True), Column("text", String(200)))


class World:
    """What steps act on: effects that, like real ones, are not undone by a rolled back commit."""

    def __init__(self) -> None:
        self.made: set[str] = set()
        self.calls: list[str] = []
        self.ready_after = 0
        self.refuse = ""
        self.note: str | None = None
        self.broken_times = 0


class MakeArgs(Struct, frozen=True):
    made: bool = False


async def make(run: Run[World, MakeArgs]) -> Outcome:
    run.service.calls.append("make")
    if run.service.broken_times:
        run.service.broken_times -= 1
        raise ConnectionError("the host is away")
    if run.service.refuse:
        return Fail(run.service.refuse, note=run.service.note)
    run.service.made.add(run.subject_id)
    return Next(wait, args=MakeArgs(made=True), note="made it")


async def wait(run: Run[World, MakeArgs]) -> Outcome:
    run.service.calls.append("wait")
    if run.task.attempt < run.service.ready_after:
        return Sleep(5, "not ready yet")
    return Next(finish)


async def finish(run: Run[World, MakeArgs]) -> Outcome:
    async def write(tx: Tx) -> None:
        await tx.execute(insert(results).values(id=run.subject_id, text="ok"))

    return Done(commit=write)


async def undo(run: Run[World, MakeArgs]) -> Outcome:
    run.service.calls.append("undo")
    run.service.made.discard(run.subject_id)
    return Done()


async def on_failed(tx: Tx, task: Task, error: str) -> None:
    await tx.execute(delete(results).where(results.c.id == task.subject_id))
    await tx.execute(insert(results).values(id=task.subject_id, text=error))


MAKE = Program("make_it", MakeArgs, (make, wait, finish), on_failed, deadline_seconds=100, roll_back=undo)
UNMAKE = Program("unmake_it", MakeArgs, (undo,), on_failed, deadline_seconds=100)
PROGRAMS = {each.name: each for each in (MAKE, UNMAKE)}


@pytest.fixture
async def database(databases: Databases, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(databases.engine.create("tasks", tmp_path), metadata)
    database.run_alone(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def begin(database: Database, clock: FakeClock, program: Program[World, MakeArgs] = MAKE) -> Task:
    async with database.transaction() as tx:
        return await tables.start(tx, program.new_task("s1", request_id="req-1"), clock.now())


async def result(database: Database) -> str | None:
    async with database.reading() as tx:
        text: str | None = await tx.scalar(select(results.c.text).where(results.c.id == "s1"))
        return text


async def the_task(database: Database) -> Task:
    async with database.reading() as tx:
        return (await tables.of_subject(tx, "s1"))[0]


def runner_for(database: Database, clock: Clock, world: World, **options: Any) -> Runner[World]:
    return Runner(database, tables, PROGRAMS, world, clock=clock, **options)


async def test_a_program_runs_to_its_end_and_leaves_its_steps(database: Database, clock: FakeClock) -> None:
    world = World()
    world.ready_after = 2
    await begin(database, clock)
    await run_through(runner_for(database, clock, world), clock)
    assert world.calls == ["make", "wait", "wait", "wait"]
    assert await result(database) == "ok"
    task = await the_task(database)
    assert (task.outcome, task.active_subject, task.args) == ("done", None, {"made": True})
    async with database.reading() as tx:
        steps = await tables.steps_of(tx, task.id)
    assert [(step.step, step.outcome, step.detail) for step in steps] == [
        ("make", "next", "made it"),
        ("wait", "next", None),
        ("finish", "done", None),
    ]


async def test_one_subject_has_one_operation_at_a_time(database: Database, clock: FakeClock) -> None:
    await begin(database, clock)
    with pytest.raises(SubjectBusy) as busy:
        await begin(database, clock)
    assert (busy.value.program, busy.value.step) == ("make_it", "make")


async def test_a_failed_step_rolls_back_and_tells_why(database: Database, clock: FakeClock) -> None:
    world = World()
    world.refuse = "there is no room"
    await begin(database, clock)
    await run_through(runner_for(database, clock, world), clock)
    assert world.calls == ["make", "undo"]
    assert await result(database) == "there is no room"
    assert (await the_task(database)).outcome == "failed"


@pytest.mark.parametrize(
    ("refuse", "passed"),
    [("", [("make", "wait", False), ("wait", "finish", False)]), ("no room", [("make", "undo", True)])],
)
async def test_each_step_that_a_task_goes_on_to_is_said(
    database: Database, clock: FakeClock, refuse: str, passed: list[tuple[str, str, bool]]
) -> None:
    said: list[Any] = []

    async def hear(gone_on: Any) -> None:
        said.extend(gone_on)

    database.on(TASKS_GONE_ON, hear)
    world, task = World(), await begin(database, clock)
    world.refuse, world.ready_after = refuse, 2
    await run_through(runner_for(database, clock, world), clock)
    assert said == [(task.id, "s1", *each) for each in passed], "a step that is run again is no other one"


@pytest.mark.parametrize("note", [None, "room: 0 of 5"])
async def test_a_failed_step_keeps_its_note_else_its_error(
    database: Database, clock: FakeClock, note: str | None
) -> None:
    world = World()
    world.refuse, world.note = "there is no room", note
    await begin(database, clock)
    await run_through(runner_for(database, clock, world), clock)
    assert await result(database) == "there is no room"
    async with database.reading() as tx:
        steps = await tables.steps_of(tx, (await the_task(database)).id)
    assert (steps[0].outcome, steps[0].detail) == ("fail", note or "there is no room")


async def test_a_step_that_raises_is_run_again(database: Database, clock: FakeClock) -> None:
    world = World()
    world.broken_times = 3
    await begin(database, clock)
    await run_through(runner_for(database, clock, world), clock)
    assert world.calls.count("make") == 4
    assert await result(database) == "ok"


async def test_what_a_step_raises_is_traced_once_as_long_as_it_is_the_same(
    database: Database, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.broken_times = 3
    await begin(database, clock)
    await run_through(runner_for(database, clock, world), clock)
    said = [(each.getMessage(), bool(each.exc_info)) for each in caplog.records if "raised" in each.getMessage()]
    assert said == [("step raised", True), ("step raised again", False), ("step raised again", False)]


async def test_a_missed_deadline_ends_in_the_last_known_reason(database: Database, clock: FakeClock) -> None:
    world = World()
    world.broken_times = 10_000
    await begin(database, clock)
    await run_through(runner_for(database, clock, world), clock)
    text = await result(database)
    assert text is not None
    assert "did not finish within 100 seconds" in text
    assert "ConnectionError: the host is away" in text
    assert world.made == set()


async def test_delete_supersedes_a_running_program_and_its_runner_loses(database: Database, clock: FakeClock) -> None:
    world = World()
    await begin(database, clock)
    runner = runner_for(database, clock, world)
    claimed = await runner.claim_one()
    assert claimed is not None
    async with database.transaction() as tx:
        newer = await tables.supersede(tx, UNMAKE.new_task("s1"), clock.now())
    assert newer.epoch > claimed.epoch
    await runner.run_task(claimed)
    assert world.calls == ["make"]
    await run_through(runner, clock)
    assert world.calls == ["make", "undo"]
    assert await result(database) is None
    assert world.made == set()


async def test_a_lapsed_lease_is_taken_over_under_a_higher_epoch(database: Database, clock: FakeClock) -> None:
    world = World()
    await begin(database, clock)
    dead = await runner_for(database, clock, world).claim_one()
    assert dead is not None
    second = runner_for(database, clock, world)
    assert await second.claim_one() is None
    clock.advance(LEASE.total_seconds() + 1)
    taken = await second.claim_one()
    assert taken is not None
    assert taken.epoch > dead.epoch


class Away:
    """The database, which can be taken away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away and name in ("transaction", "reading"):
            raise ServiceUnavailable("The database cannot be reached.")
        return getattr(self._database, name)


async def test_a_runner_goes_on_when_its_database_is_back(
    database: Database, clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    away: Any = Away(database)
    away.is_away = True
    world = World()
    working = asyncio.create_task(runner_for(away, clock, world).run())
    await asyncio.sleep(0.1)
    task = await begin(database, clock)
    away.is_away = False
    async with asyncio.timeout(10):
        while True:
            async with database.reading() as tx:
                (found,) = await tables.of_subject(tx, task.subject_id)
            if found.finished_at is not None:
                break
            await asyncio.sleep(0.02)
    working.cancel()
    assert (found.outcome, caplog.text.count("no task is run")) == ("done", 1)
    assert caplog.text.count("tasks are run again") == 1


async def test_looking_for_work_takes_no_write_lock(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    world = World()
    async with database.transaction() as tx:
        sleeping = await tables.start(tx, MAKE.new_task("later"), clock.now())
        await tables.compare_and_set(tx, sleeping, wake_at=clock.now() + timedelta(seconds=60))
    writes, working = database.writes, Runner(database, tables, PROGRAMS, world, clock=clock)
    running = asyncio.create_task(working.run())
    await asyncio.sleep(0.1)
    assert database.writes == writes
    clock.advance(61)
    async with asyncio.timeout(10):
        while "make" not in world.calls:
            await asyncio.sleep(0.01)
    assert database.writes > writes
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("leases", "earliest"),
    [([None, None], 1), ([10, None], 2), ([10, 20], 10), ([-5, 20], 1)],
    ids=["free", "one held", "both held", "lapsed"],
)
async def test_the_next_wake_is_when_a_task_may_be_claimed(
    database: Database, clock: FakeClock, leases: list[int | None], earliest: int
) -> None:
    now = clock.now()
    async with database.transaction() as tx:
        for number, lease in enumerate(leases, 1):
            task = await tables.start(tx, MAKE.new_task(f"subject-{number}"), now)
            until = None if lease is None else now + timedelta(seconds=lease)
            await tables.compare_and_set(tx, task, wake_at=now + timedelta(seconds=number), lease_until=until)
    async with database.reading() as tx:
        assert await tables.next_wake(tx) == now + timedelta(seconds=earliest)


@pytest.mark.parametrize("lasts", ["less than the lease", "longer"])
async def test_a_lease_outlives_a_database_that_is_back_in_time(
    database: Database, clock: FakeClock, lasts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LEASE", timedelta(seconds=0.6))
    away: Any = Away(database)
    claimed_by = runner_for(away, SystemClock(), World())
    await begin(database, clock)
    task = await claimed_by.claim_one()
    assert task is not None
    owner = asyncio.create_task(asyncio.sleep(3))
    keeper = asyncio.create_task(claimed_by._keep_lease(task, owner))
    away.is_away = True
    await asyncio.sleep(0.2 if lasts == "less than the lease" else 0.6)
    away.is_away = False
    await asyncio.sleep(0.3)
    assert owner.cancelled() == (lasts == "longer")
    for each in (keeper, owner):
        each.cancel()
    await asyncio.gather(keeper, owner, return_exceptions=True)


@pytest.mark.parametrize("refuse", ["", "there is no room"])
@pytest.mark.parametrize("step", ["make", "wait", "finish", "undo"])
@pytest.mark.parametrize("point", POINTS)
async def test_dying_anywhere_changes_nothing(
    database: Database, clock: FakeClock, step: str, point: Any, refuse: str
) -> None:
    world = World()
    world.refuse = refuse
    plan = CrashPlan("make_it", step, point)
    await begin(database, clock)
    await run_with_crash(
        lambda probe: runner_for(database, clock, world, **({"probe": probe} if probe else {})), clock, plan
    )
    assert plan.happened is (step in (["make", "undo"] if refuse else ["make", "wait", "finish"]))
    assert await result(database) == (refuse or "ok")
    assert world.made == (set() if refuse else {"s1"})
    assert (await the_task(database)).active_subject is None
