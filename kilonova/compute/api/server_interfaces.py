"""Attaching and detaching a server's interfaces. Source: Compute API reference, "Port interfaces"."""

import asyncio
from ipaddress import ip_address
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import Found, reading_server, task_for, writing_server
from kilonova.compute.api.server_bodies import DeviceTag
from kilonova.compute.errors import WrongState
from kilonova.compute.operations import OPERATIONS
from kilonova.compute.programs import release
from kilonova.compute.programs.interfaces import ATTACH_INTERFACE, DETACH_INTERFACE, INTERFACES, InterfaceArgs
from kilonova.compute.servers import requests, servers, specs
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.compute.views.networking import interface_view
from kilonova.kit.errors import BadRequest, Conflict, Fault, Forbidden, NotFound
from kilonova.kit.http.bounds import Uuid, Word
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.http.versions import since
from kilonova.kit.tasks import Program
from kilonova.network.client import Port

PATIENCE_SECONDS = 5.0
"""How long one interface waits for another of the same server."""
PAUSE_SECONDS = 0.1


class FixedIp(Struct, forbid_unknown_fields=True):
    ip_address: Word


class NewInterface(Struct, forbid_unknown_fields=True):
    net_id: Uuid | None = None
    port_id: Uuid | None = None
    fixed_ips: Annotated[list[FixedIp], Meta(min_length=1, max_length=1)] | None = None
    tag: Annotated[DeviceTag | None | UnsetType, since("2.49")] = UNSET


class NewInterfaceBody(Struct, forbid_unknown_fields=True):
    interface_attachment: NewInterface = field(name="interfaceAttachment")


async def attach_interface(request: ComputeRequest, body: NewInterfaceBody) -> dict[str, Any]:
    """A port that is there, or a new one on a network: the one of the project when none is named."""
    region, new = request.service, body.interface_attachment
    async with reading_server(request, unlocked=True) as found:
        server = found.server
    _check(new)
    servers.check_state(server, ATTACH_INTERFACE.name, OPERATIONS[ATTACH_INTERFACE.name].begins_in)
    try:
        port = await _port_for(request, server, new)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        raise _as_fault(fault) from fault
    is_new = new.port_id is None
    details = await specs.details_of(region.network, [port], new_ports=[port.id] if is_new else [])
    tags = {port.id: new.tag} if new.tag else {}
    (entry,) = specs.port_entries(details, [] if is_new else [port.id], tags)
    try:
        await _begin(request, ATTACH_INTERFACE, entry)
    except Fault:
        if is_new:
            await region.network.delete_port(port.id)
        raise
    return {"interfaceAttachment": interface_view(port, new.tag or None)}


async def detach_interface(request: ComputeRequest) -> None:
    port_id = request.path["port_id"]
    async with reading_server(request, unlocked=True) as found:
        server = found.server
    entry = next((each for each in server.ports if each["id"] == port_id), None)
    if entry is None:
        raise NotFound(f"Port {port_id} is no interface of instance {server.id}.")
    await _begin(request, DETACH_INTERFACE, entry)


def _check(new: NewInterface) -> None:
    if new.net_id is not None and new.port_id is not None:
        raise BadRequest("Must not input both network_id and port_id")
    if new.fixed_ips is not None:
        if new.net_id is None:
            raise BadRequest("Must input network_id when request IP address")
        try:
            ip_address(new.fixed_ips[0].ip_address)
        except ValueError as error:
            raise BadRequest(f"Invalid input for fixed_ips: {error}.") from error


async def _port_for(request: ComputeRequest, server: Server, new: NewInterface) -> Port:
    """The port to attach, looked up with the caller's token; a new one is the server's from its first moment."""
    region, ctx = request.service, request.ctx
    if new.port_id is not None:
        return await requests.usable_port(region, ctx, new.port_id, server.project_id)
    wanted: dict[str, Any]
    if new.net_id is None:
        (wanted,) = await requests.resolve_networks(region, ctx, "auto")
    else:
        await region.network.show_network(new.net_id, token=ctx.token)
        address = new.fixed_ips[0].ip_address if new.fixed_ips else None
        (wanted,) = await requests.resolve_networks(region, ctx, [{"uuid": new.net_id, "fixed_ip": address}])
    return await region.network.create_port({**release.owner_of(server), **release.new_port(server, wanted)})


def _as_fault(fault: RemoteFault) -> Fault:
    """What the network service refused, under the same status."""
    kinds: dict[int, type[Fault]] = {403: Forbidden, 404: NotFound, 409: Conflict}
    return kinds.get(fault.status, BadRequest)(fault.message)


async def _begin(request: ComputeRequest, program: Program[Cell, InterfaceArgs], entry: dict[str, Any]) -> None:
    """The row's change and its task in one commit; after another interface of the same server, should one be under way.

    Raises WrongState when it takes too long, or something else is under way.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        async with writing_server(request, unlocked=True) as found:
            if not _waits_for_another(found):
                await _write(request, found, program, entry)
                break
        if asyncio.get_running_loop().time() > deadline:
            raise WrongState(found.server.id, program.name, "the middle of another interface's change")
        await asyncio.sleep(PAUSE_SECONDS)


def _waits_for_another(found: Found) -> bool:
    return found.task is not None and found.task.program in {each.name for each in INTERFACES}


async def _write(request: ComputeRequest, found: Found, program: Program[Cell, InterfaceArgs], entry: Any) -> None:
    tx, server = found.tx, found.server
    now = request.service.clock.now()
    others = [each for each in server.ports if each["id"] != entry["id"]]
    if program is DETACH_INTERFACE and len(others) == len(server.ports):
        raise NotFound(f"Port {entry['id']} is no interface of instance {server.id}.")
    task = task_for(request, program, server, InterfaceArgs(entry=entry))
    await servers.begin(tx, server, OPERATIONS[program.name], task, now)
    ports = [*others, entry] if program is ATTACH_INTERFACE else others
    await servers.change(tx, server.id, now, ports=ports)
