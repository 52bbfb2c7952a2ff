"""The task table: one row an operation, and one row for each step it has left behind.

A service adds both tables to its own metadata, so that a resource's change and its task commit together. The unique
`active_subject` makes "one operation at a time" a constraint: it holds the subject's id while the task runs and NULL
afterwards (a partial index would say the same, but MariaDB has none).
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    case,
    func,
    select,
    update,
)

from kilonova.kit.db import Tx, UtcDateTime

TASKS_DUE = "tasks are due"
"""A commit's effect: there may be something for a runner. About the subjects whose running task was ended."""

TASKS_BEGUN, TASKS_OVER = "tasks have begun", "tasks are over"
"""Effects of a commit, each about (task, subject). One that was superseded is not over: it gave way to another."""

TASKS_GONE_ON = "tasks have gone on"
"""Effect of a commit; about (task, subject, the step left, the step entered, whether that is its way back)."""


class Task(Struct, kw_only=True):
    id: str
    program: str
    step: str
    subject_id: str
    active_subject: str | None
    args: dict[str, Any]
    epoch: int
    """Raised by every claim. Agents refuse calls that carry an older one: a runner thought dead can do no harm."""
    attempt: int
    """How often the present step has been tried without leaving it."""
    wake_at: datetime
    lease_until: datetime | None
    deadline_at: datetime
    step_started_at: datetime
    error: str | None
    """Why the operation failed, or what the present step is waiting for; shown to users."""
    rolling_back: bool
    request_id: str
    user_id: str
    project_id: str
    created_at: datetime
    finished_at: datetime | None
    outcome: str | None
    """`done`, `failed` or `superseded` once finished."""


class TaskStep(Struct, kw_only=True):
    """One step left behind: what `trace` and `os-instance-actions` show."""

    id: str
    task_id: str
    position: int
    step: str
    attempt: int
    started_at: datetime
    finished_at: datetime
    outcome: str
    detail: str | None


class NewTask(Struct, kw_only=True):
    program: str
    step: str
    subject_id: str
    deadline_seconds: float
    args: dict[str, Any] = {}
    request_id: str = ""
    user_id: str = ""
    project_id: str = ""


class SubjectBusy(Exception):
    """The subject is under another operation. `program` and `step` name it."""

    def __init__(self, program: str, step: str) -> None:
        super().__init__(f"another operation is under way: {program} ({step})")
        self.program = program
        self.step = step


class TaskTables:
    """Both tables of one service, and the statements on them."""

    def __init__(self, metadata: MetaData) -> None:
        self.tasks = Table(
            "tasks",
            metadata,
            Column("id", String(36), primary_key=True),
            Column("program", String(64), nullable=False),
            Column("step", String(64), nullable=False),
            Column("subject_id", String(36), nullable=False),
            Column("active_subject", String(36), unique=True),
            Column("args", JSON, nullable=False),
            Column("epoch", Integer, nullable=False),
            Column("attempt", Integer, nullable=False),
            Column("wake_at", UtcDateTime, nullable=False),
            Column("lease_until", UtcDateTime),
            Column("deadline_at", UtcDateTime, nullable=False),
            Column("step_started_at", UtcDateTime, nullable=False),
            Column("error", Text),
            Column("rolling_back", Boolean, nullable=False),
            Column("request_id", String(64), nullable=False),
            Column("user_id", String(64), nullable=False),
            Column("project_id", String(64), nullable=False),
            Column("created_at", UtcDateTime, nullable=False),
            Column("finished_at", UtcDateTime),
            Column("outcome", String(16)),
            Index("tasks_subject", "subject_id"),
            Index("tasks_due", "finished_at", "wake_at"),
        )
        self.steps = Table(
            "task_steps",
            metadata,
            Column("id", String(36), primary_key=True),
            Column("task_id", String(36), nullable=False, index=True),
            Column("position", Integer, nullable=False),
            Column("step", String(64), nullable=False),
            Column("attempt", Integer, nullable=False),
            Column("started_at", UtcDateTime, nullable=False),
            Column("finished_at", UtcDateTime, nullable=False),
            Column("outcome", String(16), nullable=False),
            Column("detail", Text),
        )
        self._make_statements()

    def _make_statements(self) -> None:
        """Those that are run for every step of every task; made once."""
        table = self.tasks.c
        is_unfinished = table.finished_at.is_(None)
        claimable_at = case((table.lease_until > table.wake_at, table.lease_until), else_=table.wake_at)
        now = bindparam("now", type_=UtcDateTime)
        is_free = table.lease_until.is_(None) | (table.lease_until < now)
        due = select(self.tasks).where(is_unfinished, table.wake_at <= now, is_free)
        among = table.active_subject.in_(bindparam("subject_ids", expanding=True))
        asleep = update(self.tasks).where(among, table.lease_until.is_(None), table.wake_at > now)
        self._newest_epoch = select(func.max(table.epoch)).where(table.subject_id == bindparam("subject_id"))
        self._steps_left = select(func.count()).where(self.steps.c.task_id == bindparam("task_id"))
        self._next_wake = select(func.min(claimable_at)).where(is_unfinished)
        self._due = due.order_by(table.wake_at).limit(bindparam("limit", type_=Integer))
        of_subject = select(self.tasks).where(table.subject_id == bindparam("subject_id"))
        self._of_subject = of_subject.order_by(table.created_at.desc(), table.epoch.desc())
        self._awakening = asleep.values(wake_at=now)

    async def start(self, tx: Tx, new: NewTask, now: datetime) -> Task:
        """Inserts a task, due at once. Raises SubjectBusy when the subject has one already."""
        newest = await tx.scalar(self._newest_epoch, subject_id=new.subject_id)
        task = _fresh_task(new, now, epoch=(newest or 0) + 1)
        if not await tx.insert_new(self.tasks, task):
            active = await self.active(tx, new.subject_id)
            if active is None:
                raise RuntimeError(f"task {task.id} collides with no task of {new.subject_id}")
            raise SubjectBusy(active.program, active.step)
        tx.after(TASKS_DUE)
        tx.after(TASKS_BEGUN, (task.id, task.subject_id))
        return task

    async def supersede(self, tx: Tx, new: NewTask, now: datetime) -> Task:
        """Ends whatever runs for the subject and starts `new` in its place: delete wins over everything.

        The runner of the old task loses at its next commit; the new task's epoch makes agents refuse what it says.
        """
        active = await self.active(tx, new.subject_id)
        if active is not None:
            await self.end(tx, active, now, f"gave way to {new.program}")
        return await self.start(tx, new, now)

    async def end(self, tx: Tx, active: Task, now: datetime, reason: str) -> None:
        """Ends what runs, whoever runs it: its runner loses at its next commit."""
        await self.leave_step(tx, active, now, "superseded", reason)
        await tx.change(
            self.tasks,
            {"id": active.id},
            active_subject=None,
            finished_at=now,
            outcome="superseded",
            epoch=active.epoch + 1,
        )
        tx.after(TASKS_DUE, active.subject_id)

    async def turn_back(self, tx: Tx, active: Task, step: str, now: datetime, seconds: float, reason: str) -> None:
        """Has a task go on with its program's way back, whoever runs it: its runner loses at its next commit.

        Raises SubjectBusy when somebody else has moved the task on since it was read.
        """
        turned = await self.compare_and_set(
            tx,
            active,
            step=step,
            step_started_at=now,
            wake_at=now,
            attempt=0,
            lease_until=None,
            deadline_at=now + timedelta(seconds=seconds),
            rolling_back=True,
            error=reason,
            epoch=active.epoch + 1,
        )
        if turned is None:
            raise SubjectBusy(active.program, active.step)
        await self.leave_step(tx, active, now, "superseded", reason)
        tx.after(TASKS_DUE, active.subject_id)

    async def active(self, tx: Tx, subject_id: str) -> Task | None:
        return await tx.find(Task, self.tasks, active_subject=subject_id)

    async def of_subject(self, tx: Tx, subject_id: str) -> list[Task]:
        """Every task there was for a subject, newest first."""
        return await tx.all(Task, self._of_subject, subject_id=subject_id)

    async def steps_of(self, tx: Tx, task_id: str) -> list[TaskStep]:
        """The steps a task has left, in order."""
        statement = select(self.steps).where(self.steps.c.task_id == task_id)
        return await tx.all(TaskStep, statement.order_by(self.steps.c.position))

    async def leave_step(self, tx: Tx, task: Task, now: datetime, outcome: str, detail: str | None) -> None:
        """Records the step `task` is at as left."""
        position = await tx.scalar(self._steps_left, task_id=task.id)
        await tx.insert(
            self.steps,
            TaskStep(
                id=str(uuid.uuid4()),
                task_id=task.id,
                position=position,
                step=task.step,
                attempt=task.attempt,
                started_at=task.step_started_at,
                finished_at=now,
                outcome=outcome,
                detail=detail,
            ),
        )

    async def compare_and_set(self, tx: Tx, task: Task, **values: Any) -> Task | None:
        """Writes `values` if this runner still owns the task (same epoch, not finished); None if it does not."""
        changed = await tx.change(self.tasks, {"id": task.id, "epoch": task.epoch, "finished_at": None}, **values)
        if changed and "outcome" in values:
            tx.after(TASKS_OVER, (task.id, task.subject_id))
        if changed and "step" in values:
            is_way_back = bool(values.get("rolling_back"))
            tx.after(TASKS_GONE_ON, (task.id, task.subject_id, task.step, values["step"], is_way_back))
        return structs.replace(task, **values) if changed else None

    async def claim(self, tx: Tx, now: datetime, lease: timedelta, limit: int) -> list[Task]:
        """Takes due tasks that nobody holds. Raises each one's epoch, so an earlier holder's commits fail."""
        claimed = []
        for task in await tx.all(Task, self._due, now=now, limit=limit):
            mine = await self.compare_and_set(tx, task, lease_until=now + lease, epoch=task.epoch + 1)
            if mine is not None:
                claimed.append(mine)
        return claimed

    async def next_wake(self, tx: Tx) -> datetime | None:
        """When the earliest unfinished task may be claimed: its wake-up, or the end of its lease when held."""
        earliest: datetime | None = await tx.scalar(self._next_wake)
        return earliest

    async def wake_subjects(self, tx: Tx, subject_ids: Sequence[str], now: datetime) -> None:
        """Wakes the subjects' sleeping tasks: what they wait for may have happened. Those that run are left alone."""
        if await tx.execute(self._awakening, subject_ids=subject_ids, now=now):
            tx.after(TASKS_DUE)

    async def drop_leases(self, tx: Tx) -> int:
        """Frees every held task. Only for a runner that knows it is the only one: its predecessor is dead."""
        return await tx.execute(
            update(self.tasks).where(self.tasks.c.lease_until.is_not(None)).values(lease_until=None)
        )


def _fresh_task(new: NewTask, now: datetime, epoch: int) -> Task:
    return Task(
        id=str(uuid.uuid4()),
        program=new.program,
        step=new.step,
        subject_id=new.subject_id,
        active_subject=new.subject_id,
        args=new.args,
        epoch=epoch,
        attempt=0,
        wake_at=now,
        lease_until=None,
        deadline_at=now + timedelta(seconds=new.deadline_seconds),
        step_started_at=now,
        error=None,
        rolling_back=False,
        request_id=new.request_id,
        user_id=new.user_id,
        project_id=new.project_id,
        created_at=now,
        finished_at=None,
        outcome=None,
    )
