"""/v2/images: list, create, show, patch, delete, and the tags and actions of one."""

from typing import Any
from uuid import uuid4

from msgspec import structs

from kilonova.image import images, leases, quotas
from kilonova.image.api.access import ImageRequest, authorize_visibility, fetch, target_of, viewer_of
from kilonova.image.api.bodies import (
    COLUMNS,
    FIELDS,
    Change,
    ImageFields,
    OlderOperation,
    Operation,
    different_tags,
    read_attribute,
)
from kilonova.image.api.queries import LISTING, read_filters
from kilonova.image.errors import NoSuchProperty, ReadOnlyField
from kilonova.image.images import ImageRecord
from kilonova.image.tables import ImageRow, Location
from kilonova.image.views.images import image_view
from kilonova.kit.errors import BadRequest, DiskFull, Forbidden
from kilonova.kit.http.lists import cut
from kilonova.kit.http.routes import Reply


async def list_images(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    page, filters = LISTING.read(request), read_filters(request.query)
    async with request.service.database.reading() as tx:
        records, ends_early = await images.list_matching(tx, viewer_of(request), filters, page.selection)
    found = cut(records, page, lambda record: record.row.id, goes_on=ends_early)
    shown = [record for record in found.rows if request.may(target_of(request, record), rule="get_image")]
    views = [image_view(record) for record in shown]
    return {"images": views, **found.links("images"), "schema": "/v2/schemas/images"}


async def create_image(request: ImageRequest, body: ImageFields) -> Reply:
    owner = body.owner or request.ctx.project_id
    target = {"project_id": owner, "owner": owner, "visibility": body.visibility}
    if not request.may(target) and owner != request.ctx.project_id:
        raise Forbidden(f"You may not create images owned by {owner}.")
    request.authorize(target)
    authorize_visibility(request, body.visibility, target)
    now = request.service.clock.now()
    row = ImageRow(
        id=body.id or str(uuid4()),
        name=body.name,
        status="queued",
        visibility=body.visibility,
        protected=body.protected,
        hidden=body.os_hidden,
        owner=owner,
        disk_format=body.disk_format,
        container_format=body.container_format,
        min_disk_gib=body.min_disk,
        min_ram_mib=body.min_ram,
        size_bytes=None,
        virtual_size_bytes=None,
        checksum=None,
        hash_algorithm=None,
        hash_value=None,
        created_at=now,
        updated_at=now,
    )
    record = ImageRecord(row, body.extra, different_tags(body.tags))
    async with request.service.database.transaction() as tx:
        await quotas.require_place(tx, owner, request.service.limits)
        await images.create(tx, record)
    headers = {
        "Location": f"{request.base_url}/v2/images/{row.id}",
        "OpenStack-image-store-ids": ",".join(request.service.stores),
    }
    return Reply(image_view(record), headers=headers)


async def show_image(request: ImageRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        record = await fetch(tx, request)
    return image_view(record)


async def update_image(request: ImageRequest, body: list[Operation] | list[OlderOperation]) -> dict[str, Any]:
    changes = [each.change() for each in body]
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        for change in changes:
            record = _changed(request, record, change)
        if changes:
            await images.change(tx, record, request.service.clock.now())
            record = await images.find(tx, record.row.id, viewer_of(request))
    return image_view(record)


def _changed(request: ImageRequest, record: ImageRecord, change: Change) -> ImageRecord:
    """The record after one operation. Raises BadRequest, Forbidden, ReadOnlyField, NoSuchProperty."""
    name = change.name
    is_field = name in FIELDS
    is_there = is_field or name in record.properties
    if change.operation != "add" and not is_there:
        raise NoSuchProperty(f"The image has no property {name!r}.")
    if change.adds_only and is_there:
        raise NoSuchProperty(f"The image has the property {name!r} already.")
    if change.operation == "remove":
        if is_field:
            raise ReadOnlyField(f"The attribute {name!r} may not be removed.")
        properties = {key: value for key, value in record.properties.items() if key != name}
        return structs.replace(record, properties=properties)
    fields = read_attribute(name, change.value)
    if not is_field:
        return structs.replace(record, properties={**record.properties, **fields.extra})
    return _with_field(request, record, name, fields)


def _with_field(request: ImageRequest, record: ImageRecord, name: str, fields: ImageFields) -> ImageRecord:
    """The record with the one of `fields` that is called so. Raises Forbidden, ReadOnlyField."""
    if name == "tags":
        return structs.replace(record, tags=different_tags(fields.tags))
    if name == "visibility":
        authorize_visibility(request, fields.visibility, target_of(request, record))
    elif name == "owner" and not viewer_of(request).is_admin:
        raise ReadOnlyField("Only an administrator gives an image another owner.")
    elif name in ("disk_format", "container_format") and record.row.status != "queued":
        raise ReadOnlyField(f"The attribute {name!r} can be changed only while the image is queued.")
    return structs.replace(record, row=structs.replace(record.row, **{COLUMNS.get(name, name): getattr(fields, name)}))


async def delete_image(request: ImageRequest) -> None:
    async with request.service.database.reading() as tx:
        record = await fetch(tx, request)
        places = await leases.places_of(tx, record.row.id)
    try:
        places = await _remove_record(request)
    except DiskFull:
        # What is deleted makes the room that its record needs to go.
        await request.service.remove_data(places)
        places = await _remove_record(request)
    # After the record: a crash in between leaves data that no one can reach, and recovery removes it.
    await request.service.remove_data(places)


async def _remove_record(request: ImageRequest) -> list[Location]:
    """Returns where the image's data is, or was arriving."""
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        places = await leases.places_of(tx, record.row.id)
        await images.remove(tx, record.row, request.service.clock.now())
    return places


async def add_tag(request: ImageRequest) -> None:
    (tag,) = different_tags([request.path["tag_value"]])
    if len(tag) > 255:
        raise BadRequest("A tag has at most 255 characters.")
    async with request.service.database.transaction() as tx:
        await images.add_tag(tx, await fetch(tx, request), tag, request.service.clock.now())


async def delete_tag(request: ImageRequest) -> None:
    (tag,) = different_tags([request.path["tag_value"]])
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        await images.remove_tag(tx, record, tag, request.service.clock.now())


async def deactivate(request: ImageRequest) -> None:
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        await images.set_active(tx, record.row, active=False, now=request.service.clock.now())


async def reactivate(request: ImageRequest) -> None:
    async with request.service.database.transaction() as tx:
        record = await fetch(tx, request)
        await images.set_active(tx, record.row, active=True, now=request.service.clock.now())
