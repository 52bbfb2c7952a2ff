"""/snapshots."""

from typing import Any

from kilonova.block_storage import snapshots, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    DIALECT,
    VolumeRequest,
    caller_of,
    reading_snapshot,
    refuse_status,
    same_in_all,
    scope_of,
    task_for,
    wants_count,
    writing_snapshot,
)
from kilonova.block_storage.errors import Busy
from kilonova.block_storage.programs.snapshots import CREATE_SNAPSHOT, DELETE_SNAPSHOT, SnapshotArgs
from kilonova.block_storage.tables import Snapshot
from kilonova.block_storage.views.records import snapshot_detail_view, snapshot_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut

STATUSES = ("available", "error", "error_deleting")
"""Those that an administrator may give a snapshot: no operation owns them."""
LISTING = Listing(
    dialect=DIALECT,
    filters={
        "name": lists.text("name"),
        "name~": lists.text("name", "contains"),
        "status": lists.text("status"),
        "status~": lists.text("status", "contains"),
        "volume_id": lists.text("volume_id"),
        "user_id": lists.text("user_id"),
        "created_at": lists.time("created_at"),
        "updated_at": lists.time("updated_at"),
        "consumes_quota": same_in_all(True),
    },
    others={
        **dict.fromkeys(("all_tenants", "project_id", "tenant_id")),
        "metadata": "snapshot_metadata_filter",
        "with_count": "counts",
    },
    sorts={
        "id": "id",
        "created_at": "created_at",
        "updated_at": "updated_at",
        "name": "name",
        "display_name": "name",
        "status": "status",
        "volume_id": "volume_id",
        "volume_size": "size_gib",
        "user_id": "user_id",
        "project_id": "project_id",
    },
    order=(("created_at", "desc"), ("id", "desc")),
    changes={
        "name~": "like_filters",
        "status~": "like_filters",
        "created_at": "time_filters",
        "updated_at": "time_filters",
        "consumes_quota": "consumes_quota",
    },
)


async def list_snapshots(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=False)


async def list_snapshots_in_detail(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=True)


async def _list(request: VolumeRequest, *, detailed: bool) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    scope = scope_of(request, with_metadata=request.allows("snapshot_metadata_filter"))
    async with request.service.database.reading() as tx:
        shown = cut(await snapshots.list_matching(tx, page.selection, scope), page)
        records = await snapshots.complete(tx, shown.rows)
        count = {"count": await snapshots.count_matching(tx, page.selection, scope)} if wants_count(request) else {}
    view = snapshot_detail_view if detailed else snapshot_view
    return {"snapshots": [view(each) for each in records], **shown.links("snapshots"), **count}


async def _shown(tx: Tx, row: Snapshot) -> dict[str, Any]:
    (record,) = await snapshots.complete(tx, [row])
    return {"snapshot": snapshot_detail_view(record)}


async def show_snapshot(request: VolumeRequest) -> dict[str, Any]:
    async with reading_snapshot(request) as found:
        return await _shown(found.tx, found.row)


async def create_snapshot(request: VolumeRequest, body: bodies.NewSnapshotBody) -> dict[str, Any]:
    request.authorize()
    new, service = body.snapshot, request.service
    if new.force is not None:
        bodies.flag_of("force", new.force)
    wanted = snapshots.NewSnapshot(
        volume_id=new.volume_id,
        name=bodies.name_of(new.name, new.display_name),
        description=new.description if new.description is not None else new.display_description,
        metadata=new.metadata or {},
    )
    task = task_for(request, CREATE_SNAPSHOT, volumes.new_id(), SnapshotArgs())
    async with service.database.transaction() as tx:
        row = await snapshots.create(tx, service.options, wanted, caller_of(request), task, service.clock.now())
        (record,) = await snapshots.complete(tx, [row])
    return {"snapshot": snapshot_view(record)}


async def update_snapshot(request: VolumeRequest, body: bodies.ChangedSnapshotBody) -> dict[str, Any]:
    changed, now = body.snapshot, request.service.clock.now()
    async with writing_snapshot(request) as found:
        changed.require_some()
        row = found.row
        name, description = changed.new_name(row.name), changed.new_description(row.description)
        await snapshots.change(found.tx, row, now, name=name, description=description)
        if isinstance(changed.metadata, dict):
            await snapshots.write_metadata(found.tx, row, changed.metadata, now, replace=True)
        (record,) = await snapshots.complete(found.tx, [await snapshots.find(found.tx, row.id, None)])
    return {"snapshot": snapshot_view(record)}


async def delete_snapshot(request: VolumeRequest) -> None:
    await _begin_delete(request, forced=False)


async def force_delete(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    await _begin_delete(request, forced=True)


async def _begin_delete(request: VolumeRequest, *, forced: bool) -> None:
    async with writing_snapshot(request) as found:
        task = task_for(request, DELETE_SNAPSHOT, found.row.id, SnapshotArgs())
        await snapshots.begin_delete(found.tx, found.row, task, request.service.clock.now(), forced=forced)


async def reset_status(request: VolumeRequest, body: bodies.ResetStatus) -> None:
    """Writes a status as an administrator wants it. While an operation runs, that one decides it."""
    async with writing_snapshot(request) as found:
        if not isinstance(body.status, str):
            raise BadRequest("status says what the snapshot is to be.")
        refuse_status("snapshot", body.status, STATUSES)
        volumes.refuse_read("Snapshot", found.row)
        active = await request.service.tasks.active(found.tx, found.row.id)
        if active is not None:
            raise Busy(f"Snapshot {found.row.id} is under the operation {active.program}, which ends by itself.")
        await snapshots.set_status(found.tx, found.row, body.status, request.service.clock.now())
