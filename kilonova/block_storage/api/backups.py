"""/backups."""

from typing import Any

from msgspec import UnsetType

from kilonova.block_storage import backup_records, backups, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    DIALECT,
    PASSING,
    VolumeRequest,
    caller_of,
    owner_of,
    reading_backup,
    refuse_status,
    scope_of,
    task_for,
    wants_count,
    writing_backup,
)
from kilonova.block_storage.backups import BackupRecord
from kilonova.block_storage.errors import Busy
from kilonova.block_storage.operations import CREATE_BACKUP as CREATING
from kilonova.block_storage.programs.backups import CREATE_BACKUP, DELETE_BACKUP, IMPORT_BACKUP, BackupArgs
from kilonova.block_storage.programs.create_volume import CREATE_VOLUME, CreateArgs
from kilonova.block_storage.programs.restoring import RESTORE_BACKUP, RestoreArgs
from kilonova.block_storage.views.backups import backup_detail_view, backup_view, restore_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut

STATUSES = ("available", "error")
"""Those that an administrator may give a backup: no operation owns them."""
SHOWS_PROJECT = "backup:backup_project_attribute"
LISTING = Listing(
    dialect=DIALECT,
    filters={
        "name": lists.text("name"),
        "name~": lists.text("name", "contains"),
        "status": lists.text("status"),
        "status~": lists.text("status", "contains"),
        "volume_id": lists.text("volume_id"),
        "snapshot_id": lists.text("snapshot_id"),
        "user_id": lists.text("user_id"),
    },
    others={
        **dict.fromkeys(("all_tenants", "project_id", "tenant_id")),
        "metadata": "backup_metadata",
        "with_count": "counts",
    },
    sorts={
        "id": "id",
        "created_at": "created_at",
        "updated_at": "updated_at",
        "name": "name",
        "status": "status",
        "size": "size_gib",
        "volume_id": "volume_id",
        "host": "host",
        "availability_zone": "availability_zone",
        "data_timestamp": "data_timestamp",
        "user_id": "user_id",
        "project_id": "project_id",
    },
    order=(("created_at", "desc"), ("id", "desc")),
    changes={"name~": "like_filters", "status~": "like_filters"},
)


async def list_backups(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=False)


async def list_backups_in_detail(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=True)


async def _list(request: VolumeRequest, *, detailed: bool) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    scope = scope_of(request, with_metadata=request.allows("backup_metadata"))
    async with request.service.database.reading() as tx:
        shown = cut(await backups.list_matching(tx, page.selection, scope), page)
        records = await backups.complete(tx, shown.rows)
        count = {"count": await backups.count_matching(tx, page.selection, scope)} if wants_count(request) else {}
    views = [_shown(request, each) if detailed else backup_view(each.row, request.base_url) for each in records]
    return {"backups": views, **shown.links("backups"), **count}


def _shown(request: VolumeRequest, record: BackupRecord) -> dict[str, Any]:
    sees_project = request.may(owner_of(record.row), rule=SHOWS_PROJECT)
    return backup_detail_view(record, request.base_url, sees_project=sees_project)


async def show_backup(request: VolumeRequest) -> dict[str, Any]:
    async with reading_backup(request) as found:
        (record,) = await backups.complete(found.tx, [found.row])
    return {"backup": _shown(request, record)}


async def create_backup(request: VolumeRequest, body: bodies.NewBackupBody) -> dict[str, Any]:
    request.authorize()
    new, service = body.backup, request.service
    wanted = backups.NewBackup(
        volume_id=new.volume_id,
        snapshot_id=new.snapshot_id,
        name=bodies.name_of(new.name),
        description=new.description,
        container=new.container,
        zone=new.availability_zone if isinstance(new.availability_zone, str) else None,
        is_incremental=bodies.flag_of("incremental", new.incremental),
        is_forced=bodies.flag_of("force", new.force),
        metadata=new.metadata if isinstance(new.metadata, dict) else {},
    )
    task = task_for(request, CREATE_BACKUP, volumes.new_id(), BackupArgs())
    async with service.database.transaction() as tx:
        row = await backups.create(tx, service.options, wanted, caller_of(request), task, service.clock.now())
    return {"backup": backup_view(row, request.base_url)}


async def update_backup(request: VolumeRequest, body: bodies.ChangedBackupBody) -> dict[str, Any]:
    changed = body.backup
    async with writing_backup(request) as found:
        changed.require_some()
        row = found.row
        name = row.name if isinstance(changed.name, UnsetType) else bodies.name_of(changed.name)
        description = row.description if isinstance(changed.description, UnsetType) else changed.description
        await backups.change(found.tx, row, request.service.clock.now(), name=name, description=description)
        if isinstance(changed.metadata, dict):
            await backups.write_metadata(found.tx, row, changed.metadata)
        shown = await backups.find(found.tx, row.id, None)
    return {"backup": backup_view(shown, request.base_url)}


async def delete_backup(request: VolumeRequest) -> None:
    await _begin_delete(request, forced=False)


async def force_delete(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    await _begin_delete(request, forced=True)


async def _begin_delete(request: VolumeRequest, *, forced: bool) -> None:
    async with writing_backup(request) as found:
        row = found.row
        active = await request.service.tasks.active(found.tx, row.id)
        frees = active is not None and (active.program == CREATING.program or bool(active.args.get("frees_source")))
        task = task_for(request, DELETE_BACKUP, row.id, BackupArgs(frees_source=frees))
        await backups.begin_delete(found.tx, row, task, request.service.clock.now(), forced=forced)


async def reset_status(request: VolumeRequest, body: bodies.ResetStatus) -> None:
    """Writes a status as an administrator wants it. While an operation runs, that one decides it."""
    async with writing_backup(request) as found:
        row = found.row
        if not isinstance(body.status, str):
            raise BadRequest("status says what the backup is to be.")
        refuse_status("backup", body.status, STATUSES)
        if row.status in (*PASSING, backups.RESTORING):
            raise Busy(f"Backup {row.id} is {row.status}: an operation is at work, which ends by itself.")
        await backups.set_status(found.tx, row, body.status, request.service.clock.now())


async def restore_backup(request: VolumeRequest, body: bodies.RestoreBody) -> dict[str, Any]:
    """Restores a volume that is named, or a new one."""
    wanted, service = body.restore, request.service
    async with writing_backup(request) as found:
        tx, row, now = found.tx, found.row, service.clock.now()
        caller = caller_of(request)
        if wanted.volume_id is not None:
            volume = await volumes.find(tx, wanted.volume_id, caller.sees)
            task = task_for(request, RESTORE_BACKUP, volume.id, RestoreArgs(backup_id=row.id))
            await backups.begin_restore(tx, row, volume, task, now)
        else:
            await backups.require_restorable(tx, row, now)
            kept = backups.properties_of(row)
            new = volumes.NewVolume(
                name=bodies.name_of(wanted.name) or f"restore_backup_{row.id}",
                description=f"Restored from backup {row.id}",
                size_gib=row.size_gib,
                zone=None,
                type_name=None,
                backup_id=row.id,
                metadata=kept.metadata,
                image_metadata=kept.image_metadata,
                is_bootable=kept.bootable,
            )
            task = task_for(request, CREATE_VOLUME, volumes.new_id(), CreateArgs(backup_id=row.id))
            volume = await volumes.create(tx, service.options, new, caller, task, now)
    return {"restore": restore_view(row, volume)}


async def export_record(request: VolumeRequest) -> dict[str, Any]:
    async with reading_backup(request) as found:
        record = await backup_records.export(found.tx, found.row)
    return {"backup-record": {"backup_service": backup_records.FORMAT, "backup_url": record}}


async def import_record(request: VolumeRequest, body: bodies.ExportedBackupBody) -> dict[str, Any]:
    request.authorize()
    given, service = body.backup_record, request.service
    if given.backup_service != backup_records.FORMAT:
        raise BadRequest(
            f"Backups of {given.backup_service} cannot be read here: only those of {backup_records.FORMAT}."
        )
    told = backup_records.read(given.backup_url)
    task = task_for(request, IMPORT_BACKUP, told.id, BackupArgs())
    async with service.database.transaction() as tx:
        row = await backup_records.begin_import(
            tx, service.options, told, caller_of(request), task, service.clock.now()
        )
    return {"backup": backup_view(row, request.base_url)}
