"""A server's way from the API database into the cell it was placed in, or into cell0.

First it is copied, with its tasks, under the same ids; then it leaves the API database in the transaction that flips
its mapping. Until that nobody is led to the copy, and its task sleeps: a mover may die anywhere, another does the same
again, or a delete wins. What is left then, a copy nobody is led to or one nobody woke, `settle_arrivals` finds.

Nothing moves twice: a server that has to leave its host is placed in the same cell again, as upstream's is.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import delete, select, update

from kilonova.compute.hosts import loads
from kilonova.compute.region import mappings
from kilonova.compute.servers.servers import ServerWithTask, find
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import Server, servers, tasks
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.log import logger
from kilonova.kit.tasks import TASKS_DUE, Task, TaskStep

log = logger(__name__)

ASLEEP = datetime(9999, 1, 1, tzinfo=UTC)
"""When a task wakes whose server has been copied, and is not said to be here yet."""


class Overtaken(Exception):
    """Another mover has moved the server, or it is no longer what is moved."""


class Load(Struct):
    """A server and everything that goes with it."""

    server: Server
    tasks: list[Task]
    steps: list[TaskStep]


async def pack(tx: CellTx, server_id: str) -> Load:
    """Raises ServerNotFound."""
    of_server = select(tasks.tasks.c.id).where(tasks.tasks.c.subject_id == server_id)
    steps = select(tasks.steps).where(tasks.steps.c.task_id.in_(of_server)).order_by(tasks.steps.c.id)
    return Load(await find(tx, server_id), await tasks.of_subject(tx, server_id), await tx.all(TaskStep, steps))


async def move(region: Region, task: Task, cell: Cell, changed: Load, before: Load) -> None:
    """Moves what `before` says is in the API database into `cell`, as `changed`. Raises Overtaken."""
    async with cell.transaction() as tx:
        await unpack(tx, changed, task)
    async with region.transaction() as tx:
        host = changed.server.host if changed.server.group_id else None
        await leave(tx, region.local(tx), before, task, cell.id, host)


async def unpack(tx: CellTx, load: Load, mover: Task) -> None:
    """Writes the copy, over an earlier one of the same move. Raises Overtaken where it has arrived already."""
    server_id = load.server.id
    earlier = await tx.first(Task, select(tasks.tasks).where(tasks.tasks.c.id == mover.id))
    if earlier is not None and (earlier.epoch > mover.epoch or not _is_copy(earlier)):
        raise Overtaken(f"server {server_id} is in its cell already")
    await _remove(tx, server_id)
    await tx.insert(servers, load.server)
    await loads.follow(tx, None, loads.place_of(load.server))
    for task in load.tasks:
        await tx.insert(tasks.tasks, task)
    for step in load.steps:
        await tx.insert(tasks.steps, step)


def _is_copy(task: Task) -> bool:
    """Whether the task belongs to a copy that is not known to have arrived."""
    return task.wake_at == ASLEEP


async def leave(region_tx: RegionTx, tx: CellTx, load: Load, mover: Task, cell_id: str, group_host: str | None) -> None:
    """Takes the server out of the API database, of which both transactions are, and says where it is.

    Raises Overtaken when the server is not what was copied: somebody has changed or deleted it meanwhile.
    """
    server_id = load.server.id
    now = await tx.find(Server, servers, id=server_id)
    mine = await tasks.compare_and_set(tx, mover, lease_until=None)
    if now != load.server or mine is None:
        raise Overtaken(f"server {server_id} was changed while it was copied")
    await _remove(tx, server_id)
    await mappings.change_server(region_tx, server_id, cell_id=cell_id, host=group_host)


async def _remove(tx: CellTx, server_id: str) -> None:
    of_server = select(tasks.tasks.c.id).where(tasks.tasks.c.subject_id == server_id)
    ids = [row[0] for row in await tx.tuples(of_server)]
    await tx.execute(delete(tasks.steps).where(tasks.steps.c.task_id.in_(ids)))
    await tx.remove(tasks.tasks, subject_id=server_id)
    await loads.follow(tx, await loads.find_place(tx, server_id), None)
    await tx.remove(servers, id=server_id)


async def awaken(cell: Cell, task_id: str) -> None:
    """The server is here now: what is done to it goes on."""
    asleep = (tasks.tasks.c.id == task_id) & (tasks.tasks.c.wake_at == ASLEEP)
    async with cell.transaction() as tx:
        await tx.execute(update(tasks.tasks).where(asleep).values(wake_at=cell.clock.now()))
        tx.after(TASKS_DUE)


async def settle_arrivals(region: Region, cell: Cell) -> None:
    """Wakes what has arrived in a cell and was not woken; removes copies that will not arrive."""
    asleep = select(tasks.tasks).where(tasks.tasks.c.wake_at == ASLEEP)
    async with cell.reading() as tx:
        found = await tx.all(Task, asleep)
    for task in found:
        async with region.reading() as tx:
            mover = await tx.first(Task, select(tasks.tasks).where(tasks.tasks.c.id == task.id))
            cell_id = await mappings.cell_of_server(tx, task.subject_id)
        if cell_id == cell.id:
            await awaken(cell, task.id)
        elif mover is None or mover.finished_at is not None or mover.epoch != task.epoch:
            # Who made the copy cannot `leave` any more.
            await _remove_copy(cell, task)


async def _remove_copy(cell: Cell, task: Task) -> None:
    async with cell.transaction() as tx:
        still = await tx.first(Task, select(tasks.tasks).where(tasks.tasks.c.id == task.id))
        if still is not None and still.epoch == task.epoch and _is_copy(still):
            await _remove(tx, task.subject_id)
            log.info("removed the copy of a server that went elsewhere", server=task.subject_id, cell=cell.id)


def as_copy(load: Load, server: Server, task: Task, now: datetime, **values: Any) -> Load:
    """The load as it is to arrive: with the server so, and its task with `values`, having left the step it is at."""
    position = sum(each.task_id == task.id for each in load.steps)
    left = TaskStep(
        id=str(uuid.uuid4()),
        task_id=task.id,
        position=position,
        step=task.step,
        attempt=task.attempt,
        started_at=task.step_started_at,
        finished_at=now,
        outcome="next",
        detail=None,
    )
    moved = structs.replace(task, wake_at=ASLEEP, lease_until=None, attempt=0, step_started_at=now, **values)
    return Load(server, [moved, *(each for each in load.tasks if each.id != task.id)], [*load.steps, left])


async def drop_copies(region: Region, parts: Sequence[tuple[Cell, list[ServerWithTask]]]) -> None:
    """Takes out of lists what nobody is led to: copies of servers that have not arrived where they were listed."""
    asleep = [(cell, found, each) for cell, found in parts for each in found if each.task and _is_copy(each.task)]
    if not asleep:
        return
    async with region.reading() as tx:
        for cell, found, each in asleep:
            if await mappings.cell_of_server(tx, each.server.id) != cell.id:
                found.remove(each)
