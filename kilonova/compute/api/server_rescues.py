"""rescue and unrescue: a server booted from another disk. Source: Compute API reference, "Servers run an action"."""

import secrets
from typing import Any

from msgspec import Struct, field

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server, task_for, writing_server
from kilonova.compute.operations import RESCUE
from kilonova.compute.programs.power import POWER, PowerArgs
from kilonova.compute.servers import requests, rescue_disks, servers
from kilonova.compute.servers.requests import Fields
from kilonova.compute.tables import Server
from kilonova.kit.http import bounds
from kilonova.kit.http.bounds import Uuid


class Rescue(Struct, forbid_unknown_fields=True):
    admin_pass: bounds.Name | None = field(default=None, name="adminPass")
    rescue_image_ref: Uuid | None = None


async def rescue_server(request: ComputeRequest, body: Rescue | None) -> dict[str, Any]:
    """Boots the server from an image's disk, its own one's unless another is named, with its own disks beside."""
    wanted = body or Rescue()
    async with reading_server(request, unlocked=True) as found:
        server = found.server
        servers.check_ready(server, found.task, RESCUE)
    image = await _image(request, server, wanted.rescue_image_ref)
    password = wanted.admin_pass or secrets.token_urlsafe(9)
    async with writing_server(request, unlocked=True) as found:
        server = found.server
        # Named, it is to reach the guest, which hears of it by a config drive alone.
        has_config_drive = server.config_drive or bool(wanted.admin_pass)
        number = server.reboot_count + 1
        rescue = rescue_disks.plan(image, server.image, number, has_config_drive=has_config_drive)
        args = PowerArgs(admin_password=password if has_config_drive else None)
        task = task_for(request, POWER[RESCUE.program], server, args)
        await servers.begin_power(found.tx, server, RESCUE, task, found.cell.clock.now(), rescue=rescue)
    return {"adminPass": password}


async def _image(request: ComputeRequest, server: Server, image_id: str | None) -> Fields:
    if image_id is None and server.image is not None:
        return server.image
    return await requests.resolve_image(request.service, request.ctx, image_id or "", None)
