"""The crash harness: dies at a named point of a named step, then lets a fresh runner find what is left.

For every step of every program there are three deaths: before its effect, after the effect but before the commit, and
after the commit. A fourth kind lies inside the effect: right after any of the calls a step makes to another service or
to an agent. The end must be the same as without the death, or an ERROR with a reason.
"""

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass, field
from typing import Any, Literal

from kilonova.kit.tasks.runner import LEASE, Runner
from kilonova.kit.tasks.table import Task
from kilonova.kit.testing.clock import FakeClock

Point = Literal["before_effect", "after_effect", "after_commit"]
POINTS: tuple[Point, ...] = ("before_effect", "after_effect", "after_commit")


class Crashed(BaseException):
    """The process died here. Not an Exception: nothing a step does can catch a kill -9."""


@dataclass
class CrashPlan:
    """Dies once, the first time `program`'s `step` reaches `point`."""

    program: str
    step: str
    point: Point
    happened: bool = False
    _left: str | None = field(default=None, repr=False)

    def __call__(self, point: str, task: Task) -> None:
        # After the commit the task already stands at its next step: the step meant is the one just left.
        at = self._left if point == "after_commit" else task.step
        if point != "after_commit":
            self._left = task.step
        if not self.happened and (task.program, at, point) == (self.program, self.step, self.point):
            self.happened = True
            raise Crashed(f"{self.program}.{self.step} {self.point}")


@dataclass
class CallPlan:
    """Dies once, when the `number`th call of a step has been answered: the effect is there, the answer is lost."""

    number: int
    made: int = 0

    @property
    def happened(self) -> bool:
        return self.made >= self.number

    def count(self, name: str) -> None:
        self.made += 1
        if self.made == self.number:
            raise Crashed(f"after call {self.number}, {name}")


class MortalCaller:
    """Stands for a client of another service, or of the agents: passes every call on, and tells the plan of it.

    It does not tell of `reads`: to die after a call that changes nothing is to die after whatever came before it.
    """

    def __init__(self, caller: object, plan: CallPlan, reads: Container[str] = ()) -> None:
        self._caller = caller
        self._plan = plan
        self._reads = reads

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method: Callable[..., Awaitable[Any]] = getattr(self._caller, name)
        if name in self._reads:
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            try:
                return await method(*arguments, **named)
            finally:
                self._plan.count(name)

        return call


MakeRunner = Callable[[CrashPlan | None], Runner[Any]]


async def nothing() -> None:
    return None


async def run_through(
    runner: Runner[Any], clock: FakeClock, *, tick: Callable[[], Awaitable[None]] = nothing, most_steps: int = 500
) -> None:
    """Runs every task to its end, turning the clock to the next wake-up whenever nothing is due.

    `tick` is called before each turn: what agents would do in the meantime.
    """
    for _ in range(most_steps):
        await tick()
        task = await runner.claim_one()
        if task is not None:
            await runner.run_task(task)
            continue
        async with runner.database.reading() as tx:
            wake_at = await runner.tables.next_wake(tx)
        if wake_at is None:
            return
        clock.advance(max((wake_at - clock.now()).total_seconds(), 0) + 0.001)
    raise AssertionError(f"tasks are still running after {most_steps} turns")


async def run_with_crash(
    make_runner: MakeRunner,
    clock: FakeClock,
    plan: CrashPlan,
    *,
    tick: Callable[[], Awaitable[None]] = nothing,
) -> None:
    """Runs until the planned death, then goes on with a runner made afresh once the dead one's lease has lapsed."""
    try:
        await run_through(make_runner(plan), clock, tick=tick)
    except Crashed:
        clock.advance(LEASE.total_seconds() + 1)
        await run_through(make_runner(None), clock, tick=tick)
