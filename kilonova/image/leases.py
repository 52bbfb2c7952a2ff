"""Who is uploading an image's data: a lease in the database, held by one upload for one image.

queued → saving with the lease, saving → active or queued without it. An upload that lives renews its lease; one whose
process died lets it lapse, and anybody may give it up then. Every change is conditional on the lease, so an upload that
was given up too early loses and harms nobody: it has written under a name of its own.
"""

from datetime import datetime
from uuid import uuid4

from msgspec import Struct, structs
from sqlalchemy import delete, select, update

from kilonova.image.errors import ImageGone, WrongStatus
from kilonova.image.tables import ImageRow, Location, Upload, image_locations, images, upload_leases
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest, Fault


class SavedData(Struct, frozen=True):
    size_bytes: int
    virtual_size_bytes: int | None
    checksum: str
    hash_algorithm: str
    hash_value: str


async def begin(tx: Tx, row: ImageRow, store: str, now: datetime, until: datetime) -> Upload:
    """queued → saving, held by a new upload. Raises BadRequest without formats, WrongStatus unless it is queued."""
    missing = [name for name in ("disk_format", "container_format") if getattr(row, name) is None]
    if missing:
        raise BadRequest(f"An image needs {' and '.join(missing)} before its data.")
    saving = update(images).where(images.c.id == row.id, images.c.status == "queued")
    if await tx.execute(saving.values(status="saving", updated_at=now)) != 1:
        raise WrongStatus(f"Image {row.id} is {row.status}; data is accepted while it is queued.")
    upload_id = str(uuid4())
    upload = Upload(upload_id, row.id, store, f"{row.id}.{upload_id}", until)
    await tx.insert(upload_leases, upload)
    return upload


async def renew(tx: Tx, upload: Upload, until: datetime) -> bool:
    """False when the upload has lost the image."""
    renewed = update(upload_leases).where(upload_leases.c.id == upload.id)
    return await tx.execute(renewed.values(lease_until=until)) == 1


async def finish(tx: Tx, upload: Upload, data: SavedData, now: datetime) -> None:
    """saving → active. Raises ImageGone, and WrongStatus when the upload has lost the image."""
    if await tx.remove(upload_leases, id=upload.id) != 1:
        raise await _lost(tx, upload)
    saved = update(images).where(images.c.id == upload.image_id)
    await tx.execute(saved.values(status="active", updated_at=now, **structs.asdict(data)))
    await tx.insert(image_locations, Location(upload.image_id, upload.store, upload.name))


async def require(tx: Tx, upload: Upload) -> None:
    """Raises what `finish` would raise by now."""
    if await tx.scalar(select(upload_leases.c.id).where(upload_leases.c.id == upload.id)) is None:
        raise await _lost(tx, upload)


async def _lost(tx: Tx, upload: Upload) -> Fault:
    if await tx.scalar(select(images.c.id).where(images.c.id == upload.image_id)) is None:
        return ImageGone(f"Image {upload.image_id} was deleted while its data arrived.")
    return WrongStatus(
        f"Image {upload.image_id} waits for this data no longer: it was given up, and may have other data by now."
    )


async def give_up(tx: Tx, upload: Upload, now: datetime, *, unless_renewed: bool = False) -> bool:
    """saving → queued, as if nothing had arrived. False when the upload did not hold the image any more.

    `unless_renewed`: only if the lease has lapsed. Safe to repeat.
    """
    ended = delete(upload_leases).where(upload_leases.c.id == upload.id)
    if unless_renewed:
        ended = ended.where(upload_leases.c.lease_until < now)
    if await tx.execute(ended) != 1:
        return False
    await tx.change(images, {"id": upload.image_id}, status="queued", updated_at=now)
    return True


async def lapsed(tx: Tx, now: datetime) -> list[Upload]:
    """The uploads whose processes have not been heard of for the length of a lease."""
    return await tx.all(Upload, select(upload_leases).where(upload_leases.c.lease_until < now))


async def places_of(tx: Tx, image_id: str) -> list[Location]:
    """Where data of an image is, or is arriving."""
    found = []
    for table in (upload_leases, image_locations):
        statement = select(table.c.image_id, table.c.store, table.c.name).where(table.c.image_id == image_id)
        found += await tx.all(Location, statement)
    return found


async def names_in(tx: Tx, store: str) -> set[str]:
    """The names of all data in a store that belongs to an image or to an upload."""
    found: set[str] = set()
    # In the order in which a name goes from one to the other.
    for table in (upload_leases, image_locations):
        found.update(name for (name,) in await tx.tuples(select(table.c.name).where(table.c.store == store)))
    return found
