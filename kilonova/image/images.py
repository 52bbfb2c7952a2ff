"""Images' records: who sees them, how they are listed, made, changed and deleted."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select, update

from kilonova.image.errors import (
    ImageExists,
    ImageNotFound,
    ImageProtected,
    TagNotFound,
    TooMany,
)
from kilonova.image.tables import (
    DeletedImage,
    ImageMember,
    ImageProperty,
    ImageRow,
    ImageTag,
    Location,
    Status,
    deleted_images,
    image_locations,
    image_members,
    image_properties,
    image_tags,
    images,
    upload_leases,
)
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection, conditions, paged
from kilonova.kit.db.statements import rows_among
from kilonova.kit.errors import Forbidden

MAX_PROPERTIES = 128
MAX_TAGS = 128
MAX_PROPERTIES_BYTES = 131_072
"""Of all properties of an image together, names and values: more than the body of one request holds."""
MOST_CHARACTERS, BATCH = 8 << 20, 100
"""A page of a list ends after the batch of images whose properties have taken it so far: it is held in memory."""

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")


class ImageRecord(Struct):
    """An image with all that is said of it. `shared_status` is the caller's membership, if he has one."""

    row: ImageRow
    properties: dict[str, str]
    tags: list[str]
    shared_status: str | None = None
    locations: list[Location] = []
    """Where its data is, by store."""


class Viewer(Struct, frozen=True):
    """Whose eyes an image is looked at with."""

    project_id: str | None
    is_admin: bool


class ImageFilters(Struct):
    """Filters on what other tables hold of an image, and on who sees it."""

    properties: dict[str, str] = {}
    tags: list[str] = []
    visibility: str | None = None
    """None leaves out what others offer to the community; `all` leaves out nothing."""
    member_status: str = "accepted"


# --- who sees what ---------------------------------------------------------------------------------------------------


async def find(tx: Tx, image_id: str, viewer: Viewer) -> ImageRecord:
    """Raises ImageNotFound for what does not exist and for what `viewer` may not know of."""
    row = await tx.find(ImageRow, images, id=image_id)
    if row is None:
        raise ImageNotFound(image_id)
    (record,) = await _complete(tx, [row], viewer)
    if not is_visible(record, viewer):
        raise ImageNotFound(image_id)
    return record


def is_visible(record: ImageRecord, viewer: Viewer) -> bool:
    row = record.row
    if viewer.is_admin or row.owner is None or row.visibility in ("public", "community"):
        return True
    if row.owner == viewer.project_id:
        return True
    return row.visibility == "shared" and record.shared_status is not None


async def _complete(tx: Tx, rows: Sequence[ImageRow], viewer: Viewer) -> list[ImageRecord]:
    ids = [row.id for row in rows]
    records = {row.id: ImageRecord(row, {}, []) for row in rows}
    for each in await tx.all(ImageProperty, rows_among(image_properties, "image_id"), image_id=ids):
        records[each.image_id].properties[each.name] = each.value
    for tag in await tx.all(ImageTag, rows_among(image_tags, "image_id", order="tag"), image_id=ids):
        records[tag.image_id].tags.append(tag.tag)
    for location in await tx.all(Location, rows_among(image_locations, "image_id", order="store"), image_id=ids):
        records[location.image_id].locations.append(location)
    for member in await tx.all(ImageMember, _MEMBERSHIPS, image_id=ids, member_id=viewer.project_id):
        records[member.image_id].shared_status = member.status
    return list(records.values())


_MEMBERSHIPS = rows_among(image_members, "image_id").where(image_members.c.member_id == bindparam("member_id"))


def _visible_in_lists(viewer: Viewer, filters: ImageFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    mine = images.c.owner == viewer.project_id
    if not viewer.is_admin:
        with_me = [image_members.c.member_id == viewer.project_id]
        if filters.member_status != "all":
            with_me.append(image_members.c.status == filters.member_status)
        shared = (images.c.visibility == "shared") & images.c.id.in_(select(image_members.c.image_id).where(*with_me))
        conditions.append(or_(images.c.visibility.in_(("public", "community")), mine, shared))
    if filters.visibility is None:
        conditions.append(or_(images.c.visibility != "community", mine))
    elif filters.visibility != "all":
        conditions.append(images.c.visibility == filters.visibility)
    return conditions


async def list_matching(
    tx: Tx, viewer: Viewer, filters: ImageFilters, selection: Selection
) -> tuple[list[ImageRecord], bool]:
    """Returns the records, and whether there are more that were asked for and not read.

    Raises BadRequest for a marker that does not exist, or that `viewer` may not know of.
    """
    statement = select(images).where(*_visible_in_lists(viewer, filters), *conditions(images, selection))
    if filters.properties:
        statement = statement.where(images.c.id.in_(_with_all_properties(filters.properties)))
    if filters.tags:
        statement = statement.where(images.c.id.in_(_with_all_tags(filters.tags)))
    after = None
    if selection.marker is not None:
        try:
            marked = (await find(tx, selection.marker, viewer)).row
        except ImageNotFound as error:
            raise selection.lost(selection.marker) from error
        after = [getattr(marked, name) for name, _ in selection.sorts]
    rows = await tx.all(ImageRow, paged(statement, images, selection, after))
    records = await _complete_some(tx, rows, viewer)
    return records, len(records) < len(rows)


async def _complete_some(tx: Tx, rows: Sequence[ImageRow], viewer: Viewer) -> list[ImageRecord]:
    """As many as may be held in memory at once."""
    records: list[ImageRecord] = []
    characters = 0
    for start in range(0, len(rows), BATCH):
        batch = await _complete(tx, rows[start : start + BATCH], viewer)
        records += batch
        characters += sum(len(value) for record in batch for value in record.properties.values())
        if characters > MOST_CHARACTERS:
            break
    return records


# One subquery each, however many are asked for: a condition for each tag would be nested deeper than SQLite reads.


def _with_all_properties(wanted: Mapping[str, str]) -> Select[Any]:
    """Selects the ids of the images that have them all."""
    table = image_properties.c
    having = [and_(table.name == name, table.value == value) for name, value in wanted.items()]
    ids = select(table.image_id).where(or_(*having)).group_by(table.image_id)
    return ids.having(func.count() == len(having))


def _with_all_tags(wanted: Sequence[str]) -> Select[Any]:
    """Selects the ids of the images that have them all, each of which is different."""
    table = image_tags.c
    ids = select(table.image_id).where(table.tag.in_(wanted)).group_by(table.image_id)
    return ids.having(func.count() == len(wanted))


# --- making and changing ---------------------------------------------------------------------------------------------


async def create(tx: Tx, record: ImageRecord) -> None:
    """Raises TooMany, and ImageExists also for the id of an image that was deleted."""
    was = select(deleted_images).where(deleted_images.c.id == record.row.id)
    if await tx.first(DeletedImage, was) is not None:
        raise ImageExists(f"An image with the identifier {record.row.id} was deleted; its identifier stays taken.")
    if not await tx.insert_new(images, record.row):
        raise ImageExists(f"An image with the identifier {record.row.id} already exists.")
    await _write_properties(tx, record.row.id, record.properties)
    await _write_tags(tx, record.row.id, record.tags)


async def change(tx: Tx, record: ImageRecord, now: datetime) -> None:
    """Writes the whole record over the one there is. Raises TooMany."""
    values = structs.asdict(record.row)
    for kept in ("id", "status", "created_at"):
        del values[kept]
    await tx.execute(update(images).where(images.c.id == record.row.id).values({**values, "updated_at": now}))
    await _write_properties(tx, record.row.id, record.properties)
    await _write_tags(tx, record.row.id, record.tags)


async def _write_properties(tx: Tx, image_id: str, properties: Mapping[str, str]) -> None:
    if len(properties) > MAX_PROPERTIES:
        raise TooMany(f"An image has at most {MAX_PROPERTIES} properties; {len(properties)} were given.")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in properties.items())
    if size > MAX_PROPERTIES_BYTES:
        raise TooMany(f"The properties of an image take {MAX_PROPERTIES_BYTES} bytes at most together, not {size}.")
    await tx.remove(image_properties, image_id=image_id)
    for name, value in properties.items():
        await tx.insert(image_properties, ImageProperty(image_id, name, value))


async def _write_tags(tx: Tx, image_id: str, tags: Iterable[str]) -> None:
    wanted = sorted(set(tags))
    if len(wanted) > MAX_TAGS:
        raise TooMany(f"An image has at most {MAX_TAGS} tags; {len(wanted)} were given.")
    await tx.remove(image_tags, image_id=image_id)
    for tag in wanted:
        await tx.insert(image_tags, ImageTag(image_id, tag))


async def add_tag(tx: Tx, record: ImageRecord, tag: str, now: datetime) -> None:
    """Raises TooMany."""
    await _write_tags(tx, record.row.id, [*record.tags, tag])
    await _touch(tx, record.row.id, now)


async def remove_tag(tx: Tx, record: ImageRecord, tag: str, now: datetime) -> None:
    """Raises TagNotFound."""
    if tag not in record.tags:
        raise TagNotFound(f"Image {record.row.id} has no tag {tag}.")
    await _write_tags(tx, record.row.id, [each for each in record.tags if each != tag])
    await _touch(tx, record.row.id, now)


async def _touch(tx: Tx, image_id: str, now: datetime) -> None:
    await tx.change(images, {"id": image_id}, updated_at=now)


async def remove(tx: Tx, row: ImageRow, now: datetime) -> None:
    """Deletes the record, of which the id stays; the data is the caller's to remove afterwards. Raises
    ImageProtected."""
    if row.protected:
        raise ImageProtected(f"Image {row.id} is protected and cannot be deleted.")
    for table in (image_properties, image_tags, image_members, image_locations, upload_leases):
        await tx.remove(table, image_id=row.id)
    await tx.remove(images, id=row.id)
    await tx.insert_new(deleted_images, DeletedImage(row.id, now))


async def set_active(tx: Tx, row: ImageRow, *, active: bool, now: datetime) -> None:
    """Lets the data be downloaded, or not any more. Raises Forbidden for an image that has none."""
    if row.status not in ("active", "deactivated"):
        action = "reactivate" if active else "deactivate"
        raise Forbidden(f"Image {row.id} is {row.status}: there is nothing to {action}.")
    status: Status = "active" if active else "deactivated"
    await tx.change(images, {"id": row.id}, status=status, updated_at=now)
