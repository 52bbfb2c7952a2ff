"""What a task keeps of times beside those of its steps: when its caller's token was issued, and what the host did when.

It stands in the task's arguments, so it lasts as long as the task and costs no statement of its own.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

from kilonova.compute.agent.spec import Milestone
from kilonova.kit.auth import RequestContext
from kilonova.kit.tasks import NewTask, Program, Task


class ServerArgs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The arguments that every operation on a server has."""

    token_issued_at: datetime | None = None
    """When the token of the caller was issued."""
    milestones: tuple[Milestone, ...] = ()
    """The host's work, the earliest first."""


ArgsT = TypeVar("ArgsT", bound=ServerArgs)


class Moment(Struct, frozen=True):
    """One thing that was done, by the clock of who did it."""

    event: str
    started_at: datetime
    finished_at: datetime


def task_of(ctx: RequestContext, request_id: str, program: Program[Any, ArgsT], server_id: str, args: ArgsT) -> NewTask:
    """The program's task for a server, in the name of a caller."""
    return program.new_task(
        server_id,
        structs.replace(args, token_issued_at=ctx.issued_at),
        request_id=request_id,
        user_id=ctx.user_id,
        project_id=ctx.project_id or "",
    )


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
