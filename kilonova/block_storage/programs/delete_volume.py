"""Deleting a volume, and with it its snapshots where that was asked for: its data first, then its record."""

from msgspec import structs

from kilonova.block_storage import volumes
from kilonova.block_storage.agent.contract import (
    RELEASE_SNAPSHOT,
    RELEASE_VOLUME,
    SnapshotArguments,
    VolumeArguments,
)
from kilonova.block_storage.agent.spec import Observation
from kilonova.block_storage.programs.backend import (
    POLL_SECONDS,
    SHORT_SECONDS,
    BackendArgs,
    ask,
    find_volume,
    note_failure,
)
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import snapshots as snapshot_rows
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Next, Outcome, Program, Run, Sleep, Task


class DeleteArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    pass


async def remove_owned_snapshots(run: Run[BlockStorage, DeleteArgs]) -> Outcome:
    """Removes the volume's snapshots, one at a time."""
    row = await find_volume(run)
    if row is None:
        return Done()
    async with run.service.database.reading() as tx:
        owned = await volumes.snapshots_of(tx, row.id)
    if not owned:
        return Next(remove_volume)
    snapshot = owned[-1]
    if row.host is not None:
        # Under an epoch that is newer than those of the snapshot's own tasks, and older than that of the next.
        async with run.service.database.reading() as tx:
            known = await run.service.tasks.of_subject(tx, snapshot.id)
        epoch = 1 + max((each.epoch for each in known), default=0)
        question = SnapshotArguments(snapshot.id, row.id, epoch)
        seen = await ask(run, row.host, RELEASE_SNAPSHOT, question)
        if not isinstance(seen, Observation):
            return seen
        if not seen.is_done:
            return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))

    async def commit(tx: Tx) -> None:
        await volumes.remove_snapshot_row(tx, snapshot.id)

    return Next(remove_owned_snapshots, args=structs.replace(run.args, unanswered=0), commit=commit)


async def remove_volume(run: Run[BlockStorage, DeleteArgs]) -> Outcome:
    row = await find_volume(run)
    if row is None:
        return Done()
    if row.host is not None:
        seen = await ask(run, row.host, RELEASE_VOLUME, VolumeArguments(row.id, run.task.epoch))
        if seen is not None:
            return seen

    async def commit(tx: Tx) -> None:
        await volumes.remove_row(tx, row.id)

    return Done(commit=commit)


async def on_failed(tx: Tx, task: Task, error: str) -> None:
    """The snapshots that are left stay with the volume, and can be deleted again like it."""
    await note_failure(tx, task, error)
    left = {"volume_id": task.subject_id, "status": "deleting"}
    await tx.change(snapshot_rows, left, status="error_deleting")


DELETE_VOLUME = Program(
    "delete_volume",
    DeleteArgs,
    (remove_owned_snapshots, remove_volume),
    on_failed,
    deadline_seconds=SHORT_SECONDS,
)
