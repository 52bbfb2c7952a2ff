"""/volumes: making, showing, listing, changing and deleting them."""

import uuid
from datetime import datetime
from typing import Any

from msgspec import structs

from kilonova.block_storage import backups, services, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    DIALECT,
    VolumeRequest,
    caller_of,
    no_row,
    owner_of,
    read_mapping,
    reading_volume,
    same_in_all,
    scope_of,
    task_for,
    wants_count,
    writing_volume,
)
from kilonova.block_storage.programs.create_volume import CREATE_VOLUME, CreateArgs
from kilonova.block_storage.programs.delete_volume import DELETE_VOLUME, DeleteArgs
from kilonova.block_storage.tables import SourceImage, Volume
from kilonova.block_storage.views.volumes import detail_view, link_view, summary_view
from kilonova.image.client import ImageRecord
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http import lists
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.http.lists import Listing, cut
from kilonova.kit.http.queries import yes_or_no

GIB = 1 << 30
MOST_HINTED = 64
"""Volumes that one hint names."""
SORTS = {
    "id": "id",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "launched_at": "launched_at",
    "name": "name",
    "display_name": "name",
    "size": "size_gib",
    "status": "status",
    "host": "host",
    "availability_zone": "availability_zone",
    "bootable": "bootable",
    "user_id": "user_id",
    "project_id": "project_id",
    "volume_type_id": "volume_type_id",
}
LISTING = Listing(
    dialect=DIALECT,
    filters={
        "name": lists.text("name"),
        "name~": lists.text("name", "contains"),
        "status": lists.text("status"),
        "status~": lists.text("status", "contains"),
        "availability_zone": lists.text("availability_zone"),
        "availability_zone~": lists.text("availability_zone", "contains"),
        "bootable": lists.flag("bootable"),
        "multiattach": lists.flag("multiattach"),
        "size": lists.number("size_gib"),
        "user_id": lists.text("user_id"),
        "volume_type_id": lists.text("volume_type_id"),
        "source_volid": lists.text("source_volume_id"),
        "snapshot_id": lists.text("source_snapshot_id"),
        "host": lists.text("host"),
        "created_at": lists.time("created_at"),
        "updated_at": lists.time("updated_at"),
        # Volumes have no groups and do not migrate, and each takes quota.
        "group_id": no_row,
        "migration_status": no_row,
        "consumes_quota": same_in_all(True),
    },
    others={
        **dict.fromkeys(("all_tenants", "project_id", "tenant_id", "metadata")),
        "glance_metadata": "image_metadata_filter",
        "with_count": "counts",
    },
    sorts=SORTS,
    order=(("created_at", "desc"), ("id", "desc")),
    changes={
        "group_id": "group_filter",
        "name~": "like_filters",
        "status~": "like_filters",
        "availability_zone~": "like_filters",
        "created_at": "time_filters",
        "updated_at": "time_filters",
        "consumes_quota": "consumes_quota",
    },
    rules={"host": "volume_extension:volume_host_attribute"},
)
SUMMARY_QUERY: dict[str, str | None] = dict.fromkeys(("all_tenants", "project_id", "tenant_id"))
SHOWS = "volume_extension:volume_host_attribute"


async def list_volumes(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=False)


async def list_volumes_in_detail(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=True)


async def _list(request: VolumeRequest, *, detailed: bool) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    scope = scope_of(request, with_metadata=True)
    if request.query.get("glance_metadata") and request.allows("image_metadata_filter"):
        wanted = read_mapping("glance_metadata", request.query["glance_metadata"])
        scope = structs.replace(scope, image_metadata=wanted)
    async with request.service.database.reading() as tx:
        rows = await volumes.list_matching(tx, page.selection, scope)
        shown = cut(rows, page)
        records = await volumes.complete(tx, shown.rows)
        service_ids = await _service_ids(tx) if detailed else {}
        count = {"count": await volumes.count_matching(tx, page.selection, scope)} if wants_count(request) else {}
    views = [_shown(request, each, service_ids) if detailed else link_view(each, request.base_url) for each in records]
    return {"volumes": views, **shown.links("volumes"), **count}


async def _service_ids(tx: Tx) -> dict[str, str]:
    return {each.host: each.id for each in await services.all_services(tx)}


def _shown(request: VolumeRequest, record: volumes.VolumeRecord, service_ids: dict[str, str]) -> dict[str, Any]:
    sees_host = request.may(owner_of(record.row), rule=SHOWS)
    return detail_view(record, request.base_url, sees_host=sees_host, service_ids=service_ids)


async def show_in(request: VolumeRequest, tx: Tx, row: Volume) -> dict[str, Any]:
    """The volume as a request is answered with it."""
    (record,) = await volumes.complete(tx, [row])
    return {"volume": _shown(request, record, await _service_ids(tx))}


EXTENDED = ("os-vol-", "volume_image_metadata")
"""Beginnings of the names of what were extensions once."""


async def show_volume(request: VolumeRequest) -> dict[str, Any]:
    async with reading_volume(request) as found:
        return await show_in(request, found.tx, found.row)


async def create_volume(request: VolumeRequest, body: bodies.NewVolumeBody) -> dict[str, Any]:
    request.authorize()
    new, caller = body.volume, caller_of(request)
    new.refuse_unserved()
    _refuse_two_sources(new)
    image_id = new.image_ref or new.image_id
    size_gib = None if new.size is None else bodies.size_of(new.size)
    image = await _image(request, image_id, size_gib) if image_id is not None else None
    wanted = volumes.NewVolume(
        name=bodies.name_of(new.name, new.display_name),
        description=new.description if new.description is not None else new.display_description,
        size_gib=size_gib,
        zone=new.availability_zone,
        type_name=new.volume_type or (_type_of_image(image) if image is not None else None),
        snapshot_id=new.snapshot_id,
        source_id=new.source_volid,
        image=_source_image(image) if image is not None else None,
        image_metadata=_metadata_of(image) if image is not None else {},
        metadata=new.metadata or {},
        backup_id=new.backup_id or None,
    )
    service, args = request.service, _hinted({**(body.hints or {}), **(body.plain_hints or {})})
    task = task_for(request, CREATE_VOLUME, volumes.new_id(), structs.replace(args, backup_id=wanted.backup_id or ""))
    async with service.database.transaction() as tx:
        if wanted.backup_id is not None:
            wanted = await _of_backup(tx, wanted, wanted.backup_id, caller, service.clock.now())
        row = await volumes.create(tx, service.options, wanted, caller, task, service.clock.now())
        return {"volume": _plain((await show_in(request, tx, row))["volume"])}


async def _of_backup(
    tx: Tx, wanted: volumes.NewVolume, backup_id: str, caller: volumes.Caller, now: datetime
) -> volumes.NewVolume:
    """Takes the backup for a volume, which has its size unless another one is given. Raises BadRequest."""
    backup = await backups.find(tx, backup_id, caller.sees)
    size_gib = wanted.size_gib or backup.size_gib
    if size_gib < backup.size_gib:
        raise BadRequest(f"The volume's size of {size_gib} GiB is less than the {backup.size_gib} GiB of its backup.")
    await backups.require_restorable(tx, backup, now)
    kept = backups.properties_of(backup)
    return structs.replace(
        wanted,
        size_gib=size_gib,
        metadata={**kept.metadata, **wanted.metadata},
        image_metadata=kept.image_metadata,
        is_bootable=kept.bootable,
    )


def _plain(shown: dict[str, Any]) -> dict[str, Any]:
    """A volume that is made or changed is answered without what were extensions once."""
    return {name: value for name, value in shown.items() if not name.startswith(EXTENDED)}


def _refuse_two_sources(new: bodies.NewVolume) -> None:
    sources = {
        "imageRef": new.image_ref or new.image_id,
        "snapshot_id": new.snapshot_id,
        "source_volid": new.source_volid,
        "backup_id": new.backup_id or None,
    }
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise BadRequest(f"A volume is made of one source, not of {' and '.join(given)}.")


async def _image(request: VolumeRequest, image_id: str, size_gib: int | None) -> ImageRecord:
    """The image, as the caller sees it. Raises BadRequest for one that no volume of that size can be made of."""
    request.authorize(rule="volume:create_from_image")
    try:
        image = await request.service.image.show(image_id, request.ctx.token)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        raise BadRequest(f"Image {image_id} cannot be used: {fault.message}") from fault
    if image.status != "active" or image.size is None or image.disk_format is None:
        raise BadRequest(f"Image {image_id} is {image.status}: a volume is made of an active one.")
    if image.os_hash_algo != "sha512" or not image.os_hash_value:
        raise BadRequest(f"Image {image_id} has no SHA-512 of its data.")
    least_gib = max(image.min_disk, -(-max(image.size, image.virtual_size or 0) // GIB))
    if size_gib is not None and size_gib < least_gib:
        raise BadRequest(f"The volume's size of {size_gib} GiB is less than the {least_gib} GiB that the image needs.")
    return image


def _source_image(image: ImageRecord) -> SourceImage:
    return SourceImage(image.id, image.disk_format or "", image.size or 0, image.os_hash_value or "")


def _type_of_image(image: ImageRecord) -> str | None:
    """The type that an image's owner wants its volumes to have."""
    return image.properties.get("cinder_img_volume_type") or None


def _metadata_of(image: ImageRecord) -> dict[str, str]:
    told = {
        "image_id": image.id,
        "image_name": image.name or "",
        "checksum": image.checksum or "",
        "container_format": image.container_format or "",
        "disk_format": image.disk_format or "",
        "min_disk": str(image.min_disk),
        "min_ram": str(image.min_ram),
        "size": str(image.size),
    }
    return {**image.properties, **told}


def _hinted(hints: dict[str, Any]) -> CreateArgs:
    """Raises BadRequest for a hint that nothing here obeys."""
    given: dict[str, tuple[str, ...]] = {"same_host": (), "different_host": ()}
    for name, value in hints.items():
        if name not in given:
            raise BadRequest(f"The scheduler hint {name} is not obeyed here yet; there are {', '.join(given)}.")
        given[name] = _ids(name, value)
    return CreateArgs(same_as=given["same_host"], different_from=given["different_host"])


def _ids(name: str, value: Any) -> tuple[str, ...]:
    ids = value if isinstance(value, list) else [value]
    if len(ids) > MOST_HINTED:
        raise BadRequest(f"The scheduler hint {name} names {MOST_HINTED} volumes at most, not {len(ids)}.")
    for each in ids:
        try:
            uuid.UUID(each)
        except (TypeError, ValueError, AttributeError) as error:
            raise BadRequest(f"The scheduler hint {name} names volumes by their ids.") from error
    return tuple(ids)


async def update_volume(request: VolumeRequest, body: bodies.ChangedVolumeBody) -> dict[str, Any]:
    changed, now = body.volume, request.service.clock.now()
    async with writing_volume(request) as found:
        changed.require_some()
        row = found.row
        name, description = changed.new_name(row.name), changed.new_description(row.description)
        await volumes.change(found.tx, row, now, name=name, description=description)
        if isinstance(changed.metadata, dict):
            await volumes.write_metadata(found.tx, row, changed.metadata, now, replace=True)
        shown = await show_in(request, found.tx, await volumes.find(found.tx, row.id, None))
        return {"volume": _plain(shown["volume"])}


DELETE_QUERY: dict[str, str | None] = {"cascade": None, "force": "force_in_delete"}


async def delete_volume(request: VolumeRequest) -> None:
    query = request.query
    async with writing_volume(request) as found:
        cascade = "cascade" in query and yes_or_no("cascade", query["cascade"])
        forced = request.allows("force_in_delete") and "force" in query and yes_or_no("force", query["force"])
        if forced:
            request.authorize(owner_of(found.row), rule="volume:force_delete")
        await begin_delete(request, found.tx, found.row, cascade=cascade, forced=forced)


async def begin_delete(request: VolumeRequest, tx: Tx, row: Volume, *, cascade: bool, forced: bool) -> None:
    task = task_for(request, DELETE_VOLUME, row.id, DeleteArgs())
    await volumes.begin_delete(tx, row, task, request.service.clock.now(), cascade=cascade, forced=forced)


async def show_summary(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        count, size_gib, items = await volumes.summary(tx, scope_of(request))
    return summary_view(count, size_gib, items)
