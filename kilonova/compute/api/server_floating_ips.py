"""addFloatingIp and removeFloatingIp, up to version 2.43: a floating address leads to a server, or no longer.

Source: Compute API reference, "Add (Associate) Floating Ip (addFloatingIp Action)" (deprecated).
"""

from ipaddress import ip_address
from typing import Any

from msgspec import Struct

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.events import refresh_ports
from kilonova.compute.api.lookup import reading_server
from kilonova.compute.servers import ports
from kilonova.compute.tables import Server
from kilonova.kit.errors import BadRequest, Conflict, NotFound
from kilonova.kit.http.bounds import Word
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.network.client import FloatingIp, Port

CHANGED_MEANWHILE = 412
ATTEMPTS = 5


class NewAddress(Struct, forbid_unknown_fields=True):
    address: Word
    fixed_address: Word | None = None


class OldAddress(Struct, forbid_unknown_fields=True):
    address: Word


async def _fetch(request: ComputeRequest) -> Server:
    async with reading_server(request, unlocked=True) as found:
        return found.server


async def _find(request: ComputeRequest, address: str) -> FloatingIp:
    """Returns the floating IP with this address in the caller's project. Raises NotFound."""
    wanted = {"floating_ip_address": _checked("address", address), "project_id": request.ctx.project_id}
    found = await request.service.network.list_floating_ips(token=request.ctx.token, **wanted)
    if not found:
        raise NotFound(f"Floating IP {address} not found.")
    return found[0]


def _checked(name: str, text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise BadRequest(f"Invalid input for {name}: {error}.") from error


async def add_floating_ip(request: ComputeRequest, body: NewAddress) -> None:
    """Lets the address lead to a fixed IPv4 address of the server: the one named, or its first.

    One that leads to another server is moved, as upstream does; of several requests that take one at once the first has
    it, and the others are told.
    """
    region, server = request.service, await _fetch(request)
    fixed = None if body.fixed_address is None else _checked("fixed_address", body.fixed_address)
    with passing_refusals_on():
        own = await ports.of_server(region.network, server)
        port, fixed = _serving(server, own, fixed)
        floating = await _find(request, body.address)
        await _lead(request, floating, {"port_id": port.id, "fixed_ip_address": fixed})
    await refresh_ports(region, server)


def _serving(server: Server, own: list[Port], wanted: str | None) -> tuple[Port, str]:
    """The port and the fixed address to lead to. Raises BadRequest."""
    order = [each["id"] for each in server.ports]
    in_order = sorted(own, key=lambda port: order.index(port.id) if port.id in order else len(order))
    fixed = [(port, each.ip_address) for port in in_order for each in port.fixed_ips if ":" not in each.ip_address]
    if not fixed:
        raise BadRequest(f"No fixed IPs associated to instance {server.id}")
    for port, address in fixed:
        if wanted in (None, address):
            return port, address
    raise BadRequest(f"Specified fixed address {wanted} is not assigned to instance {server.id}")


async def _lead(request: ComputeRequest, floating: FloatingIp, fields: dict[str, Any]) -> None:
    """Raises Conflict when somebody else has let it lead elsewhere meanwhile."""
    network, token, before = request.service.network, request.ctx.token, floating.port_id
    for _ in range(ATTEMPTS):
        try:
            await network.update_floating_ip(floating.id, fields, token, revision_number=floating.revision_number)
        except RemoteFault as fault:
            if fault.status != CHANGED_MEANWHILE:
                raise
        else:
            return
        floating = await network.show_floating_ip(floating.id, token)
        if floating.port_id == fields["port_id"]:
            return
        if floating.port_id != before:
            break
    raise Conflict(f"Floating IP {floating.floating_ip_address} has been associated by another request meanwhile.")


async def remove_floating_ip(request: ComputeRequest, body: OldAddress) -> None:
    region, server = request.service, await _fetch(request)
    with passing_refusals_on():
        floating = await _find(request, body.address)
        own = {port.id for port in await ports.of_server(region.network, server)}
        if floating.port_id not in own:
            raise Conflict(f"Floating IP {body.address} is not associated with instance {server.id}.")
        await _lead(request, floating, {"port_id": None})
    await refresh_ports(region, server)
