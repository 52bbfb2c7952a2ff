"""rebuild: a server's disks made anew. Source: Compute API reference, "Rebuild Server"."""

import secrets
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute.api.bodies import UUID, ComputeRequest, Name, as_boolean
from kilonova.compute.api.lookup import host_statuses, reading_server, shown_in_detail, task_for, writing_server
from kilonova.compute.api.server_bodies import MOST_LISTED, Description, HostName, Metadata
from kilonova.compute.api.servers import access_addresses, find_keypair, read_hostname
from kilonova.compute.catalog import quotas
from kilonova.compute.errors import InvalidServer, WrongState
from kilonova.compute.operations import REBUILD as OPERATION
from kilonova.compute.programs.rebuild import REBUILD, RebuildArgs
from kilonova.compute.servers import requests, servers
from kilonova.compute.servers.requests import Fields
from kilonova.compute.servers.specs import encode_user_data
from kilonova.compute.tables import Flavor, Server
from kilonova.compute.views.servers import plain_view
from kilonova.kit.http import bounds
from kilonova.kit.http.bounds import Id, LongText, Text, Word
from kilonova.kit.http.routes import Reply
from kilonova.kit.http.versions import since, until


class Rebuild(Struct, forbid_unknown_fields=True):
    image_ref: Text = field(name="imageRef")
    name: Name | UnsetType = UNSET
    admin_pass: bounds.Name | None = field(default=None, name="adminPass")
    metadata: Metadata | UnsetType = UNSET
    preserve_ephemeral: bool | Word = False
    access_ip_v4: Word | UnsetType = field(default=UNSET, name="accessIPv4")
    access_ip_v6: Word | UnsetType = field(default=UNSET, name="accessIPv6")
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")
    personality: Annotated[
        Annotated[list[Annotated[dict[Id, LongText], Meta(max_length=2)]], Meta(max_length=MOST_LISTED)] | UnsetType,
        until("2.56"),
    ] = UNSET
    description: Annotated[Description | None | UnsetType, since("2.19")] = UNSET
    key_name: Annotated[bounds.Name | None | UnsetType, since("2.54")] = UNSET
    user_data: Annotated[LongText | None | UnsetType, since("2.57")] = UNSET
    trusted_image_certificates: Annotated[
        Annotated[list[bounds.Name], Meta(max_length=MOST_LISTED)] | None | UnsetType, since("2.63")
    ] = UNSET
    hostname: Annotated[HostName | UnsetType, since("2.90")] = UNSET


async def rebuild_server(request: ComputeRequest, body: Rebuild) -> Reply:
    async with reading_server(request, unlocked=True) as found:
        server = found.server
        servers.check_ready(server, found.task, OPERATION)
        _check_launched(server)
    changes = await _resolve(request, server, body)
    password = body.admin_pass or secrets.token_urlsafe(9)
    async with writing_server(request, unlocked=True) as found:
        server, tx, now = found.server, found.tx, found.cell.clock.now()
        _check_launched(server)
        # What the user chose is to reach the guest, which hears of it by its config drive alone.
        config_drive = server.config_drive or bool(body.admin_pass) or requests.needs_config_drive(changes["image"])
        args = RebuildArgs(admin_password=password if config_drive else None)
        await servers.begin(tx, server, OPERATION, task_for(request, REBUILD, server, args), now)
        wanted_power = "stopped" if server.vm_state == "stopped" else "running"
        values = {"wanted_power": wanted_power, "rebuild_count": server.rebuild_count + 1, "root_image": None}
        await servers.change(tx, server.id, now, config_drive=config_drive, **values, **changes)
        changed = await servers.find_with_task(tx, server.id)
        statuses = await host_statuses(found.cell, tx, request, [changed])
    shown = shown_in_detail(request, changed, statuses)
    if request.allows("update_shows_whole_server"):
        # Here it is `user_data`, for everybody, and clients take no second one.
        shown.pop("OS-EXT-SRV-ATTR:user_data", None)
    else:
        shown = plain_view(shown, changed.server)
    if request.allows("rebuild_key_name"):
        shown["key_name"] = changed.server.key_name
    if request.allows("rebuild_user_data"):
        shown["user_data"] = encode_user_data(changed.server.user_data)
    location = f"{request.base_url}/v2.1/servers/{server.id}"
    return Reply({"server": {**shown, "adminPass": password}}, status=202, headers={"Location": location})


def _check_launched(server: Server) -> None:
    """Raises WrongState for one that has never run, or is on no host: there are no disks to make anew."""
    if server.launched_at is None or server.host is None:
        raise WrongState(server.id, OPERATION.action, f"vm_state {server.vm_state}: it was never built")


async def _resolve(request: ComputeRequest, server: Server, body: Rebuild) -> dict[str, Any]:
    """The columns that change. Raises InvalidServer for what does not exist or does not fit, QuotaExceeded."""
    region = request.service
    if body.personality is not UNSET and body.personality:
        raise InvalidServer("Files cannot be injected; give them in user_data or on a config drive.")
    if body.trusted_image_certificates not in (UNSET, None):
        raise InvalidServer("Images are not signed here: trusted_image_certificates can only be null.")
    changes: dict[str, Any] = {"keeps_ephemeral": as_boolean(body.preserve_ephemeral, "preserve_ephemeral")}
    for name in ("name", "metadata", "description", "disk_config"):
        if getattr(body, name) is not UNSET:
            changes[name] = getattr(body, name)
    changes |= access_addresses(body)
    if body.hostname is not UNSET:
        changes["hostname"] = read_hostname(request, body.hostname)
    if body.user_data is not UNSET:
        changes["user_data"] = requests.decode_user_data(body.user_data)
    async with region.reading() as tx:
        if body.metadata is not UNSET:
            quotas.check_metadata(await quotas.limits_of(tx, server.project_id), len(body.metadata))
        if body.key_name is not UNSET:
            keypair = await find_keypair(tx, request, body.key_name)
            changes |= {
                "key_name": keypair.name if keypair else None,
                "public_key": keypair.public_key if keypair else None,
                "key_type": keypair.type if keypair else None,
            }
    changes["image"] = await _image(request, server, body.image_ref)
    return changes


async def _image(request: ComputeRequest, server: Server, reference: str) -> Fields:
    image_id = reference.rstrip("/").rpartition("/")[2].lower()
    if not UUID.fullmatch(image_id):
        raise InvalidServer(f"Invalid imageRef provided: it is the UUID of an image, got {image_id[:64]!r}.")
    flavor = msgspec.convert(server.flavor, Flavor)
    image = await requests.resolve_image(request.service, request.ctx, image_id, flavor)
    requests.check_requirements(flavor, image, request.service.rules)
    requests.check_same_nodes(server, image)
    return image
