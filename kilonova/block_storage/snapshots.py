"""Snapshots: the transactions that begin to make them, to delete them, and to put a volume back to one."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import select

from kilonova.block_storage import metadata, quotas, volume_types, volumes
from kilonova.block_storage.errors import Busy, InvalidSnapshot, InvalidVolume
from kilonova.block_storage.operations import DELETE_SNAPSHOT, REVERT_VOLUME
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.scope import Scope
from kilonova.block_storage.tables import (
    Snapshot,
    Volume,
    snapshot_metadata,
    snapshots,
    tasks,
)
from kilonova.block_storage.tables import volumes as volume_rows
from kilonova.block_storage.volumes import Caller, find_snapshot
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection
from kilonova.kit.tasks import NewTask, SubjectBusy

find = find_snapshot


class SnapshotRecord(Struct):
    row: Snapshot
    metadata: dict[str, str]


class NewSnapshot(Struct, kw_only=True):
    volume_id: str
    name: str | None
    description: str | None
    metadata: dict[str, str] = {}


async def list_matching(tx: Tx, selection: Selection, scope: Scope) -> list[Snapshot]:
    """Raises the selection's fault for a marker that is not in the scope."""
    return await scope.rows(tx, snapshots, Snapshot, selection, snapshot_metadata)


async def count_matching(tx: Tx, selection: Selection, scope: Scope) -> int:
    """Returns how many rows a list has in all, whatever its page."""
    return await scope.count(tx, snapshots, selection, snapshot_metadata)


async def complete(tx: Tx, rows: Sequence[Snapshot]) -> list[SnapshotRecord]:
    found = await metadata.of_many(tx, snapshot_metadata, [row.id for row in rows])
    return [SnapshotRecord(row, found[row.id]) for row in rows]


async def create(
    tx: Tx, options: VolumeOptions, new: NewSnapshot, caller: Caller, task: NewTask, now: datetime
) -> Snapshot:
    """Claims quota and writes the snapshot with the task that makes it, whose subject is the snapshot's id.

    Raises VolumeNotFound, InvalidVolume, OverQuota.
    """
    volume = await volumes.find(tx, new.volume_id, caller.sees)
    if volume.status == "in-use":
        raise InvalidVolume(f"Volume {volume.id} is in use: a snapshot cannot be made here yet while a server writes.")
    if volume.status != "available":
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}: a snapshot is made of an available one.")
    name = (await volume_types.names_of(tx, [volume.volume_type_id])).get(volume.volume_type_id, "")
    wanted = {"snapshots": 1}
    if options.snapshots_take_gigabytes:
        wanted["gigabytes"] = volume.size_gib
    await quotas.claim(tx, options, volume.project_id, name, wanted)
    row = Snapshot(
        id=task.subject_id,
        volume_id=volume.id,
        project_id=volume.project_id,
        user_id=caller.user_id,
        name=new.name,
        description=new.description,
        size_gib=volume.size_gib,
        status="creating",
        progress="0%",
        volume_type_id=volume.volume_type_id,
        created_at=now,
        updated_at=now,
    )
    await tx.insert(snapshots, row)
    await metadata.write(tx, snapshot_metadata, row.id, new.metadata, replace=True)
    await tasks.start(tx, task, now)
    return row


async def begin_delete(tx: Tx, row: Snapshot, task: NewTask, now: datetime, *, forced: bool = False) -> None:
    """Raises InvalidSnapshot for a status that it does not begin in, and while the snapshot is copied; Busy."""
    volumes.refuse_read("Snapshot", row)
    if not forced and row.status not in DELETE_SNAPSHOT.begins_in:
        allowed = ", ".join(DELETE_SNAPSHOT.begins_in)
        raise InvalidSnapshot(f"Snapshot {row.id} is {row.status}; it has to be one of {allowed}.")
    copies = select(volume_rows.c.id).where(volume_rows.c.source_snapshot_id == row.id)
    copied_to = await tx.tuples(copies.where(volume_rows.c.status == "creating"))
    if copied_to:
        raise InvalidSnapshot(f"Snapshot {row.id} is being copied to {copied_to[0][0]}: it cannot be deleted.")
    await set_status(tx, row, DELETE_SNAPSHOT.shows, now)
    try:
        if forced:
            await tasks.supersede(tx, task, now)
        else:
            await tasks.start(tx, task, now)
    except SubjectBusy as busy:
        raise Busy(f"Snapshot {row.id}: {busy}.") from busy


async def begin_revert(tx: Tx, volume: Volume, row: Snapshot, task: NewTask, now: datetime) -> None:
    """Begins to give a volume the content of its latest snapshot. Raises InvalidVolume, InvalidSnapshot, Busy."""
    if row.volume_id != volume.id:
        raise InvalidSnapshot(f"Snapshot {row.id} is none of volume {volume.id}.")
    latest = (await volumes.snapshots_of(tx, volume.id))[-1]
    if latest.id != row.id:
        raise InvalidSnapshot(f"A volume goes back to its latest snapshot alone, which is {latest.id}.")
    if row.status != "available":
        raise InvalidSnapshot(f"Snapshot {row.id} is {row.status}: a volume goes back to an available one.")
    if volume.size_gib != row.size_gib:
        raise InvalidVolume(
            f"Volume {volume.id} has {volume.size_gib} GiB, and had {row.size_gib} GiB at snapshot {row.id}: "
            "make a volume of the snapshot instead."
        )
    await volumes.require_unused(tx, volume, "reverted")
    await volumes.begin(tx, volume, REVERT_VOLUME, task, now)
    await set_status(tx, row, "restoring", now)


async def set_status(tx: Tx, row: Snapshot, status: str, now: datetime) -> None:
    """Writes a status over the one that was seen. Raises Busy when it is another one by now."""
    if not await tx.change(snapshots, {"id": row.id, "status": row.status}, status=status, updated_at=now):
        raise Busy(f"Snapshot {row.id} is not {row.status} any more.")


async def change(tx: Tx, row: Snapshot, now: datetime, *, name: str | None, description: str | None) -> None:
    await tx.change(snapshots, {"id": row.id}, name=name, description=description, updated_at=now)


async def write_metadata(
    tx: Tx, row: Snapshot, items: Mapping[str, str], now: datetime, *, replace: bool
) -> dict[str, str]:
    written = await metadata.write(tx, snapshot_metadata, row.id, items, replace=replace)
    await tx.change(snapshots, {"id": row.id}, updated_at=now)
    return written


async def metadata_of(tx: Tx, row: Snapshot) -> dict[str, str]:
    return await metadata.of_one(tx, snapshot_metadata, row.id)


async def remove_metadata_key(tx: Tx, row: Snapshot, key: str) -> None:
    """Raises KeyNotFound."""
    await metadata.remove_key(tx, snapshot_metadata, row.id, key)
