"""POST /volumes/{id}/action, but for what attaches and detaches."""

from typing import Any

from kilonova.block_storage import attachments, snapshots, volume_types, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    Found,
    VolumeRequest,
    caller_of,
    refuse_status,
    seen_project,
    task_for,
    writing_volume,
)
from kilonova.block_storage.api.volumes import begin_delete
from kilonova.block_storage.errors import Busy, InvalidVolume, KeyNotFound
from kilonova.block_storage.programs.extend_volume import EXTEND_VOLUME, ExtendArgs
from kilonova.block_storage.programs.snapshots import REVERT_VOLUME, RevertArgs
from kilonova.block_storage.scheduling.filters import fits_type
from kilonova.block_storage.services import backend_of, find, pools
from kilonova.block_storage.tables import Volume, VolumeType
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest

STATUSES = ("available", "error", "error_deleting", "attaching", "detaching", "in-use", "maintenance", "reserved")
"""Those that an administrator may give a volume: no operation owns them."""


async def extend(request: VolumeRequest, body: bodies.Extension) -> None:
    service = request.service
    async with writing_volume(request) as found:
        size_gib = bodies.size_of(body.new_size)
        task = task_for(request, EXTEND_VOLUME, found.row.id, ExtendArgs(size_gib=size_gib))
        await volumes.begin_extend(found.tx, service.options, found.row, size_gib, task, service.clock.now())


async def revert(request: VolumeRequest, body: bodies.Revert) -> None:
    async with writing_volume(request) as found:
        snapshot = await snapshots.find(found.tx, body.snapshot_id, seen_project(request))
        task = task_for(request, REVERT_VOLUME, found.row.id, RevertArgs(snapshot_id=snapshot.id))
        await snapshots.begin_revert(found.tx, found.row, snapshot, task, request.service.clock.now())


async def reset_status(request: VolumeRequest, body: bodies.ResetStatus) -> None:
    """Writes a status as an administrator wants it. While an operation runs, that one decides it."""
    status = body.status
    async with writing_volume(request) as found:
        _refuse_resets(body)
        active = await request.service.tasks.active(found.tx, found.row.id)
        if active is not None:
            raise Busy(f"Volume {found.row.id} is under the operation {active.program}, which ends by itself.")
        now = request.service.clock.now()
        if body.attach_status == "detached":
            await attachments.release_all(found.tx, found.row, now)
            found = Found(found.tx, await volumes.find(found.tx, found.row.id, None))
        if isinstance(status, str):
            await volumes.refuse_contradiction(found.tx, found.row, status)
            await volumes.set_status(found.tx, found.row, status, now)


def _refuse_resets(body: bodies.ResetStatus) -> None:
    """Raises BadRequest for what nobody can say of a volume."""
    if body.migration_status not in (None, "none") and isinstance(body.migration_status, str):
        raise BadRequest("Volumes do not migrate here yet: there is no migration_status to reset.")
    if not isinstance(body.status, str) and not isinstance(body.attach_status, str):
        raise BadRequest("Reset one of status, attach_status, migration_status.")
    if isinstance(body.attach_status, str) and body.attach_status != "detached":
        raise BadRequest("attach_status can be made detached alone: who has a volume is said by its attachments.")
    if isinstance(body.status, str):
        refuse_status("volume", body.status, STATUSES)


async def force_delete(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    async with writing_volume(request) as found:
        await begin_delete(request, found.tx, found.row, cascade=False, forced=True)


async def set_bootable(request: VolumeRequest, body: bodies.Bootable) -> None:
    async with writing_volume(request) as found:
        bootable = bodies.flag_of("bootable", body.bootable)
        await volumes.change(found.tx, found.row, request.service.clock.now(), bootable=bootable)


async def set_readonly(request: VolumeRequest, body: bodies.ReadOnly) -> None:
    async with writing_volume(request) as found:
        readonly = bodies.flag_of("readonly", body.readonly)
        if found.row.status != "available":
            raise InvalidVolume(f"Volume {found.row.id} is {found.row.status}; it has to be available.")
        await volumes.change(found.tx, found.row, request.service.clock.now(), readonly=readonly)


async def retype(request: VolumeRequest, body: bodies.Retype) -> None:
    """Gives a volume another type where its pool has what that asks for: nothing is moved."""
    service = request.service
    async with writing_volume(request) as found:
        caller, row = caller_of(request), found.row
        if row.status not in ("available", "in-use"):
            raise InvalidVolume(f"Volume {row.id} is {row.status}; it has to be one of available, in-use.")
        new = await volume_types.find_named(
            found.tx, body.new_type, seen_by=caller.project_id, sees_all=caller.is_admin
        )
        if new.id == row.volume_type_id:
            raise BadRequest(f"Volume {row.id} is of type {new.name} already.")
        shares = new.extra_specs.get("multiattach", "").lower() == "<is> true"
        if shares != row.multiattach and row.status != "available":
            raise InvalidVolume(f"Volume {row.id} is in use: whether servers share it cannot change.")
        if not await _fits(found.tx, row, new):
            raise BadRequest(f"The volume's back end is none of type {new.name}, and volumes do not move here yet.")
        await volumes.retype(found.tx, service.options, row, new, multiattach=shares, now=service.clock.now())


async def _fits(tx: Tx, row: Volume, new: VolumeType) -> bool:
    """Whether the volume's pool has what the extra specs of a type ask for."""
    known = await find(tx, backend_of(row.host or ""))
    if known is None or row.host is None:
        return False
    return any(pool.host == row.host and fits_type(pool, new.extra_specs) for pool in pools(known))


# --- image metadata --------------------------------------------------------------------------------------------------


async def set_image_metadata(request: VolumeRequest, body: bodies.ImageMetadata) -> dict[str, Any]:
    async with writing_volume(request) as found:
        merged = volumes.merged_image_metadata(found.row, body.metadata)
        await volumes.change(found.tx, found.row, request.service.clock.now(), image_metadata=merged)
    return {"metadata": merged}


async def show_image_metadata(request: VolumeRequest, body: dict[str, Any] | None) -> dict[str, Any]:
    _ = body
    async with writing_volume(request) as found:
        return {"metadata": found.row.image_metadata}


async def unset_image_metadata(request: VolumeRequest, body: bodies.ImageMetadataKey) -> None:
    async with writing_volume(request) as found:
        kept = dict(found.row.image_metadata)
        if body.key not in kept:
            raise KeyNotFound(f"The image metadata of volume {found.row.id} have no key {body.key}.")
        del kept[body.key]
        await volumes.change(found.tx, found.row, request.service.clock.now(), image_metadata=kept)
