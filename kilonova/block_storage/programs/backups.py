"""Making and deleting backups: of a volume that nobody else has meanwhile, or of a copy of one of its snapshots.

The copy is a volume of the back end alone, under the backup's own id; it has no record and goes with the task.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from kilonova.block_storage import backup_services, backups, messages, services
from kilonova.block_storage.agent.backups.contract import (
    ENSURE_BACKUP,
    FIND_BACKUP,
    RELEASE_BACKUP,
    BackupObservation,
    BackupSpec,
    EnsureBackupArguments,
    FindBackupArguments,
    ReleaseBackupArguments,
)
from kilonova.block_storage.agent.contract import (
    DISCONNECT,
    ENSURE_VOLUME,
    RELEASE_VOLUME,
    DisconnectArguments,
    EnsureArguments,
    VolumeArguments,
)
from kilonova.block_storage.agent.spec import Observation, SnapshotSource, VolumeSpec
from kilonova.block_storage.operations import OPERATIONS
from kilonova.block_storage.programs.backend import DEADLINE_SECONDS, POLL_SECONDS, SHORT_SECONDS, BackendArgs, ask
from kilonova.block_storage.programs.restoring import way_to
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Backup, Volume
from kilonova.block_storage.tables import backups as backup_rows
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.block_storage.topics import BACKUP_BINARY
from kilonova.kit.db import Tx
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task


class BackupArgs(BackendArgs, frozen=True, kw_only=True, omit_defaults=True):
    object_count: int = 0
    """The number of objects that were stored."""
    frees_source: bool = False
    """Whether a backup that is deleted was being made, and has its volume or snapshot still."""


async def _both(run: Run[BlockStorage, BackupArgs]) -> tuple[Backup | None, Volume | None]:
    """Returns the backup that the task is about, and its volume."""
    async with run.service.database.reading() as tx:
        backup = await tx.find(Backup, backup_rows, id=run.subject_id)
        volume = await tx.find(Volume, volume_rows, id=backup.volume_id) if backup is not None else None
    return backup, volume


def _wait(run: Run[BlockStorage, BackupArgs], progress: str) -> Sleep:
    return Sleep(POLL_SECONDS, progress, args=structs.replace(run.args, unanswered=0))


async def find_content(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    """Looks for the content of a backup that was imported, at each cinder-backup there is; whoever has it keeps it."""
    service = run.service
    backup, _volume = await _both(run)
    if backup is None:
        return Fail("The backup is gone.")
    async with service.database.reading() as tx:
        hosts = [each.host for each in await backup_services.all_services(tx)]
    failure = "No backup service is up."
    for host in hosts if backup.host is None else [backup.host]:
        if not backup_services.is_up(service, host):
            continue
        seen = await ask(run, host, FIND_BACKUP, FindBackupArguments(backup.id, backup.container), BACKUP_BINARY)
        if isinstance(seen, Sleep):
            return seen
        if isinstance(seen, Fail):
            failure = seen.error
            continue
        values = {"host": host, "object_count": seen.object_count, "status": "available"}

        async def commit(tx: Tx, values: dict[str, Any] = values) -> None:
            await tx.change(backup_rows, {"id": run.subject_id}, **values, updated_at=run.clock.now())

        return Done(commit=commit)
    return Fail(failure)


async def choose_host(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    """Gives the backup to a cinder-backup; an incremental one has its parent's."""
    service = run.service
    async with service.database.transaction() as tx:
        row = await backups.find(tx, run.subject_id, None)
        if row.host is None:
            volume = await tx.find(Volume, volume_rows, id=row.volume_id)
            host = await backup_services.pick(tx, service, row, (volume.host if volume is not None else None) or "")
            if host is None:
                zone = f" in zone {row.availability_zone}" if row.availability_zone else ""
                return Fail(f"No backup service{zone} is up and enabled.")
            await tx.change(backup_rows, {"id": row.id, "host": None}, host=host)
    return Next(copy_snapshot)


async def copy_snapshot(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    """Makes a copy of the snapshot, which can be read as a volume can."""
    backup, volume = await _both(run)
    if backup is None or volume is None or volume.host is None:
        return Fail("The volume is gone.")
    if backup.snapshot_id is None:
        return Next(store_content)
    source = SnapshotSource(snapshot_id=backup.snapshot_id, volume_id=volume.id)
    spec = VolumeSpec(backup.id, backup.size_gib, source, services.pool_of(volume.host))
    seen = await ask(run, volume.host, ENSURE_VOLUME, EnsureArguments(spec, run.task.epoch))
    if not isinstance(seen, Observation):
        return seen
    return Next(store_content) if seen.is_done else _wait(run, seen.progress)


async def store_content(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    backup, volume = await _both(run)
    if backup is None or backup.host is None or volume is None or volume.host is None:
        return Fail("The volume is gone.")
    way = await way_to(run, volume.host, _read_volume(backup), backup.id)
    if isinstance(way, Sleep | Fail):
        return way
    spec = BackupSpec(id=backup.id, container=backup.container, size_gib=backup.size_gib, parent_id=backup.parent_id)
    question = EnsureBackupArguments(spec, way, run.task.epoch)
    seen = await ask(run, backup.host, ENSURE_BACKUP, question, BACKUP_BINARY)
    if not isinstance(seen, BackupObservation):
        return seen
    if not seen.is_done:
        return _wait(run, seen.progress)
    return Next(leave_source, args=structs.replace(run.args, unanswered=0, object_count=seen.object_count))


def _read_volume(backup: Backup) -> str:
    """Returns the id under which the back end has what is read: the volume's, or the copy's."""
    return backup.volume_id if backup.snapshot_id is None else backup.id


async def leave_source(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    left = await _left(run)
    if left is not None:
        return left

    async def commit(tx: Tx) -> None:
        now = run.clock.now()
        row = await backups.find(tx, run.subject_id, None)
        await backups.give_back_source(tx, row, now)
        count = run.args.object_count
        await tx.change(backup_rows, {"id": row.id}, status="available", object_count=count, updated_at=now)

    return Done(commit=commit)


async def _left(run: Run[BlockStorage, BackupArgs]) -> Sleep | Fail | None:
    """Takes back what reads the volume, and the copy; None once there is none."""
    backup, volume = await _both(run)
    if backup is None or volume is None or volume.host is None:
        return None
    if backup.snapshot_id is not None:
        return await ask(run, volume.host, RELEASE_VOLUME, VolumeArguments(backup.id, run.task.epoch))
    return await ask(run, volume.host, DISCONNECT, DisconnectArguments(volume.id, backup.id))


async def discard_backup(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    """Takes back what there is of a backup that could not be made; its row stays, with the reason."""
    return await _removed(run) or await _left(run) or Done()


async def remove_backup(run: Run[BlockStorage, BackupArgs]) -> Outcome:
    left = await _removed(run)
    if left is None and run.args.frees_source:
        left = await _left(run)
    if left is not None:
        return left

    async def commit(tx: Tx) -> None:
        row = await tx.find(Backup, backup_rows, id=run.subject_id)
        if row is not None and run.args.frees_source:
            await backups.give_back_source(tx, row, run.clock.now())
        await backups.remove_row(tx, run.subject_id)

    return Done(commit=commit)


async def _removed(run: Run[BlockStorage, BackupArgs]) -> Sleep | Fail | None:
    """Ends the job that makes a backup, and removes what it has stored; None once there is nothing."""
    backup, _volume = await _both(run)
    if backup is None or backup.host is None:
        return None
    question = ReleaseBackupArguments(backup.id, backup.container, run.task.epoch)
    seen = await ask(run, backup.host, RELEASE_BACKUP, question, BACKUP_BINARY)
    if not isinstance(seen, Observation):
        return seen
    return None if seen.is_done else _wait(run, seen.progress)


async def on_failed(tx: Tx, task: Task, error: str) -> None:
    """Gives the backup its status and the reason, its project a message, and its volume back."""
    operation, now = OPERATIONS[task.program], task.finished_at or datetime.now(UTC)
    row = await tx.find(Backup, backup_rows, id=task.subject_id)
    if row is None:
        return
    await tx.change(backup_rows, {"id": row.id}, status=operation.fails_in, fail_reason=error, updated_at=now)
    if operation.program == "create_backup" or task.args.get("frees_source"):
        await backups.give_back_source(tx, row, now)
    new = messages.NewMessage(
        project_id=row.project_id,
        request_id=task.request_id,
        event=(operation.action_id, operation.detail_id),
        resource_type=operation.of,
        resource_id=row.id,
        text=error,
    )
    await messages.write(tx, new, now)


CREATE_BACKUP = Program(
    "create_backup",
    BackupArgs,
    (choose_host, copy_snapshot, store_content, leave_source),
    on_failed,
    deadline_seconds=DEADLINE_SECONDS,
    roll_back=discard_backup,
)
IMPORT_BACKUP = Program("import_backup", BackupArgs, (find_content,), on_failed, deadline_seconds=SHORT_SECONDS)
DELETE_BACKUP = Program("delete_backup", BackupArgs, (remove_backup,), on_failed, deadline_seconds=DEADLINE_SECONDS)
