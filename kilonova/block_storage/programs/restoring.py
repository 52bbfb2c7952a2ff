"""Restoring a volume from a backup: a new one, once it is made, or one that was named.

Nobody else has the volume meanwhile. What does not have its checksum is not written: the restore ends with it.
"""

from typing import TypeVar

from msgspec import structs

from kilonova.block_storage import backups
from kilonova.block_storage.agent.backups.contract import (
    RESTORE_VOLUME,
    STOP_RESTORE,
    RestoreArguments,
    StopRestoreArguments,
)
from kilonova.block_storage.agent.contract import CONNECTION_TO, DISCONNECT, ConnectionArguments, DisconnectArguments
from kilonova.block_storage.agent.spec import Observation
from kilonova.block_storage.programs.backend import (
    DEADLINE_SECONDS,
    POLL_SECONDS,
    ArgsT,
    BackendArgs,
    ask,
    find_volume,
    note_failure,
)
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Backup, Volume
from kilonova.block_storage.tables import backups as backup_rows
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.block_storage.topics import BACKUP_BINARY
from kilonova.kit.connectors import Connection
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task


class RestoreArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    backup_id: str = ""
    """The backup that the volume is restored from."""


RestoreT = TypeVar("RestoreT", bound=RestoreArgs)


async def way_to(run: Run[BlockStorage, ArgsT], host: str, volume_id: str, reader_id: str) -> Connection | Sleep | Fail:
    """Lets a cinder-backup reach a volume, under an attachment of the reader's id. Safe to repeat."""
    answer = await ask(run, host, CONNECTION_TO, ConnectionArguments(volume_id, reader_id))
    return answer if isinstance(answer, Sleep | Fail) else answer.connection


async def write_content(run: Run[BlockStorage, RestoreT]) -> Outcome:
    row, backup = await _both(run)
    if row is None or row.host is None:
        return Fail("The volume has no place.")
    if backup is None or backup.host is None:
        return Fail("The backup is gone.")
    way = await way_to(run, row.host, row.id, backup.id)
    if isinstance(way, Sleep | Fail):
        return way
    question = RestoreArguments(backup.id, backup.container, row.id, way, str(run.task.id), run.task.epoch)
    seen = await ask(run, backup.host, RESTORE_VOLUME, question, BACKUP_BINARY)
    if not isinstance(seen, Observation):
        return seen
    if not seen.is_done:
        return Sleep(POLL_SECONDS, seen.progress, args=structs.replace(run.args, unanswered=0))
    return Next(end_restore, args=structs.replace(run.args, unanswered=0))


async def end_restore(run: Run[BlockStorage, RestoreT]) -> Outcome:
    left = await stop_restore(run)
    if left is not None:
        return left
    backup_id = run.args.backup_id

    async def commit(tx: Tx) -> None:
        now = run.clock.now()
        await tx.change(volume_rows, {"id": run.subject_id}, status="available", updated_at=now)
        await tx.change(volume_rows, {"id": run.subject_id, "launched_at": None}, launched_at=now)
        await backups.end_restore(tx, backup_id, now)

    return Done(commit=commit)


async def stop_restore(run: Run[BlockStorage, ArgsT]) -> Sleep | Fail | None:
    """Takes back what a restore has of the volume; None once nothing writes to it any more. Safe to repeat."""
    row, backup = await _both(run)
    if backup is not None and backup.host is not None:
        question = StopRestoreArguments(run.subject_id, run.task.epoch)
        left = await ask(run, backup.host, STOP_RESTORE, question, BACKUP_BINARY)
        if left is not None:
            return left
    if backup is not None and row is not None and row.host is not None:
        return await ask(run, row.host, DISCONNECT, DisconnectArguments(row.id, backup.id))
    return None


async def leave_volume(run: Run[BlockStorage, RestoreT]) -> Outcome:
    """Ends a restore that has failed; the volume's content is neither what it was nor the backup's."""
    return await stop_restore(run) or Done()


async def note_failed_restore(tx: Tx, task: Task, error: str) -> None:
    """The backup is as it was, and can be restored again."""
    await note_failure(tx, task, error)
    await backups.end_restore(tx, task.args.get("backup_id", ""), task.finished_at or task.created_at)


async def _both(run: Run[BlockStorage, ArgsT]) -> tuple[Volume | None, Backup | None]:
    """Returns the volume that the task is about, and its backup."""
    row = await find_volume(run)
    async with run.service.database.reading() as tx:
        return row, await tx.find(Backup, backup_rows, id=getattr(run.args, "backup_id", ""))


RESTORE_BACKUP = Program(
    "restore_backup",
    RestoreArgs,
    (write_content, end_restore),
    note_failed_restore,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=leave_volume,
)
