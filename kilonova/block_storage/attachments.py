"""Attachments: who holds a volume, and the volume's status that follows from it.

Attaching takes three steps that others decide on: a volume is reserved, then a host is told how to reach it, then that
host says that it has it. Each writes the volume's status over the one that was seen. Source: Block Storage API
reference, "Attachments".
"""

import uuid
from datetime import datetime
from typing import Any

from msgspec import structs
from sqlalchemy import func, select

from kilonova.block_storage import volumes
from kilonova.block_storage.errors import AttachmentNotFound, InvalidVolume
from kilonova.block_storage.scope import Scope
from kilonova.block_storage.tables import Attachment, Volume, attachments, snapshots
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection
from kilonova.kit.errors import BadRequest

MOST_OF_VOLUME = 256
"""Attachments of one volume that several servers share."""
ATTACHED, ATTACHING, RESERVED = "attached", "attaching", "reserved"
FREE, USED = "available", "in-use"
FOLLOWING = (FREE, USED, ATTACHING, RESERVED, "detaching")
"""The statuses of volumes that are about attaching."""
_FOLLOWS = ((ATTACHED, USED), (ATTACHING, ATTACHING), (RESERVED, RESERVED))
"""Status of an attachment → the volume's, the strongest first."""


async def find(tx: Tx, attachment_id: str, project_id: str | None) -> Attachment:
    """Raises AttachmentNotFound. `project_id` None sees every project's."""
    row = await tx.find(Attachment, attachments, id=attachment_id)
    if row is None or project_id not in (None, row.project_id):
        raise AttachmentNotFound(attachment_id)
    return row


async def list_matching(tx: Tx, selection: Selection, scope: Scope) -> list[Attachment]:
    """Raises the selection's fault for a marker that is not in the scope."""
    return await scope.rows(tx, attachments, Attachment, selection)


async def of_volume(tx: Tx, volume_id: str) -> list[Attachment]:
    statement = select(attachments).where(attachments.c.volume_id == volume_id)
    return await tx.all(Attachment, statement.order_by(attachments.c.created_at, attachments.c.id))


async def reserve(tx: Tx, volume: Volume, server_id: str | None, mode: str, now: datetime) -> Attachment:
    """Takes a volume for a server, which gets again what was taken for it already and no host was told of.

    Raises InvalidVolume for one that others have, or that is being worked on.
    """
    held = await of_volume(tx, volume.id)
    for each in held:
        if server_id is not None and (each.server_id, each.status) == (server_id, RESERVED):
            return each
    await require_attachable(tx, volume)
    if len(held) >= MOST_OF_VOLUME:
        raise InvalidVolume(f"Volume {volume.id} has {len(held)} attachments, and can have no more.")
    if server_id is not None and any(each.server_id == server_id for each in held) and not volume.multiattach:
        raise InvalidVolume(f"Volume {volume.id} is attached to server {server_id} already.")
    if volume.readonly and mode == "rw":
        mode = "ro"
    row = _new(volume, server_id, mode, RESERVED, now)
    await tx.insert(attachments, row)
    await follow(tx, volume, now)
    return row


def _new(volume: Volume, server_id: str | None, mode: str, status: str, now: datetime) -> Attachment:
    """Makes the row of an attachment that no host was told of."""
    return Attachment(
        id=str(uuid.uuid4()),
        volume_id=volume.id,
        project_id=volume.project_id,
        server_id=server_id,
        attached_host=None,
        mountpoint=None,
        attach_mode=mode,
        status=status,
        connector=None,
        connection=None,
        created_at=now,
        attached_at=None,
    )


async def require_attachable(tx: Tx, volume: Volume) -> None:
    """Raises InvalidVolume unless a server may be given the volume now."""
    allowed = (FREE, USED, ATTACHING, RESERVED) if volume.multiattach else (FREE,)
    if volume.status not in allowed:
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}; it has to be one of {', '.join(allowed)}.")
    copied_to = await volumes.copies_of(tx, volume.id)
    if copied_to:
        raise InvalidVolume(f"Volume {volume.id} is being copied to {copied_to[0]}: it cannot be attached.")
    in_making = select(func.count()).where(snapshots.c.volume_id == volume.id, snapshots.c.status == "creating")
    if await tx.scalar(in_making):
        raise InvalidVolume(f"A snapshot of volume {volume.id} is being made: it cannot be attached.")


async def connect(
    tx: Tx, row: Attachment, connector: dict[str, Any], connection: dict[str, Any], now: datetime
) -> Attachment:
    """Notes which host has been told how to reach the volume. Raises BadRequest for one that is attached already."""
    if row.status == ATTACHED:
        raise BadRequest(f"Attachment {row.id} is complete: its connector cannot be changed.")
    place = {"id": row.id, "status": row.status}
    host, mountpoint = connector.get("host"), connector.get("mountpoint")
    changed = await tx.change(
        attachments,
        place,
        status=ATTACHING,
        connector=connector,
        connection=connection,
        attached_host=str(host)[:255] if host else None,
        mountpoint=str(mountpoint)[:255] if mountpoint else row.mountpoint,
    )
    if not changed:
        raise BadRequest(f"Attachment {row.id} is not {row.status} any more.")
    await follow(tx, await volumes.find(tx, row.volume_id, None), now)
    return await find(tx, row.id, None)


async def complete(tx: Tx, row: Attachment, now: datetime) -> None:
    """The host has the volume. Raises BadRequest for an attachment that no host was told of."""
    if row.status == ATTACHED:
        return
    if not await tx.change(attachments, {"id": row.id, "status": ATTACHING}, status=ATTACHED, attached_at=now):
        raise BadRequest(f"Attachment {row.id} is {row.status}: it has to be {ATTACHING} to be completed.")
    await follow(tx, await volumes.find(tx, row.volume_id, None), now)


async def remove(tx: Tx, row: Attachment, now: datetime) -> None:
    await tx.remove(attachments, id=row.id)
    await follow(tx, await volumes.find(tx, row.volume_id, None), now)


async def release_all(tx: Tx, volume: Volume, now: datetime) -> None:
    """Nobody has the volume any more, as an administrator says."""
    await tx.remove(attachments, volume_id=volume.id)
    await follow(tx, volume, now)


async def follow(tx: Tx, volume: Volume, now: datetime) -> None:
    """Gives a volume the status that follows from its attachments, unless something else decides it."""
    if volume.status not in FOLLOWING:
        return
    held = {each.status for each in await of_volume(tx, volume.id)}
    status = next((of_volume_ for mine, of_volume_ in _FOLLOWS if mine in held), FREE)
    if status != volume.status:
        await volumes.set_status(tx, volume, status, now)


# --- the older actions, in which a server's host and the volume are named and no attachment ---------------------------


async def take(tx: Tx, volume: Volume, now: datetime) -> None:
    """os-reserve. Raises InvalidVolume."""
    await require_attachable(tx, volume)
    await volumes.set_status(tx, volume, ATTACHING, now)


async def give_back(tx: Tx, volume: Volume, now: datetime) -> None:
    """os-unreserve: nothing happens to a volume that was not reserved."""
    if volume.status == ATTACHING:
        await follow(tx, volume, now)


async def begin_detaching(tx: Tx, volume: Volume, now: datetime) -> None:
    """Raises InvalidVolume."""
    if volume.status != USED:
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}; it has to be {USED} to be detached.")
    await volumes.set_status(tx, volume, "detaching", now)


async def roll_detaching(tx: Tx, volume: Volume, now: datetime) -> None:
    if volume.status == "detaching":
        await volumes.set_status(tx, volume, USED, now)


async def attach(
    tx: Tx,
    volume: Volume,
    *,
    server_id: str | None,
    host: str | None,
    mountpoint: str,
    mode: str,
    now: datetime,
) -> None:
    """os-attach: a server or a host has the volume. Raises InvalidVolume."""
    if volume.status not in (FREE, ATTACHING, RESERVED):
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}; it has to be one of {FREE}, {ATTACHING}.")
    if volume.readonly and mode == "rw":
        raise InvalidVolume(f"Volume {volume.id} can be attached for reading alone.")
    row = structs.replace(
        _new(volume, server_id, mode, ATTACHED, now), attached_host=host, mountpoint=mountpoint, attached_at=now
    )
    await tx.insert(attachments, row)
    await follow(tx, volume, now)


async def detach(tx: Tx, volume: Volume, attachment_id: str | None, now: datetime, *, forced: bool = False) -> None:
    """os-detach: nobody has the volume any more, or one of several. Nothing happens to one that nobody has.

    Raises InvalidVolume, AttachmentNotFound.
    """
    if volume.status == FREE and attachment_id is None:
        return
    if not forced and volume.status not in (USED, "detaching"):
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}; it has to be one of {USED}, detaching.")
    held = await of_volume(tx, volume.id)
    if attachment_id is not None:
        held = [each for each in held if each.id == attachment_id]
        if not held:
            raise AttachmentNotFound(attachment_id)
    elif len(held) > 1 and not forced:
        raise InvalidVolume(f"Volume {volume.id} has {len(held)} attachments: say which one is detached.")
    for each in held:
        await tx.remove(attachments, id=each.id)
    if forced and volume.status == "error":
        # Somebody said so to make it detachable: the volume is as good as its attachments again.
        await volumes.set_status(tx, volume, USED, now)
        volume = await volumes.find(tx, volume.id, None)
    await follow(tx, volume, now)
