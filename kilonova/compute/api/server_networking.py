"""A server's interfaces and security groups, as the network service has them."""

from typing import Any

from msgspec import Struct

from kilonova.compute.api.bodies import ComputeRequest, Name
from kilonova.compute.api.lookup import reading_server
from kilonova.compute.servers import ports, security_groups
from kilonova.compute.tables import Server
from kilonova.compute.views.networking import interface_view, security_group_view
from kilonova.kit.errors import NotFound


class NamedGroup(Struct, forbid_unknown_fields=True):
    name: Name


async def _fetch(request: ComputeRequest, *, unlocked: bool = False) -> Server:
    async with reading_server(request, unlocked=unlocked) as found:
        return found.server


def _tag_of(server: Server, port_id: str) -> str | None:
    return next((entry.get("tag") for entry in server.ports if entry["id"] == port_id), None)


async def list_interfaces(request: ComputeRequest) -> dict[str, Any]:
    server = await _fetch(request)
    found = await ports.of_server(request.service.network, server)
    return {"interfaceAttachments": [interface_view(port, _tag_of(server, port.id)) for port in found]}


async def show_interface(request: ComputeRequest) -> dict[str, Any]:
    server, wanted = await _fetch(request), request.path["port_id"]
    for port in await ports.of_server(request.service.network, server):
        if port.id == wanted:
            return {"interfaceAttachment": interface_view(port, _tag_of(server, port.id))}
    raise NotFound(f"Instance {server.id} does not have a port with id {wanted}")


async def list_security_groups(request: ComputeRequest) -> dict[str, Any]:
    found = await security_groups.of_server(request.service.network, await _fetch(request))
    return {"security_groups": [security_group_view(each, found) for each in found]}


async def add_security_group(request: ComputeRequest, body: NamedGroup) -> None:
    server = await _fetch(request, unlocked=True)
    group = await security_groups.find(request.service, request.ctx, body.name)
    await security_groups.add(request.service, server, group)


async def remove_security_group(request: ComputeRequest, body: NamedGroup) -> None:
    server = await _fetch(request, unlocked=True)
    group = await security_groups.find(request.service, request.ctx, body.name)
    await security_groups.remove(request.service, server, group)
