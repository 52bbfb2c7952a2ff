"""The runner: claims due tasks, runs their steps, commits each outcome once.

The database is the queue. A wake-up only shortens the wait; lost, it costs a second. A runner that dies leaves leases
behind: when they lapse, another claims the task under a higher epoch and runs the same step again.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic

import msgspec
from msgspec import Struct

from kilonova.kit import tracing
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database, Tx
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import bound, logger
from kilonova.kit.metrics import deadlines_missed, step_seconds, steps
from kilonova.kit.tasks.programs import Done, Fail, HandedOver, Next, Outcome, Program, Run, ServiceT, Sleep, step_name
from kilonova.kit.tasks.table import Task, TaskTables

log = logger(__name__)

LEASE = timedelta(seconds=15)
"""How long a runner that died keeps its tasks from others; one that lives renews it six times as often."""
POLL_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0

Probe = Callable[[str, Task], None]
"""(point, task): called at `before_effect`, `after_effect` and `after_commit`. The crash harness dies in it."""


def _no_probe(_point: str, _task: Task) -> None:
    return None


@dataclass(frozen=True, slots=True)
class _Retry:
    """A step that raised: to be run again after a pause."""

    reason: str


_OUTCOMES: dict[type, str] = {
    Next: "next",
    Sleep: "sleep",
    Done: "done",
    Fail: "fail",
    HandedOver: "handed_over",
    _Retry: "retry",
}


class LostTask(Exception):
    """Another runner, or a superseding task, owns this task now: what this one did is no longer wanted."""


class Runner(Generic[ServiceT]):
    """Runs the programs of one service. `sole_runner`: no other process runs tasks on this database."""

    def __init__(
        self,
        database: Database,
        tables: TaskTables,
        programs: Mapping[str, Program[ServiceT, Any]],
        service: ServiceT,
        *,
        clock: Clock | None = None,
        concurrency: int = 16,
        sole_runner: bool = False,
        probe: Probe = _no_probe,
    ) -> None:
        self.database = database
        self.tables = tables
        self.programs = programs
        self.service = service
        self.clock = clock or SystemClock()
        self._concurrency = concurrency
        self._sole_runner = sole_runner
        self._probe = probe
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], str] = {}
        self._has_database = True

    def wake(self) -> None:
        """There may be something due: look now instead of at the next poll."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled; steps under way are cancelled with it and run again by the next runner."""
        if self._sole_runner:
            async with self.database.transaction() as tx:
                await self.tables.drop_leases(tx)
        try:
            while True:
                self._woken.clear()
                try:
                    await self._take_turn()
                except ServiceUnavailable as fault:
                    self._say_database(fault)
                    await asyncio.sleep(random.uniform(0.5, 1.5) * POLL_SECONDS)  # noqa: S311 - jitter, not a secret
        finally:
            for running in self._running:
                running.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _say_database(self, fault: ServiceUnavailable | None) -> None:
        """Once when it goes away, once when it is back."""
        if fault is not None and self._has_database:
            log.warning("no task is run: the database cannot be reached", reason=fault.message)
        if fault is None and not self._has_database:
            log.info("tasks are run again: the database is back")
        self._has_database = fault is None

    def abandon(self, subject_id: str) -> None:
        """Stops what this process runs for a subject whose task was superseded: its commit would be refused anyway."""
        for running, subject in list(self._running.items()):
            if subject == subject_id:
                running.cancel()

    async def _take_turn(self) -> None:
        """Starts what is due, or waits until something may be. Looking takes no write lock."""
        async with self.database.reading() as tx:
            next_wake = await self.tables.next_wake(tx)
        self._say_database(None)
        free = self._concurrency - len(self._running)
        if free <= 0:
            # Whatever ends wakes this up.
            next_wake = None
        elif next_wake is not None and next_wake <= self.clock.now() and await self._start_due(free):
            return
        await self._wait(next_wake)

    async def _wait(self, next_wake: datetime | None) -> None:
        seconds = POLL_SECONDS
        if next_wake is not None:
            seconds = min(seconds, max((next_wake - self.clock.now()).total_seconds(), 0.01))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _start_due(self, limit: int) -> bool:
        """Returns whether it started anything: other runners may have taken all that was due."""
        async with self.database.transaction() as tx:
            claimed = await self.tables.claim(tx, self.clock.now(), LEASE, limit)
        for task in claimed:
            running = asyncio.create_task(self.run_task(task))
            self._running[running] = task.subject_id
            running.add_done_callback(self._finished)
        return bool(claimed)

    def _finished(self, running: asyncio.Task[None]) -> None:
        self._running.pop(running, None)
        if not running.cancelled() and (error := running.exception()) is not None:
            # Not a step's failure, those are kept in the task: the task waits for its lease to lapse.
            log.error("a task could not be run", error=repr(error))
        self.wake()

    async def claim_one(self) -> Task | None:
        """One due task, for tests and for runners that work one at a time."""
        async with self.database.transaction() as tx:
            claimed = await self.tables.claim(tx, self.clock.now(), LEASE, 1)
        return claimed[0] if claimed else None

    async def run_task(self, task: Task) -> None:
        """Runs a claimed task until it sleeps, ends, or is lost."""
        with bound(task=task.id, subject=task.subject_id, program=task.program, request_id=task.request_id):
            keeper = asyncio.create_task(self._keep_lease(task, asyncio.current_task()))
            try:
                current: Task | None = task
                while current is not None:
                    current = await self._run_step(current)
            except LostTask:
                log.info("task went to another owner", step=task.step)
            finally:
                keeper.cancel()

    async def _keep_lease(self, task: Task, owner: "asyncio.Task[None] | None") -> None:
        """Renews the lease well before it ends; cancels the owner when it cannot, before another runner may start."""
        pause = LEASE / 6
        until = self.clock.now() + LEASE
        while True:
            await asyncio.sleep(pause.total_seconds())
            renewed = self.clock.now() + LEASE
            try:
                async with self.database.transaction() as tx:
                    is_kept = await self.tables.compare_and_set(tx, task, lease_until=renewed) is not None
                until = renewed if is_kept else until
            except ServiceUnavailable:
                # It may be back before another runner could start.
                is_kept = self.clock.now() + 2 * pause < until
            if not is_kept:
                if owner is not None:
                    owner.cancel()
                return

    async def _run_step(self, task: Task) -> Task | None:
        """Runs one step and commits it. Returns the task when it goes straight on."""
        program = self.programs[task.program]
        self._probe("before_effect", task)
        began = time.perf_counter()
        outcome = await self._take_step(program, task)
        step_seconds.labels(program.name, task.step).observe(time.perf_counter() - began)
        steps.labels(program.name, task.step, _OUTCOMES[type(outcome)]).inc()
        self._probe("after_effect", task)
        if isinstance(outcome, HandedOver):
            log.info("task was handed over", step=task.step, reason=outcome.note)
            self._probe("after_commit", task)
            return None
        after = await self._commit(program, task, outcome)
        self._probe("after_commit", after)
        waits = isinstance(outcome, Sleep | _Retry) or after.finished_at is not None
        return None if waits else after

    async def _take_step(self, program: Program[ServiceT, Any], task: Task) -> Outcome | _Retry:
        step = program.find(task.step)
        if self.clock.now() >= task.deadline_at:
            deadlines_missed.labels(program.name).inc()
            return Fail(_missed_deadline(program, task))
        try:
            args = program.read_args(task)
        except msgspec.ValidationError as error:
            return Fail(f"This release cannot read the arguments of {program.name}: {error}")
        try:
            with tracing.span(
                f"{program.name}.{task.step}",
                "internal",
                kilonova_subject=task.subject_id,
                kilonova_request=task.request_id,
            ):
                return await step(Run(task, args, self.service, self.clock))
        except Exception as error:
            # Whatever a step meets, the task survives it: it is run again until its deadline names the reason.
            retry = _Retry(f"{type(error).__name__}: {error}")
            if retry.reason == task.error:
                log.warning("step raised again", step=task.step, attempt=task.attempt, reason=retry.reason)
            else:
                log.exception("step raised", step=task.step, attempt=task.attempt)
            return retry

    async def _commit(
        self, program: Program[ServiceT, Any], task: Task, outcome: Next | Sleep | Done | Fail | _Retry
    ) -> Task:
        now = self.clock.now()
        async with self.database.transaction() as tx:
            if isinstance(outcome, _Retry):
                return await self._pause(tx, task, _backoff_seconds(task.attempt), outcome.reason)
            if isinstance(outcome, Sleep):
                args = _stored(task, outcome.args)
                after = await self._pause(tx, task, outcome.seconds, outcome.reason or None, args=args)
            elif isinstance(outcome, Next):
                await self.tables.leave_step(tx, task, now, "next", outcome.note)
                after = await self._enter(tx, task, step_name(outcome.step), args=_stored(task, outcome.args))
            elif isinstance(outcome, Fail):
                after = await self._fail(tx, program, task, outcome)
            else:
                after = await self._finish(tx, program, task, outcome)
            if outcome.commit is not None:
                await outcome.commit(tx)
        log.info("step", left=task.step, outcome=type(outcome).__name__, now=after.step)
        return after

    async def _fail(self, tx: Tx, program: Program[ServiceT, Any], task: Task, outcome: Fail) -> Task:
        now = self.clock.now()
        await self.tables.leave_step(tx, task, now, "fail", outcome.note or outcome.error)
        log.warning("operation failed", step=task.step, reason=outcome.error)
        args = _stored(task, outcome.args)
        if program.roll_back is not None and not task.rolling_back:
            deadline = now + timedelta(seconds=program.roll_back_seconds)
            return await self._enter(
                tx,
                task,
                step_name(program.roll_back),
                args=args,
                error=outcome.error,
                rolling_back=True,
                deadline_at=deadline,
            )
        error = f"{task.error}; then {outcome.error}" if task.rolling_back and task.error else outcome.error
        return await self._end(tx, program, task, error, args)

    async def _finish(self, tx: Tx, program: Program[ServiceT, Any], task: Task, outcome: Done) -> Task:
        await self.tables.leave_step(tx, task, self.clock.now(), "done", outcome.note)
        args = _stored(task, outcome.args)
        error = (task.error or "the operation failed") if task.rolling_back else None
        return await self._end(tx, program, task, error, args)

    async def _end(
        self, tx: Tx, program: Program[ServiceT, Any], task: Task, error: str | None, args: dict[str, Any]
    ) -> Task:
        ended = await self._set(
            tx,
            task,
            finished_at=self.clock.now(),
            active_subject=None,
            lease_until=None,
            outcome="done" if error is None else "failed",
            error=error,
            args=args,
        )
        if error is not None:
            await program.on_failed(tx, ended, error)
        return ended

    async def _pause(self, tx: Tx, task: Task, seconds: float, reason: str | None, **values: object) -> Task:
        # While rolling back, `error` stays why the operation failed, not what the clean-up waits for.
        error = task.error if task.rolling_back else reason
        wake_at = self.clock.now() + timedelta(seconds=seconds)
        return await self._set(
            tx, task, wake_at=wake_at, lease_until=None, attempt=task.attempt + 1, error=error, **values
        )

    async def _enter(self, tx: Tx, task: Task, step: str, **values: object) -> Task:
        now = self.clock.now()
        values = {"error": task.error if task.rolling_back else None, **values}
        return await self._set(tx, task, step=step, step_started_at=now, wake_at=now, attempt=0, **values)

    async def _set(self, tx: Tx, task: Task, **values: object) -> Task:
        after = await self.tables.compare_and_set(tx, task, **values)
        if after is None:
            raise LostTask(task.id)
        return after


def _stored(task: Task, args: Struct | None) -> dict[str, Any]:
    """The arguments as the table has them: new ones, or what is there."""
    if args is None:
        return task.args
    stored: dict[str, Any] = msgspec.to_builtins(args)
    return stored


def _missed_deadline(program: Program[ServiceT, Any], task: Task) -> str:
    allowed = program.roll_back_seconds if task.rolling_back else program.deadline_seconds
    waiting = "" if task.rolling_back or not task.error else f" The last that was known: {task.error}"
    return f"{program.name} did not finish within {allowed:g} seconds; it was at step {task.step}.{waiting}"


def _backoff_seconds(attempt: int) -> float:
    """Doubles from half a second; jitter keeps many tasks that failed together from returning together."""
    ceiling = min(0.5 * 2 ** min(attempt, 10), LONGEST_BACKOFF_SECONDS)
    return float(ceiling * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
