"""Programs: what a step gets and what it may answer.

A program is a module of step functions in reading order, closed by one `Program(...)`. A step reads, acts, and returns
one of four outcomes; the runner commits it once, together with the step's own writes. Every step is safe to repeat: it
may die anywhere and then runs again from its first line.

The arguments of a program are a Struct: they are checked when a task is read. Its fields have defaults, so that a task
of an earlier release can be read.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from kilonova.kit.clock import Clock
from kilonova.kit.tasks.table import NewTask, Task

ServiceT = TypeVar("ServiceT")
ArgsT = TypeVar("ArgsT", bound=Struct)

Commit = Callable[[Any], Awaitable[None]]
"""Gets the transaction, under the type the service has for it, and does the writes that belong to a step: they commit
with its outcome or not at all. Never awaits anything but the transaction."""


@dataclass(frozen=True, slots=True)
class Next:
    """Go on with `step`. `args` replace the task's; None leaves them."""

    step: Callable[..., Awaitable["Outcome"]]
    args: Struct | None = None
    commit: Commit | None = None
    note: str | None = None
    """A note on the step's result, for the trace."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Run this same step again after `seconds`. `reason` says what is waited for."""

    seconds: float
    reason: str = ""
    args: Struct | None = None
    commit: Commit | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The operation is over; in `roll_back`, it is over and has failed with the error that led there."""

    args: Struct | None = None
    commit: Commit | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """The operation cannot go on. `error` is a sentence for the user; the program rolls back if it can."""

    error: str
    args: Struct | None = None
    commit: Commit | None = None
    note: str | None = None
    """Kept with the step instead of the error."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The task has left this database with its subject, in a transaction of the step's own: another runner has it."""

    note: str


Outcome = Next | Sleep | Done | Fail | HandedOver


@dataclass(slots=True)
class Run(Generic[ServiceT, ArgsT]):
    """The task, its arguments and the service, as a step gets them."""

    task: Task
    args: ArgsT
    """The task's, decoded."""
    service: ServiceT
    clock: Clock

    @property
    def subject_id(self) -> str:
        return self.task.subject_id


Step = Callable[[Run[ServiceT, ArgsT]], Awaitable[Outcome]]
OnFailed = Callable[[Any, Task, str], Awaitable[None]]
"""(tx, task, error): puts the resource into ERROR with its reason, in the commit that ends the task."""


@dataclass(frozen=True)
class Program(Generic[ServiceT, ArgsT]):
    """One operation. The first step is where it starts; `roll_back` is reached by Fail or a missed deadline."""

    name: str
    args_type: type[ArgsT]
    steps: tuple[Step[ServiceT, ArgsT], ...]
    on_failed: OnFailed
    deadline_seconds: float
    roll_back: Step[ServiceT, ArgsT] | None = None
    roll_back_seconds: float = 300.0

    def new_task(
        self,
        subject_id: str,
        args: ArgsT | None = None,
        *,
        request_id: str = "",
        user_id: str = "",
        project_id: str = "",
    ) -> NewTask:
        return NewTask(
            program=self.name,
            step=step_name(self.steps[0]),
            subject_id=subject_id,
            deadline_seconds=self.deadline_seconds,
            args={} if args is None else msgspec.to_builtins(args),
            request_id=request_id,
            user_id=user_id,
            project_id=project_id,
        )

    def read_args(self, task: Task) -> ArgsT:
        """The task's arguments. Raises msgspec.ValidationError for what this release cannot read."""
        return msgspec.convert(task.args, self.args_type)

    def find(self, name: str) -> Step[ServiceT, ArgsT]:
        """The step of that name. Raises KeyError: the table names a step this release does not have."""
        for step in self.all_steps():
            if step_name(step) == name:
                return step
        raise KeyError(f"program {self.name} has no step {name}")

    def all_steps(self) -> tuple[Step[ServiceT, ArgsT], ...]:
        return self.steps if self.roll_back is None else (*self.steps, self.roll_back)


def step_name(step: Callable[..., Awaitable[Outcome]]) -> str:
    """A step is stored under its function's name: renaming one needs an alias for a release."""
    return step.__name__
