"""Backups: the transactions that begin to make them, to delete them, and to restore volumes from them.

While a backup is made its volume is `backing-up`, or its snapshot is; while it is restored it is `restoring`. Both are
written with the task that owns them, and again with its end.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from kilonova.block_storage import metadata, quotas, volumes
from kilonova.block_storage.errors import BackupNotFound, Busy, InvalidBackup, InvalidSnapshot, InvalidVolume
from kilonova.block_storage.operations import CREATE_BACKUP, DELETE_BACKUP, RESTORE_BACKUP
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.scope import Scope
from kilonova.block_storage.tables import Backup, Volume, VolumeProperties, backup_metadata, backups, tasks
from kilonova.block_storage.tables import snapshots as snapshot_rows
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.block_storage.volumes import BACKING_UP, Caller
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection
from kilonova.kit.errors import BadRequest
from kilonova.kit.tasks import NewTask, SubjectBusy

RESTORING = "restoring"
"""The status of a backup that a volume is being restored from; that volume's task owns it."""
CONTAINER = "volumebackups"
"""The container of backups for which none is named."""
CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class BackupRecord(Struct):
    row: Backup
    metadata: dict[str, str]
    has_dependents: bool


class NewBackup(Struct, kw_only=True):
    volume_id: str
    snapshot_id: str | None
    name: str | None
    description: str | None
    container: str | None
    zone: str | None
    is_incremental: bool
    is_forced: bool
    metadata: dict[str, str] = {}


# --- looking ---------------------------------------------------------------------------------------------------------


async def find(tx: Tx, backup_id: str, project_id: str | None) -> Backup:
    """Raises BackupNotFound. `project_id` None sees every project's."""
    row = await tx.find(Backup, backups, id=backup_id)
    if row is None or project_id not in (None, row.project_id):
        raise BackupNotFound(backup_id)
    return row


async def list_matching(tx: Tx, selection: Selection, scope: Scope) -> list[Backup]:
    """Raises the selection's fault for a marker that is not in the scope."""
    return await scope.rows(tx, backups, Backup, selection, backup_metadata)


async def count_matching(tx: Tx, selection: Selection, scope: Scope) -> int:
    """Returns how many rows a list has in all, whatever its page."""
    return await scope.count(tx, backups, selection, backup_metadata)


async def complete(tx: Tx, rows: Sequence[Backup]) -> list[BackupRecord]:
    ids = [row.id for row in rows]
    found = await metadata.of_many(tx, backup_metadata, ids)
    depended = select(backups.c.parent_id).where(backups.c.parent_id.in_(ids)).distinct()
    parents = {row[0] for row in await tx.tuples(depended)} if ids else set()
    return [BackupRecord(row, found[row.id], row.id in parents) for row in rows]


# --- creating --------------------------------------------------------------------------------------------------------


async def create(
    tx: Tx, options: VolumeOptions, new: NewBackup, caller: Caller, task: NewTask, now: datetime
) -> Backup:
    """Claims quota and writes the backup with the task that makes it, whose subject is the backup's id.

    Raises VolumeNotFound, SnapshotNotFound, InvalidVolume, InvalidSnapshot, BadRequest, OverQuota, Busy.
    """
    volume = await volumes.find(tx, new.volume_id, caller.sees)
    size_gib, content_at = await _take_source(tx, new, volume, caller, now)
    parent = await _parent_of(tx, volume, content_at) if new.is_incremental else None
    container = _container_of(new, parent)
    await quotas.claim_backup(tx, options, caller.project_id, size_gib)
    row = Backup(
        id=task.subject_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        volume_id=volume.id,
        snapshot_id=new.snapshot_id,
        parent_id=parent.id if parent is not None else None,
        name=new.name,
        description=new.description,
        size_gib=size_gib,
        status=CREATE_BACKUP.shows,
        fail_reason=None,
        # What it shares with its parent is where that one is.
        host=parent.host if parent is not None else None,
        availability_zone=parent.availability_zone if parent is not None else new.zone,
        container=container,
        object_count=0,
        volume_properties=await _properties_of(tx, volume),
        data_timestamp=content_at,
        created_at=now,
        updated_at=now,
    )
    await tx.insert(backups, row)
    await metadata.write(tx, backup_metadata, row.id, new.metadata, replace=True)
    await tasks.start(tx, task, now)
    return row


async def _take_source(tx: Tx, new: NewBackup, volume: Volume, caller: Caller, now: datetime) -> tuple[int, datetime]:
    """Takes the snapshot or the volume for the backup; returns its size, and the time that its content is of."""
    if new.snapshot_id is not None:
        snapshot = await volumes.find_snapshot(tx, new.snapshot_id, caller.sees)
        if snapshot.volume_id != volume.id:
            raise InvalidSnapshot(f"Snapshot {snapshot.id} is none of volume {volume.id}.")
        if snapshot.status != "available":
            raise InvalidSnapshot(f"Snapshot {snapshot.id} is {snapshot.status}: a backup is made of an available one.")
        seen = {"id": snapshot.id, "status": "available"}
        if not await tx.change(snapshot_rows, seen, status=BACKING_UP, updated_at=now):
            raise Busy(f"Snapshot {snapshot.id} is not available any more.")
        return snapshot.size_gib, snapshot.created_at
    if volume.status == "in-use":
        hint = "make a snapshot of it, and the backup of that (snapshot_id)"
        if not new.is_forced:
            raise InvalidVolume(f"Volume {volume.id} is in use, and force is not given: {hint}.")
        raise InvalidVolume(f"Volume {volume.id} is in use: it cannot be read while a server writes; {hint}.")
    if volume.status != "available":
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}: a backup is made of an available one.")
    await volumes.set_status(tx, volume, BACKING_UP, now)
    return volume.size_gib, now


async def _parent_of(tx: Tx, volume: Volume, content_at: datetime) -> Backup:
    """Returns the newest backup of what the volume was before. Raises InvalidBackup where there is none, Busy."""
    columns = backups.c
    before = select(backups).where(
        columns.volume_id == volume.id,
        columns.project_id == volume.project_id,
        columns.status == "available",
        columns.data_timestamp < content_at,
    )
    found = await tx.all(Backup, before.order_by(columns.data_timestamp.desc(), columns.id).limit(1))
    if not found:
        raise InvalidBackup(f"Volume {volume.id} has no earlier backup that is available: make a full one first.")
    await depend_on(tx, found[0])
    return found[0]


async def depend_on(tx: Tx, parent: Backup) -> None:
    """Lets a backup depend on another one from this transaction on. Raises InvalidBackup, Busy."""
    if parent.status == DELETE_BACKUP.shows:
        raise InvalidBackup(f"Backup {parent.id} is {parent.status}: no other one can depend on it.")
    # Written although nothing changes: a delete that has begun since is seen, and one that begins now sees this.
    if not await tx.change(backups, {"id": parent.id, "status": parent.status}, status=parent.status):
        raise Busy(f"Backup {parent.id} is not {parent.status} any more.")


async def _properties_of(tx: Tx, volume: Volume) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.to_builtins(
        VolumeProperties(
            metadata=await volumes.metadata_of(tx, volume),
            image_metadata=volume.image_metadata,
            bootable=volume.bootable,
        )
    )
    return kept


def properties_of(row: Backup) -> VolumeProperties:
    """Returns what a volume that is restored from a backup has."""
    return msgspec.convert(row.volume_properties, VolumeProperties)


def _container_of(new: NewBackup, parent: Backup | None) -> str:
    if parent is not None and new.container not in (None, parent.container):
        raise BadRequest(f"An incremental backup is in the container of its parent, {parent.container}.")
    container = new.container or (parent.container if parent is not None else CONTAINER)
    if not CONTAINER_NAME.fullmatch(container):
        raise BadRequest(
            f"The container {container!r} is none: a name has 1 to 63 letters, digits, '_', '.' and '-', and begins "
            "with a letter or a digit."
        )
    return container


async def give_back_source(tx: Tx, row: Backup, now: datetime) -> None:
    """Ends that a backup has its volume, or its snapshot. Safe to repeat."""
    table, owned = (volume_rows, row.volume_id) if row.snapshot_id is None else (snapshot_rows, row.snapshot_id)
    await tx.change(table, {"id": owned, "status": BACKING_UP}, status="available", updated_at=now)


# --- changing --------------------------------------------------------------------------------------------------------


async def begin_delete(tx: Tx, row: Backup, task: NewTask, now: datetime, *, forced: bool) -> None:
    """Raises InvalidBackup for a status that it does not begin in, and while others depend on it; Busy."""
    allowed = DELETE_BACKUP.begins_in + ((CREATE_BACKUP.shows, DELETE_BACKUP.shows) if forced else ())
    if row.status not in allowed:
        raise InvalidBackup(f"Backup {row.id} is {row.status}; it has to be one of {', '.join(allowed)}.")
    # The status first: whoever begins to depend on it writes the same row, so one of the two sees the other.
    await set_status(tx, row, DELETE_BACKUP.shows, now)
    dependents = await tx.tuples(select(backups.c.id).where(backups.c.parent_id == row.id).limit(1))
    if dependents:
        raise InvalidBackup(f"Incremental backup {dependents[0][0]} depends on backup {row.id}: delete that first.")
    try:
        if forced:
            await tasks.supersede(tx, task, now)
        else:
            await tasks.start(tx, task, now)
    except SubjectBusy as busy:
        raise Busy(f"Backup {row.id}: {busy}.") from busy


async def require_restorable(tx: Tx, row: Backup, now: datetime) -> None:
    """Takes a backup for the volume that is made of it. Raises InvalidBackup, Busy."""
    if row.status != "available":
        raise InvalidBackup(f"Backup {row.id} is {row.status}: a volume is restored from an available one.")
    await set_status(tx, row, RESTORING, now)


async def begin_restore(tx: Tx, row: Backup, volume: Volume, task: NewTask, now: datetime) -> None:
    """Begins to give a volume the content of a backup. Raises InvalidBackup, InvalidVolume, Busy."""
    if volume.size_gib < row.size_gib:
        raise InvalidVolume(
            f"Volume {volume.id} has {volume.size_gib} GiB, less than the {row.size_gib} GiB of backup {row.id}."
        )
    await volumes.require_unused(tx, volume, "restored")
    await require_restorable(tx, row, now)
    await volumes.begin(tx, volume, RESTORE_BACKUP, task, now)


async def end_restore(tx: Tx, backup_id: str, now: datetime) -> None:
    """Ends that a volume is restored from a backup, well or not. Safe to repeat."""
    await tx.change(backups, {"id": backup_id, "status": RESTORING}, status="available", updated_at=now)


async def set_status(tx: Tx, row: Backup, status: str, now: datetime) -> None:
    """Writes a status over the one that was seen. Raises Busy when it is another one by now."""
    if not await tx.change(backups, {"id": row.id, "status": row.status}, status=status, updated_at=now):
        raise Busy(f"Backup {row.id} is not {row.status} any more.")


async def change(tx: Tx, row: Backup, now: datetime, *, name: str | None, description: str | None) -> None:
    await tx.change(backups, {"id": row.id}, name=name, description=description, updated_at=now)


async def write_metadata(tx: Tx, row: Backup, items: dict[str, str]) -> None:
    await metadata.write(tx, backup_metadata, row.id, items, replace=True)


async def remove_row(tx: Tx, backup_id: str) -> None:
    """Removes a backup's record; its data has to be gone."""
    await tx.remove(backup_metadata, owner_id=backup_id)
    await tx.remove(backups, id=backup_id)
