"""shelve, shelveOffload and unshelve. Source: Compute API reference, "Servers run an action"."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from kilonova.compute.api.bodies import ComputeRequest, Name
from kilonova.compute.api.lookup import reading_server, task_for, writing_server
from kilonova.compute.api.server_bodies import HostName
from kilonova.compute.errors import InvalidServer, WrongState
from kilonova.compute.hosts import hosts
from kilonova.compute.operations import SHELVE, SHELVE_OFFLOAD, UNSHELVE
from kilonova.compute.programs import shelving
from kilonova.compute.programs.convergence import HostArgs
from kilonova.compute.programs.shelving import ShelveArgs
from kilonova.compute.servers import servers, snapshots
from kilonova.compute.tables import Host, Server
from kilonova.kit.errors import BadRequest, Conflict, Fault
from kilonova.kit.http.passing_on import passing_refusals_on


class ZonedUnshelve(Struct, forbid_unknown_fields=True):
    """As versions 2.77 to 2.90 have it."""

    availability_zone: Name


class Unshelve(Struct, forbid_unknown_fields=True):
    availability_zone: Name | None | UnsetType = UNSET
    """None: it is pinned to no zone any more."""
    host: HostName | UnsetType = UNSET


async def shelve_server(request: ComputeRequest, _body: Any) -> None:
    """Makes the image with the caller's own token, then starts the task that fills it; together or not at all."""
    region = request.service
    async with reading_server(request, unlocked=True) as found:
        server = found.server
        servers.check_ready(server, found.task, SHELVE)
    fields = snapshots.image_fields(server, request.ctx, region.options, name=f"{server.name}-shelved"[:255])
    with passing_refusals_on():
        image_id = (await region.image.create(fields, request.ctx.token)).id
    try:
        async with writing_server(request, unlocked=True) as found:
            args = ShelveArgs(image_id=image_id, is_offloaded=region.options.shelved_offload_seconds == 0)
            task = task_for(request, shelving.SHELVE, server, args)
            now = found.cell.clock.now()
            await servers.begin(found.tx, found.server, SHELVE, task, now)
            await servers.change(found.tx, server.id, now, wanted_power="stopped")
    except Fault:
        await region.image.delete(image_id, request.ctx.token)
        raise


async def offload_server(request: ComputeRequest, _body: Any) -> None:
    async with writing_server(request, unlocked=True) as found:
        task = task_for(request, shelving.SHELVE_OFFLOAD, found.server, HostArgs())
        await servers.begin(found.tx, found.server, SHELVE_OFFLOAD, task, found.cell.clock.now())


async def unshelve_server(request: ComputeRequest, body: Any) -> None:
    """Before version 2.77 whatever the body held was ignored."""
    wanted = body if isinstance(body, Unshelve) else Unshelve(availability_zone=None)
    if isinstance(body, ZonedUnshelve):
        wanted = Unshelve(availability_zone=body.availability_zone)
    is_told_where = isinstance(body, Unshelve | ZonedUnshelve)
    async with reading_server(request, unlocked=True) as found:
        if wanted.availability_zone is UNSET and wanted.host is UNSET:
            raise BadRequest("Invalid input for action unshelve: it is null, or names availability_zone or host.")
        servers.check_ready(found.server, found.task, UNSHELVE)
        if is_told_where and found.server.vm_state != "shelved_offloaded":
            raise WrongState(found.server.id, UNSHELVE.action, f"vm_state {found.server.vm_state}: it is on its host")
    place = await _place(request, found.server, wanted) if is_told_where else {}
    async with writing_server(request, unlocked=True) as found:
        now, server = found.cell.clock.now(), found.server
        task = task_for(request, shelving.UNSHELVE, server, HostArgs())
        await servers.begin(found.tx, server, UNSHELVE, task, now)
        # Where a server was to be created is not where it has to come back to.
        values = {"wanted_power": "running", "requested_host": None, **place}
        await servers.change(found.tx, server.id, now, **values)


async def _place(request: ComputeRequest, server: Server, wanted: Unshelve) -> dict[str, Any]:
    """The columns that say where to. Raises Forbidden, BadRequest for what is not there, Conflict for what differs."""
    known = [each.host for each in await hosts.everywhere(request.service)]
    values: dict[str, Any] = {}
    zone = server.requested_zone if wanted.availability_zone is UNSET else wanted.availability_zone
    if wanted.availability_zone is not UNSET:
        values["requested_zone"] = zone
        if zone is not None and not hosts.by_zone(known).get(zone):
            raise InvalidServer(f"The requested availability zone is not available: {zone}.")
    if wanted.host is not UNSET:
        owner = {"project_id": server.project_id, "user_id": server.user_id}
        request.authorize(owner, rule="os_compute_api:os-shelve:unshelve_to_host")
        values["requested_host"] = _host(known, wanted.host, zone).host
    return values


def _host(known: list[Host], name: str, zone: str | None) -> Host:
    host = next((each for each in known if each.host == name), None)
    if host is None:
        raise BadRequest(f"Compute host {name} could not be found.")
    if zone is not None and host.availability_zone != zone:
        raise Conflict(f"Host {name} is in the zone {host.availability_zone}, and the server is for {zone}.")
    return host
