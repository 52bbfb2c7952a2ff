"""/attachments, and the older actions by which a volume is given to a server or a host and taken back."""

from collections.abc import Iterable
from typing import Any

from kilonova.block_storage import attachments, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import (
    DIALECT,
    VolumeRequest,
    owner_of,
    reading_volume,
    scope_of,
    seen_project,
    writing_volume,
)
from kilonova.block_storage.connecting import attachment_of, connection_to, disconnect, let_go
from kilonova.block_storage.errors import AttachmentNotFound, InUse, InvalidVolume
from kilonova.block_storage.tables import Attachment, Volume
from kilonova.block_storage.views.records import attachment_detail_view, attachment_view
from kilonova.kit.errors import BadRequest, ServiceUnavailable
from kilonova.kit.http import lists
from kilonova.kit.http.bounds import refuse_excess
from kilonova.kit.http.lists import Listing, cut

LISTING = Listing(
    dialect=DIALECT,
    filters={
        "volume_id": lists.text("volume_id"),
        "instance_id": lists.text("server_id"),
        "status": lists.text("status"),
        "attach_status": lists.text("status"),
    },
    others=dict.fromkeys(("all_tenants", "project_id", "tenant_id")),
    sorts={"id": "id", "created_at": "created_at", "volume_id": "volume_id", "attach_status": "status"},
    order=(("created_at", "desc"), ("id", "desc")),
)


async def list_attachments(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=False)


async def list_attachments_in_detail(request: VolumeRequest) -> dict[str, Any]:
    return await _list(request, detailed=True)


async def _list(request: VolumeRequest, *, detailed: bool) -> dict[str, Any]:
    request.authorize()
    page = LISTING.read(request)
    async with request.service.database.reading() as tx:
        shown = cut(await attachments.list_matching(tx, page.selection, scope_of(request)), page)
    view = attachment_detail_view if detailed else attachment_view
    return {"attachments": [view(each) for each in shown.rows], **shown.links("attachments")}


async def show_attachment(request: VolumeRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        row = await attachments.find(tx, request.path["attachment_id"], seen_project(request))
    request.authorize(owner_of(row))
    return {"attachment": attachment_detail_view(row)}


async def create_attachment(request: VolumeRequest, body: bodies.NewAttachmentBody) -> dict[str, Any]:
    """Reserves a volume; with a connector a host is told how to reach it, too."""
    new, service = body.attachment, request.service
    mode = new.mode if isinstance(new.mode, str) else (new.connector or {}).get("mode") or "rw"
    async with service.database.transaction() as tx:
        volume = await volumes.find(tx, new.volume_uuid, seen_project(request))
        request.authorize(owner_of(volume))
        if mode not in ("rw", "ro"):
            raise BadRequest(f"An attachment's mode is rw or ro, not {mode!r}.")
        row = await attachments.reserve(tx, volume, new.instance_uuid, mode, service.clock.now())
    if not new.connector:
        return {"attachment": attachment_detail_view(row)}
    try:
        return await _connected(request, row, volume, new.connector)
    except (InvalidVolume, ServiceUnavailable, BadRequest):
        # What could not be connected was not taken.
        await let_go(service, volume, row.id)
        async with service.database.transaction() as tx:
            await attachments.remove(tx, row, service.clock.now())
        raise


async def _connected(
    request: VolumeRequest, row: Attachment, volume: Volume, connector: dict[str, Any]
) -> dict[str, Any]:
    refuse_excess(connector)
    connection = await connection_to(request.service, volume, row.id)
    connection |= {"access_mode": row.attach_mode, "attachment_id": row.id, "encrypted": False}
    try:
        async with request.service.database.transaction() as tx:
            known = await attachments.find(tx, row.id, None)
            changed = await attachments.connect(tx, known, connector, connection, request.service.clock.now())
    except AttachmentNotFound:
        # It was deleted while its back end was asked.
        await let_go(request.service, volume, row.id)
        raise
    return {"attachment": attachment_detail_view(changed)}


async def update_attachment(request: VolumeRequest, body: bodies.ChangedAttachmentBody) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        row = await attachments.find(tx, request.path["attachment_id"], seen_project(request))
        volume = await volumes.find(tx, row.volume_id, None)
    request.authorize(owner_of(row))
    return await _connected(request, row, volume, body.attachment.connector)


async def complete_attachment(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    async with request.service.database.transaction() as tx:
        row = await attachments.find(tx, request.path["attachment_id"], seen_project(request))
        request.authorize(owner_of(row))
        await attachments.complete(tx, row, request.service.clock.now())


async def look_up_attachment(request: VolumeRequest) -> None:
    """Raises AttachmentNotFound or Forbidden for one that the caller cannot act on."""
    await show_attachment(request)


async def delete_attachment(request: VolumeRequest) -> dict[str, Any]:
    """The answer lists the attachments that the volume has left."""
    async with request.service.database.reading() as tx:
        row = await attachments.find(tx, request.path["attachment_id"], seen_project(request))
        volume = await volumes.find(tx, row.volume_id, None)
    request.authorize(owner_of(row))
    _require_let_go(request, [row])
    await disconnect(request.service, volume, row.id)
    async with request.service.database.transaction() as tx:
        row = await attachments.find(tx, row.id, seen_project(request))
        await attachments.remove(tx, row, request.service.clock.now())
        left = await attachments.of_volume(tx, row.volume_id)
    return {"attachments": [attachment_view(each) for each in left]}


def _require_let_go(request: VolumeRequest, held: Iterable[Attachment]) -> None:
    """Raises InUse for an attachment by which a guest has the volume, unless compute or an administrator asks.

    Only compute knows when the guest has let go. Ended before, the volume could be another project's while the guest
    still reads and writes it (CVE-2023-2088). The connector that compute gives names the server as its `instance`.
    """
    ctx = request.ctx
    if ctx.is_admin or "service" in ctx.roles | ctx.service_roles:
        return
    for row in held:
        if row.server_id is not None and (row.connector or {}).get("instance") == row.server_id:
            raise InUse(row.volume_id, row.server_id)


# --- actions ---------------------------------------------------------------------------------------------------------


async def reserve(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    async with writing_volume(request) as found:
        await attachments.take(found.tx, found.row, request.service.clock.now())


async def unreserve(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    async with writing_volume(request) as found:
        await attachments.give_back(found.tx, found.row, request.service.clock.now())


async def begin_detaching(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    async with writing_volume(request) as found:
        await attachments.begin_detaching(found.tx, found.row, request.service.clock.now())


async def roll_detaching(request: VolumeRequest, body: dict[str, Any] | None) -> None:
    _ = body
    async with writing_volume(request) as found:
        await attachments.roll_detaching(found.tx, found.row, request.service.clock.now())


async def attach(request: VolumeRequest, body: bodies.Attach) -> None:
    async with writing_volume(request) as found:
        if (body.instance_uuid is None) == (body.host_name is None):
            raise BadRequest("A volume is attached to a server (instance_uuid) or to a host (host_name): name one.")
        await attachments.attach(
            found.tx,
            found.row,
            server_id=body.instance_uuid,
            host=body.host_name,
            mountpoint=body.mountpoint,
            mode=body.mode or ("ro" if found.row.readonly else "rw"),
            now=request.service.clock.now(),
        )


async def detach(request: VolumeRequest, body: bodies.Detach) -> None:
    async with writing_volume(request) as found:
        held = await attachments.of_volume(found.tx, found.row.id)
        _require_let_go(request, [each for each in held if body.attachment_id in (None, each.id)])
        await attachments.detach(found.tx, found.row, body.attachment_id, request.service.clock.now())


async def force_detach(request: VolumeRequest, body: bodies.ForceDetach) -> None:
    async with reading_volume(request) as seen:
        refuse_excess(body.connector)
        volume = seen.row
    await disconnect(request.service, volume, body.attachment_id)
    async with writing_volume(request) as found:
        await attachments.detach(found.tx, found.row, body.attachment_id, request.service.clock.now(), forced=True)


async def initialize_connection(request: VolumeRequest, body: bodies.Connecting) -> dict[str, Any]:
    """Tells a host how to reach a volume that is reserved for it."""
    async with reading_volume(request) as found:
        volume = found.row
    if volume.status not in ("attaching", "reserved", "in-use"):
        raise InvalidVolume(f"Volume {volume.id} is {volume.status}: reserve it before it is connected to.")
    refuse_excess(body.connector)
    connection = await connection_to(request.service, volume, attachment_of(volume, body.connector))
    kind = connection.pop("driver_volume_type")
    data = {**connection, "access_mode": "ro" if volume.readonly else "rw", "encrypted": False}
    return {"connection_info": {"driver_volume_type": kind, "data": data}}


async def terminate_connection(request: VolumeRequest, body: bodies.Connecting) -> None:
    """Ends the way of a host to a volume; the volume's status is os-detach's matter."""
    async with reading_volume(request) as found:
        refuse_excess(body.connector)
        volume = found.row
    await disconnect(request.service, volume, attachment_of(volume, body.connector))
