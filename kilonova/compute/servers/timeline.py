"""What a task keeps of times beside those of its steps: when its caller's token was issued, and what the host did when.

It stands in the task's arguments, so it lasts as long as the task and costs no statement of its own.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import update

from kilonova.compute.agent.spec import Milestone
from kilonova.compute.tables import tasks
from kilonova.compute.transactions import CellTx
from kilonova.kit.tasks import Task

TOKEN_ISSUED_AT, MILESTONES = "token_issued_at", "milestones"


class Moment(Struct, frozen=True):
    """One thing that was done, by the clock of who did it."""

    event: str
    started_at: datetime
    finished_at: datetime


def of_token(issued_at: datetime) -> dict[str, Any]:
    """Arguments for a new task."""
    return {TOKEN_ISSUED_AT: issued_at.isoformat()}


def of_host(task: Task, milestones: Iterable[Milestone]) -> dict[str, Any]:
    """Arguments for a step that has asked the host. What was known stays: an agent that was started anew finds it
    done.
    """
    new = {each.what: msgspec.to_builtins(each) for each in milestones if each.finished_at is not None}
    known = {each["what"]: each for each in task.args.get(MILESTONES, [])}
    return {MILESTONES: list({**new, **known}.values())}


FORGOTTEN: dict[str, Any] = {MILESTONES: []}
"""Arguments for a step that leaves the host."""


async def keep(tx: CellTx, task: Task, told: dict[str, Any]) -> None:
    """Arguments of the last step, whose outcome takes none."""
    if MILESTONES in told and told[MILESTONES] != task.args.get(MILESTONES):
        values = {"args": {**task.args, **told}}
        await tx.execute(update(tasks.tasks).where(tasks.tasks.c.id == task.id).values(**values))


def moments(task: Task) -> list[Moment]:
    """What is known, the earliest first."""
    found = []
    if TOKEN_ISSUED_AT in task.args:
        issued = datetime.fromisoformat(task.args[TOKEN_ISSUED_AT])
        found.append(Moment("identity_issue_token", issued, issued))
    for each in msgspec.convert(task.args.get(MILESTONES, []), list[Milestone]):
        found.append(Moment(f"compute_{each.what}", each.started_at, each.finished_at or each.started_at))
    return sorted(found, key=lambda each: each.started_at)
