"""Making and deleting snapshots, and putting a volume back to one."""

from msgspec import structs

from kilonova.block_storage import volumes
from kilonova.block_storage.agent import contract
from kilonova.block_storage.agent.contract import RevertArguments, SnapshotArguments
from kilonova.block_storage.agent.spec import Observation
from kilonova.block_storage.programs.backend import (
    DEADLINE_SECONDS,
    POLL_SECONDS,
    BackendArgs,
    ask,
    find_volume,
    note_failure,
)
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Snapshot, Volume
from kilonova.block_storage.tables import snapshots as snapshot_rows
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.kit.agents import Call
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Fail, Outcome, Program, Run, Sleep, Task


class SnapshotArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    pass


class RevertArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    snapshot_id: str = ""


async def _both(run: Run[BlockStorage, SnapshotArgs]) -> tuple[Snapshot | None, Volume | None]:
    """Returns the snapshot that the task is about, and its volume."""
    async with run.service.database.reading() as tx:
        snapshot = await tx.find(Snapshot, snapshot_rows, id=run.subject_id)
        volume = await tx.find(Volume, volume_rows, id=snapshot.volume_id) if snapshot is not None else None
    return snapshot, volume


async def _asked(
    run: Run[BlockStorage, SnapshotArgs], volume: Volume, call: Call[SnapshotArguments, Observation]
) -> Sleep | Fail | None:
    """None once the back end has done what it was asked."""
    question = SnapshotArguments(run.subject_id, volume.id, run.task.epoch)
    seen = await ask(run, volume.host or "", call, question)
    if not isinstance(seen, Observation):
        return seen
    return None if seen.is_done else _wait(run, seen)


def _wait(run: Run[BlockStorage, SnapshotArgs] | Run[BlockStorage, RevertArgs], seen: Observation) -> Sleep:
    return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))


async def take_snapshot(run: Run[BlockStorage, SnapshotArgs]) -> Outcome:
    snapshot, volume = await _both(run)
    if snapshot is None or volume is None or volume.host is None:
        return Fail("The snapshot's volume is gone.")
    left = await _asked(run, volume, contract.ENSURE_SNAPSHOT)
    if left is not None:
        return left

    async def commit(tx: Tx) -> None:
        now = run.clock.now()
        await tx.change(snapshot_rows, {"id": snapshot.id}, status="available", progress="100%", updated_at=now)

    return Done(commit=commit)


async def discard_snapshot(run: Run[BlockStorage, SnapshotArgs]) -> Outcome:
    """Takes back what there is of a snapshot that could not be made; its row stays, with the reason."""
    _snapshot, volume = await _both(run)
    if volume is None or volume.host is None:
        return Done()
    return await _asked(run, volume, contract.RELEASE_SNAPSHOT) or Done()


async def remove_snapshot(run: Run[BlockStorage, SnapshotArgs]) -> Outcome:
    snapshot, volume = await _both(run)
    if snapshot is None:
        return Done()
    if volume is not None and volume.host is not None:
        left = await _asked(run, volume, contract.RELEASE_SNAPSHOT)
        if left is not None:
            return left

    async def commit(tx: Tx) -> None:
        await volumes.remove_snapshot_row(tx, snapshot.id)

    return Done(commit=commit)


async def put_back(run: Run[BlockStorage, RevertArgs]) -> Outcome:
    row, snapshot_id = await find_volume(run), run.args.snapshot_id
    if row is None or row.host is None:
        return Fail("The volume has no place.")
    question = RevertArguments(row.id, snapshot_id, run.task.epoch)
    seen = await ask(run, row.host, contract.REVERT_VOLUME, question)
    if not isinstance(seen, Observation):
        return seen
    if not seen.is_done:
        return _wait(run, seen)

    async def commit(tx: Tx) -> None:
        now = run.clock.now()
        await tx.change(volume_rows, {"id": row.id}, status="available", updated_at=now)
        await tx.change(snapshot_rows, {"id": snapshot_id}, status="available", updated_at=now)

    return Done(commit=commit)


async def on_revert_failed(tx: Tx, task: Task, error: str) -> None:
    """The snapshot is as it was; of the volume nobody knows."""
    await note_failure(tx, task, error)
    await tx.change(snapshot_rows, {"id": task.args.get("snapshot_id", ""), "status": "restoring"}, status="available")


CREATE_SNAPSHOT = Program(
    "create_snapshot",
    SnapshotArgs,
    (take_snapshot,),
    note_failure,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=discard_snapshot,
)
DELETE_SNAPSHOT = Program(
    "delete_snapshot", SnapshotArgs, (remove_snapshot,), note_failure, deadline_seconds=DEADLINE_SECONDS
)
REVERT_VOLUME = Program("revert_volume", RevertArgs, (put_back,), on_revert_failed, deadline_seconds=DEADLINE_SECONDS)
