"""What a task keeps of times beside those of its steps: when its caller's token was issued, and what the host did when.

It stands in the task's arguments, so it lasts as long as the task and costs no statement of its own.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from kilonova.compute.agent.spec import Milestone
from kilonova.kit.tasks import Task


class ServerArgs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The arguments that every operation on a server has."""

    token_issued_at: datetime | None = None
    """When the token of the caller was issued."""
    milestones: tuple[Milestone, ...] = ()
    """What the host did, the earliest first."""


ArgsT = TypeVar("ArgsT", bound=ServerArgs)


class Moment(Struct, frozen=True):
    """One thing that was done, by the clock of who did it."""

    event: str
    started_at: datetime
    finished_at: datetime


def with_milestones(args: ArgsT, milestones: Iterable[Milestone]) -> ArgsT:
    """Returns the arguments of a step that has asked the host. What was known stays: an agent that was started anew
    finds it done.
    """
    new = {each.what: each for each in milestones if each.finished_at is not None}
    known = {each.what: each for each in args.milestones}
    return structs.replace(args, milestones=tuple({**new, **known}.values()))


def moments(task: Task) -> list[Moment]:
    """What is known, the earliest first."""
    args = msgspec.convert(task.args, ServerArgs)
    found = []
    if args.token_issued_at is not None:
        found.append(Moment("identity_issue_token", args.token_issued_at, args.token_issued_at))
    for each in args.milestones:
        found.append(Moment(f"compute_{each.what}", each.started_at, each.finished_at or each.started_at))
    return sorted(found, key=lambda each: each.started_at)
