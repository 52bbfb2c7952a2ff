"""/servers/{id}/os-volume_attachments: giving a server volumes and taking them away.

Source: Compute API reference, "Servers with volume attachments".
"""

import uuid
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field, structs

from kilonova.block_storage.client import Volume
from kilonova.compute.agent.spec import SpecImage
from kilonova.compute.api.bodies import ComputeRequest, as_boolean
from kilonova.compute.api.listing import OFFSETS
from kilonova.compute.api.lookup import reading_server, task_for, writing_server
from kilonova.compute.api.server_bodies import DeviceTag
from kilonova.compute.operations import OPERATIONS
from kilonova.compute.programs.volume_attachments import ATTACH_VOLUME, DETACH_VOLUME, VolumeArgs, promised
from kilonova.compute.servers import disks, new_volumes, servers, specs, volumes
from kilonova.compute.servers.volumes import ServerVolume
from kilonova.compute.tables import Server
from kilonova.compute.views.volumes import attachment_view
from kilonova.kit.errors import BadRequest, Conflict
from kilonova.kit.http.bounds import Name, Uuid, Word
from kilonova.kit.http.client import RemoteUnavailable
from kilonova.kit.http.lists import Listing, cut_among
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.kit.http.routes import Reply
from kilonova.kit.http.versions import since

LISTING = Listing(dialect=OFFSETS)
QUERY = LISTING.query


class NewAttachment(Struct, forbid_unknown_fields=True):
    volume_id: Uuid = field(name="volumeId")
    device: Name | None = None
    tag: Annotated[DeviceTag | None | UnsetType, since("2.49")] = UNSET
    delete_on_termination: Annotated[bool | Word | UnsetType, since("2.79")] = UNSET


class NewAttachmentBody(Struct, forbid_unknown_fields=True):
    attachment: NewAttachment = field(name="volumeAttachment")


class ChangedAttachment(Struct, forbid_unknown_fields=True):
    volume_id: Uuid = field(name="volumeId")
    delete_on_termination: Annotated[bool | Word | UnsetType, since("2.85")] = UNSET
    device: Annotated[Name | None | UnsetType, since("2.85")] = UNSET
    server_id: Annotated[Uuid | UnsetType, since("2.85")] = field(default=UNSET, name="serverId")
    tag: Annotated[DeviceTag | None | UnsetType, since("2.85")] = UNSET
    id: Annotated[Uuid | UnsetType, since("2.85")] = UNSET


class ChangedAttachmentBody(Struct, forbid_unknown_fields=True):
    attachment: ChangedAttachment = field(name="volumeAttachment")


async def list_attachments(request: ComputeRequest) -> dict[str, Any]:
    async with reading_server(request) as found:
        server = found.server
    shown = cut_among(volumes.of_server(server), LISTING.read(request)).rows
    return {"volumeAttachments": [attachment_view(server.id, each) for each in shown]}


async def show_attachment(request: ComputeRequest) -> dict[str, Any]:
    async with reading_server(request) as found:
        server = found.server
    return {"volumeAttachment": attachment_view(server.id, volumes.find(server, request.path["volume_id"]))}


async def attach_volume(request: ComputeRequest, body: NewAttachmentBody) -> Reply:
    """Has the volume promised to the server before it answers, so that of two who ask the second is told so."""
    region, new = request.service, body.attachment
    async with reading_server(request, unlocked=True) as found:
        server = found.server
    servers.check_state(server, ATTACH_VOLUME.name, OPERATIONS[ATTACH_VOLUME.name].begins_in)
    volumes.check_room(volumes.of_server(server), new.volume_id)
    with passing_refusals_on():
        volume = await new_volumes.usable_volume(region, request.ctx, new.volume_id)
    async with writing_server(request, unlocked=True) as found:
        server, now = found.server, region.clock.now()
        held = volumes.of_server(server)
        volumes.check_room(held, volume.id)
        entry = _entry(server, new, volume)
        task = task_for(request, ATTACH_VOLUME, server, VolumeArgs(volume_id=volume.id))
        await servers.begin(found.tx, server, OPERATIONS[ATTACH_VOLUME.name], task, now)
        await servers.change(found.tx, server.id, now, volumes=volumes.as_kept([*held, entry]))
    await _promise(request, server, volume)
    if request.allows("volume_attach_async"):
        return Reply(None, status=202)
    return Reply({"volumeAttachment": attachment_view(server.id, entry)})


async def _promise(request: ComputeRequest, server: Server, volume: Volume) -> None:
    """Takes the task's first step together with it: what is refused here is refused there, and taken back there."""
    try:
        with passing_refusals_on():
            await promised(request.service.volume, volume.id, server.id, request.ctx.token)
    except RemoteUnavailable:
        # The task goes on trying.
        return


def _entry(server: Server, new: NewAttachment, volume: Volume) -> ServerVolume:
    """The volume in the server's row. Raises Conflict for a device that is taken."""
    image = None if server.image is None else msgspec.convert(server.image, SpecImage)
    local = specs.local_disks(server, specs.spec_flavor(server.flavor), image)
    used = {disk.place.device for disk in local} | {each.device for each in volumes.of_server(server)}
    bus = disks.volume_bus(image)
    asked = (new.device or "").removeprefix("/dev/")
    if asked in used:
        raise Conflict(f"The supplied device path ({new.device}) is in use.")
    # The name is only the host's own: one of another bus would promise a kind of disk that it is not.
    device = asked if disks.is_device_of(bus, asked) else disks.free_device(bus, used)
    is_deleted = new.delete_on_termination
    return ServerVolume(
        id=volume.id,
        owner_id=volume.project_id,
        bdm_id=str(uuid.uuid4()),
        device=device,
        bus=bus,
        tag=new.tag or "",
        is_deleted=is_deleted is not UNSET and as_boolean(is_deleted, "delete_on_termination"),
        is_shared=volume.multiattach,
    )


async def change_attachment(request: ComputeRequest, body: ChangedAttachmentBody) -> None:
    """Says whether the volume is deleted with its server; all else stays as it is."""
    changed, volume_id = body.attachment, request.path["volume_id"]
    if changed.volume_id != volume_id:
        async with reading_server(request, unlocked=True) as found:
            volumes.find(found.server, volume_id)
        raise BadRequest("A volume is not swapped for another one here yet: detach it, and attach the other one.")
    if changed.delete_on_termination is UNSET:
        raise BadRequest("A change of an attachment says delete_on_termination, from version 2.85 on.")
    async with writing_server(request, unlocked=True) as found:
        server = found.server
        volume = volumes.find(server, volume_id)
        _check_unchanged(server, volume, changed)
        is_deleted = as_boolean(changed.delete_on_termination, "delete_on_termination")
        held = volumes.with_one(volumes.of_server(server), structs.replace(volume, is_deleted=is_deleted))
        await servers.change(found.tx, server.id, request.service.clock.now(), volumes=volumes.as_kept(held))


def _check_unchanged(server: Server, volume: ServerVolume, changed: ChangedAttachment) -> None:
    """Raises BadRequest for a field that cannot be changed and is to be another."""
    known = {
        "device": (changed.device, f"/dev/{volume.device}"),
        "serverId": (changed.server_id, server.id),
        "tag": (changed.tag, volume.tag or None),
        "id": (changed.id, volume.id),
    }
    for name, (wanted, present) in known.items():
        if wanted is not UNSET and wanted != present:
            raise BadRequest(f"The {name} of an attachment cannot be changed: it is {present}.")


async def detach_volume(request: ComputeRequest) -> None:
    volume_id = request.path["volume_id"]
    async with writing_server(request, unlocked=True) as found:
        server, now = found.server, request.service.clock.now()
        held = volumes.of_server(server)
        volume = volumes.find(server, volume_id)
        if volume.boot_index == 0:
            raise BadRequest(f"Volume {volume_id} is the root device of server {server.id}, which cannot lose it.")
        task = task_for(request, DETACH_VOLUME, server, VolumeArgs(volume_id=volume_id))
        await servers.begin(found.tx, server, OPERATIONS[DETACH_VOLUME.name], task, now)
        held = volumes.with_one(held, structs.replace(volume, is_leaving=True))
        await servers.change(found.tx, server.id, now, volumes=volumes.as_kept(held))
