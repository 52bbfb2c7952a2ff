"""Volumes: who sees them, what may be done with them when, and the transactions that begin it.

Whoever changes a volume's status does so by a conditional write on the status that he has seen; the task that owns a
transient status is in the same transaction.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import func, or_, select

from kilonova.block_storage import metadata, qos, quotas, services, volume_types
from kilonova.block_storage.errors import Busy, InvalidVolume, SnapshotNotFound, VolumeNotFound
from kilonova.block_storage.operations import DELETE_VOLUME, EXTEND_VOLUME, UPLOAD_VOLUME, Operation
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.scope import Scope
from kilonova.block_storage.tables import (
    Attachment,
    Snapshot,
    SourceImage,
    Volume,
    VolumeType,
    attachments,
    snapshot_metadata,
    snapshots,
    tasks,
    transfers,
    volume_metadata,
    volumes,
)
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection
from kilonova.kit.db.statements import rows_among
from kilonova.kit.errors import BadRequest
from kilonova.kit.tasks import NewTask, SubjectBusy

AWAITING = "awaiting-transfer"
"""The status of a volume that is offered to another project; its transfer owns it."""
BACKING_UP = "backing-up"
"""The status of a volume, or of a snapshot, that a backup is being made of; the backup's task owns it."""
HELD = ("in-use", "detaching", "reserved")
"""The statuses of volumes that somebody has."""


class VolumeRecord(Struct):
    """A volume with all that is shown of it."""

    row: Volume
    metadata: dict[str, str]
    attachments: list[Attachment]
    type_name: str | None


class NewVolume(Struct, kw_only=True):
    """A volume as it is asked for."""

    name: str | None
    description: str | None
    size_gib: int | None
    """None: that of its source."""
    zone: str | None
    type_name: str | None
    """The name or the id of its type."""
    snapshot_id: str | None = None
    source_id: str | None = None
    backup_id: str | None = None
    is_bootable: bool = False
    """Whether a server can start from a volume that has no source but a backup."""
    image: SourceImage | None = None
    image_metadata: dict[str, str] = {}
    metadata: dict[str, str] = {}


class Caller(Struct, frozen=True):
    project_id: str
    user_id: str
    is_admin: bool

    @property
    def sees(self) -> str | None:
        """The project that the caller's look-ups are narrowed to; None for who sees all."""
        return None if self.is_admin else self.project_id


# --- looking ---------------------------------------------------------------------------------------------------------


async def find(tx: Tx, volume_id: str, project_id: str | None) -> Volume:
    """Raises VolumeNotFound. `project_id` None sees every project's."""
    row = await tx.find(Volume, volumes, id=volume_id)
    if row is None or project_id not in (None, row.project_id):
        raise VolumeNotFound(volume_id)
    return row


async def find_snapshot(tx: Tx, snapshot_id: str, project_id: str | None) -> Snapshot:
    """Raises SnapshotNotFound. `project_id` None sees every project's."""
    row = await tx.find(Snapshot, snapshots, id=snapshot_id)
    if row is None or project_id not in (None, row.project_id):
        raise SnapshotNotFound(snapshot_id)
    return row


async def list_matching(tx: Tx, selection: Selection, scope: Scope) -> list[Volume]:
    """Raises the selection's fault for a marker that is not in the scope."""
    return await scope.rows(tx, volumes, Volume, selection, volume_metadata)


async def count_matching(tx: Tx, selection: Selection, scope: Scope) -> int:
    """Returns how many rows a list has in all, whatever its page."""
    return await scope.count(tx, volumes, selection, volume_metadata)


async def complete(tx: Tx, rows: Sequence[Volume]) -> list[VolumeRecord]:
    """Returns the volumes with what other tables hold of them."""
    ids = [row.id for row in rows]
    found = await metadata.of_many(tx, volume_metadata, ids)
    names = await volume_types.names_of(tx, [row.volume_type_id for row in rows]) if rows else {}
    held: dict[str, list[Attachment]] = {each: [] for each in ids}
    statement = rows_among(attachments, "volume_id", order="created_at")
    for each in await tx.all(Attachment, statement, volume_id=ids) if ids else ():
        held[each.volume_id].append(each)
    return [VolumeRecord(row, found[row.id], held[row.id], names.get(row.volume_type_id)) for row in rows]


async def summary(tx: Tx, scope: Scope) -> tuple[int, int, list[tuple[str, str]]]:
    """Returns how many volumes a scope has, their gigabytes, and the different items of their metadata."""
    seen, columns = scope.conditions(volumes), volume_metadata.c
    sums = select(func.count(), func.coalesce(func.sum(volumes.c.size_gib), 0)).where(*seen)
    ((count, size_gib),) = await tx.tuples(sums)
    owned = columns.owner_id.in_(select(volumes.c.id).where(*seen))
    items = select(columns.key, columns.value).where(owned).distinct().order_by(columns.key, columns.value)
    return count, int(size_gib), [(key, value) for key, value in await tx.tuples(items)]


# --- creating --------------------------------------------------------------------------------------------------------


async def create(
    tx: Tx, options: VolumeOptions, new: NewVolume, caller: Caller, task: NewTask, now: datetime
) -> Volume:
    """Claims quota and writes the volume with the task that makes it, whose subject is the volume's id.

    Raises BadRequest, OverQuota, VolumeNotFound, SnapshotNotFound, VolumeTypeNotFound.
    """
    source = await _source_of(tx, new, caller)
    size_gib = _size_of(new, source)
    zone = await _zone_of(tx, options, new, source)
    chosen = await _type_of(tx, options, new, source, caller)
    await qos.require_served(tx, chosen)
    wanted = {"volumes": 1, "gigabytes": size_gib}
    await quotas.claim(tx, options, caller.project_id, chosen.name, wanted, size_gib=size_gib)
    origin = source.volume if source is not None else None
    row = Volume(
        id=task.subject_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=new.name,
        description=new.description,
        size_gib=size_gib,
        growth_gib=0,
        status="creating",
        # A copy is made where its source is.
        host=origin.host if origin is not None else None,
        availability_zone=zone,
        volume_type_id=chosen.id,
        source_snapshot_id=new.snapshot_id,
        source_volume_id=new.source_id,
        source_image=None if new.image is None else msgspec.to_builtins(new.image),
        image_metadata=origin.image_metadata if origin is not None else new.image_metadata,
        bootable=origin.bootable if origin is not None else new.is_bootable or new.image is not None,
        readonly=False,
        multiattach=chosen.extra_specs.get("multiattach", "").lower() == "<is> true",
        created_at=now,
        updated_at=now,
        launched_at=None,
        source_backup_id=new.backup_id,
    )
    await tx.insert(volumes, row)
    await metadata.write(tx, volume_metadata, row.id, new.metadata, replace=True)
    await tasks.start(tx, task, now)
    return row


class Origin(Struct, frozen=True):
    """The source that a volume is copied from: a volume, or one of its snapshots."""

    volume: Volume
    size_gib: int


async def _source_of(tx: Tx, new: NewVolume, caller: Caller) -> Origin | None:
    """Raises BadRequest for a source that cannot be copied now."""
    if new.snapshot_id is not None:
        snapshot = await find_snapshot(tx, new.snapshot_id, caller.sees)
        if snapshot.status != "available":
            raise BadRequest(f"Snapshot {snapshot.id} is {snapshot.status}: only an available one can be copied.")
        return Origin(await find(tx, snapshot.volume_id, None), snapshot.size_gib)
    if new.source_id is not None:
        volume = await find(tx, new.source_id, caller.sees)
        if volume.status == "in-use":
            raise InvalidVolume(f"Volume {volume.id} is in use: it cannot be copied here yet while a server writes.")
        if volume.status != "available":
            raise InvalidVolume(f"Volume {volume.id} is {volume.status}: only an available one can be copied.")
        return Origin(volume, volume.size_gib)
    return None


def _size_of(new: NewVolume, source: Origin | None) -> int:
    if source is None:
        if new.size_gib is None:
            raise BadRequest("size is required for a volume that is not made of another one or of a snapshot.")
        return new.size_gib
    size_gib = source.size_gib if new.size_gib is None else new.size_gib
    if size_gib < source.size_gib:
        raise BadRequest(f"The volume's size of {size_gib} GiB is less than the {source.size_gib} GiB of its source.")
    return size_gib


async def _zone_of(tx: Tx, options: VolumeOptions, new: NewVolume, source: Origin | None) -> str:
    if source is not None:
        its_zone = source.volume.availability_zone
        if new.zone not in (None, its_zone):
            raise BadRequest(f"A copy is made in the zone of its source, {its_zone}, not in {new.zone}.")
        return its_zone
    if new.zone is None:
        return options.default_zone
    if new.zone not in await services.zones(tx, options.default_zone):
        if options.allows_other_zone:
            return options.default_zone
        raise BadRequest(f"Availability zone {new.zone} is not there.")
    return new.zone


async def _type_of(tx: Tx, options: VolumeOptions, new: NewVolume, source: Origin | None, caller: Caller) -> VolumeType:
    if new.type_name is not None:
        return await volume_types.find_named(tx, new.type_name, seen_by=caller.project_id, sees_all=caller.is_admin)
    if source is not None:
        return await volume_types.find(tx, source.volume.volume_type_id, seen_by=None, sees_all=True)
    return await volume_types.default_for(tx, options, caller.project_id)


def new_id() -> str:
    return str(uuid.uuid4())


# --- changing --------------------------------------------------------------------------------------------------------


def check_begins(row: Volume, operation: Operation) -> None:
    """Raises InvalidVolume for a status in which an operation does not begin."""
    if row.status not in operation.begins_in:
        allowed = ", ".join(operation.begins_in)
        raise InvalidVolume(f"Volume {row.id} is {row.status}; it has to be one of {allowed}.")


async def begin(
    tx: Tx, row: Volume, operation: Operation, task: NewTask, now: datetime, *, forced: bool = False, **values: Any
) -> None:
    """Writes the status that an operation shows, with its task. `forced`: whatever the status, and in place of whatever
    runs.

    Raises InvalidVolume for a status that it does not begin in, Busy.
    """
    if not forced:
        check_begins(row, operation)
    await set_status(tx, row, operation.shows, now, **values)
    try:
        if forced:
            await tasks.supersede(tx, task, now)
        else:
            await tasks.start(tx, task, now)
    except SubjectBusy as busy:
        raise Busy(f"Volume {row.id}: {busy}.") from busy


async def set_status(tx: Tx, row: Volume, status: str, now: datetime, **values: Any) -> None:
    """Writes a status over the one that was seen. Raises Busy when it is another one by now."""
    written = {"status": status, "updated_at": now, **values}
    if not await tx.change(volumes, {"id": row.id, "status": row.status}, **written):
        raise Busy(f"Volume {row.id} is not {row.status} any more.")


async def refuse_contradiction(tx: Tx, row: Volume, status: str) -> None:
    """Raises InvalidVolume for a status that says otherwise than the volume's attachments, or its transfer."""
    refuse_read("Volume", row)
    if row.status == AWAITING:
        raise InvalidVolume(f"Volume {row.id} is offered to another project: delete the transfer.")
    held = await tx.scalar(select(func.count()).where(attachments.c.volume_id == row.id))
    if status == "available" and held:
        raise InvalidVolume(
            f"Volume {row.id} has {held} attachments: it is not available. Remove them, or reset attach_status too."
        )
    if status in HELD and not held:
        raise InvalidVolume(f"Volume {row.id} has no attachments: it cannot be {status}.")


def refuse_read(kind: str, row: Volume | Snapshot) -> None:
    """Raises Busy while a volume or a snapshot is read for a backup or an image, which would be left half made."""
    if row.status == BACKING_UP:
        raise Busy(f"{kind} {row.id} is being backed up, which ends by itself.")
    if row.status == UPLOAD_VOLUME.shows:
        raise Busy(f"{kind} {row.id} is being uploaded as an image, which ends by itself.")


async def change(tx: Tx, row: Volume, now: datetime, **values: Any) -> None:
    await tx.change(volumes, {"id": row.id}, **values, updated_at=now)


async def require_unused(tx: Tx, row: Volume, doing: str) -> None:
    """Raises InvalidVolume while the volume is attached, or is being copied."""
    held = await tx.scalar(select(func.count()).where(attachments.c.volume_id == row.id))
    if held:
        raise InvalidVolume(f"Volume {row.id} has {held} attachments: it cannot be {doing}.")
    copied_to = await copies_of(tx, row.id)
    if copied_to:
        raise InvalidVolume(f"Volume {row.id} is being copied to {copied_to[0]}: it cannot be {doing}.")


async def copies_of(tx: Tx, volume_id: str) -> list[str]:
    """Returns the ids of volumes that are being made of a volume, or of its snapshots."""
    of_it = select(snapshots.c.id).where(snapshots.c.volume_id == volume_id)
    is_source = or_(volumes.c.source_volume_id == volume_id, volumes.c.source_snapshot_id.in_(of_it))
    statement = select(volumes.c.id).where(is_source, volumes.c.status == "creating").order_by(volumes.c.id)
    return [row[0] for row in await tx.tuples(statement)]


async def snapshots_of(tx: Tx, volume_id: str) -> list[Snapshot]:
    """Returns a volume's snapshots, oldest first."""
    statement = select(snapshots).where(snapshots.c.volume_id == volume_id)
    return await tx.all(Snapshot, statement.order_by(snapshots.c.created_at, snapshots.c.id))


async def begin_delete(tx: Tx, row: Volume, task: NewTask, now: datetime, *, cascade: bool, forced: bool) -> None:
    """Begins to delete a volume, with its snapshots where that is asked for. Raises InvalidVolume, Busy."""
    refuse_read("Volume", row)
    active = await tasks.active(tx, row.id) if forced else None
    if active is not None and active.args.get("backup_id"):
        # The job that writes to it, and the backup's status, are that task's.
        raise InvalidVolume(f"Volume {row.id} is being restored from a backup, which ends by itself: delete it then.")
    await require_unused(tx, row, "deleted")
    owned = await snapshots_of(tx, row.id)
    if owned and not cascade:
        raise InvalidVolume(f"Volume {row.id} has {len(owned)} snapshots: delete them first, or with it (cascade).")
    for each in owned:
        if each.project_id != row.project_id:
            raise InvalidVolume(f"Volume {row.id} has snapshots of another project: they do not go with it.")
        if each.status not in ("available", "error", "error_deleting"):
            raise InvalidVolume(
                f"Snapshot {each.id} of volume {row.id} is {each.status}: the volume cannot be deleted."
            )
        await tx.change(snapshots, {"id": each.id, "status": each.status}, status="deleting", updated_at=now)
    await begin(tx, row, DELETE_VOLUME, task, now, forced=forced)
    # A volume that goes is offered to nobody.
    await tx.remove(transfers, volume_id=row.id)


async def begin_extend(
    tx: Tx, options: VolumeOptions, row: Volume, size_gib: int, task: NewTask, now: datetime
) -> None:
    """Claims what the volume grows by, and begins. Raises InvalidVolume, OverQuota, Busy."""
    if row.status == "in-use":
        raise InvalidVolume(f"Volume {row.id} is in use: it cannot be extended here yet while a server has it.")
    if size_gib <= row.size_gib:
        raise BadRequest(f"The new size must be more than {row.size_gib} GiB, which the volume has; got {size_gib}.")
    await require_unused(tx, row, "extended")
    names = await volume_types.names_of(tx, [row.volume_type_id])
    growth_gib = size_gib - row.size_gib
    type_name = names.get(row.volume_type_id, "")
    await quotas.claim(tx, options, row.project_id, type_name, {"gigabytes": growth_gib}, size_gib=size_gib)
    await begin(tx, row, EXTEND_VOLUME, task, now, growth_gib=growth_gib)


async def write_metadata(
    tx: Tx, row: Volume, items: Mapping[str, str], now: datetime, *, replace: bool
) -> dict[str, str]:
    written = await metadata.write(tx, volume_metadata, row.id, items, replace=replace)
    await change(tx, row, now)
    return written


async def metadata_of(tx: Tx, row: Volume) -> dict[str, str]:
    return await metadata.of_one(tx, volume_metadata, row.id)


async def remove_metadata_key(tx: Tx, row: Volume, key: str) -> None:
    """Raises KeyNotFound."""
    await metadata.remove_key(tx, volume_metadata, row.id, key)


async def remove_row(tx: Tx, volume_id: str) -> None:
    """Removes a volume's record, and what belongs to it; its data has to be gone."""
    for each in await snapshots_of(tx, volume_id):
        await remove_snapshot_row(tx, each.id)
    await tx.remove(volume_metadata, owner_id=volume_id)
    await tx.remove(attachments, volume_id=volume_id)
    await tx.remove(volumes, id=volume_id)


async def remove_snapshot_row(tx: Tx, snapshot_id: str) -> None:
    await tx.remove(snapshot_metadata, owner_id=snapshot_id)
    await tx.remove(snapshots, id=snapshot_id)


async def retype(
    tx: Tx, options: VolumeOptions, row: Volume, new: VolumeType, *, multiattach: bool, now: datetime
) -> None:
    """Claims quota of the new type for a volume that stays where it is. Raises BadRequest, OverQuota."""
    await qos.require_served(tx, new)
    wanted = {"volumes": 1, "gigabytes": row.size_gib}
    await quotas.claim_of_type(tx, options, row.project_id, new.name, wanted)
    await change(tx, row, now, volume_type_id=new.id, multiattach=multiattach)


async def provisioned(tx: Tx) -> dict[str, tuple[int, int]]:
    """Pool → how many volumes it has, and their gigabytes, those being extended as they will be."""
    sums = select(volumes.c.host, func.count(), func.sum(volumes.c.size_gib + volumes.c.growth_gib))
    found = await tx.tuples(sums.where(volumes.c.host.is_not(None)).group_by(volumes.c.host))
    return {host: (count, int(gigabytes)) for host, count, gigabytes in found}


async def usage_on(tx: Tx, pools: Collection[str]) -> dict[str, tuple[int, int, int, int]]:
    """Project → how many volumes it has on these pools, their GiB, how many snapshots, and the GiB of those."""
    owned = select(volumes.c.project_id, func.count(), func.sum(volumes.c.size_gib)).where(volumes.c.host.in_(pools))
    kept = (
        select(snapshots.c.project_id, func.count(), func.sum(snapshots.c.size_gib))
        .join(volumes, volumes.c.id == snapshots.c.volume_id)
        .where(volumes.c.host.in_(pools))
    )
    of_volumes = {row[0]: row[1:] for row in await tx.tuples(owned.group_by(volumes.c.project_id))}
    of_snapshots = {row[0]: row[1:] for row in await tx.tuples(kept.group_by(snapshots.c.project_id))}
    found: dict[str, tuple[int, int, int, int]] = {}
    for project_id in of_volumes.keys() | of_snapshots.keys():
        count, gigabytes = of_volumes.get(project_id, (0, 0))
        snapshot_count, snapshot_gigabytes = of_snapshots.get(project_id, (0, 0))
        found[project_id] = (count, int(gigabytes), snapshot_count, int(snapshot_gigabytes))
    return found


async def hosts_of(tx: Tx, ids: Collection[str], project_id: str) -> set[str]:
    """Returns the pools of these volumes of a project, for hints that name them."""
    statement = select(volumes.c.host).where(volumes.c.id.in_(ids), volumes.c.project_id == project_id)
    return {row[0] for row in await tx.tuples(statement) if row[0]}


def merged_image_metadata(row: Volume, items: Mapping[str, str]) -> dict[str, str]:
    """Raises BadRequest for too many."""
    merged = {**row.image_metadata, **items}
    if len(merged) > metadata.MOST_ITEMS:
        raise BadRequest(f"Image metadata have {metadata.MOST_ITEMS} items at most, not {len(merged)}.")
    return merged
