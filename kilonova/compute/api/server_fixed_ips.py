"""addFixedIp and removeFixedIp, up to version 2.43: one more address on a server's port, or one less.

Source: Compute API reference, "Add (Associate) Fixed Ip (addFixedIp Action)" (deprecated).
"""

from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import Struct, field

from kilonova.compute.api.bodies import UUID, ComputeRequest
from kilonova.compute.api.events import refresh_ports
from kilonova.compute.api.lookup import reading_server
from kilonova.compute.servers import ports
from kilonova.compute.tables import Server
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Word
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.network.client import Port


class WhichNetwork(Struct, forbid_unknown_fields=True):
    network_id: Word = field(name="networkId")


class WhichAddress(Struct, forbid_unknown_fields=True):
    address: Word


async def _fetch(request: ComputeRequest) -> Server:
    async with reading_server(request, unlocked=True) as found:
        return found.server


async def add_fixed_ip(request: ComputeRequest, body: WhichNetwork) -> None:
    """Another address of the network's first subnet, on the server's port there."""
    if not UUID.fullmatch(body.network_id):
        raise BadRequest(f"networkId is the UUID of a network, got {body.network_id!r}.")
    region, server = request.service, await _fetch(request)
    with passing_refusals_on():
        own = await ports.of_server(region.network, server)
        there = [port for port in own if port.network_id == body.network_id]
        subnets = await region.network.list_subnets(network_id=body.network_id) if there else []
        if not subnets:
            raise BadRequest(f"Instance {server.id} has no port with addresses on network {body.network_id}.")
        new = {"subnet_id": subnets[0].id}
        await ports.change(
            region.network, there[0], lambda port: {"fixed_ips": [*msgspec.to_builtins(port.fixed_ips), new]}
        )
    await refresh_ports(region, server)


async def remove_fixed_ip(request: ComputeRequest, body: WhichAddress) -> None:
    try:
        address = str(ip_address(body.address))
    except ValueError as error:
        raise BadRequest(f"Invalid input for address: {error}.") from error
    region, server = request.service, await _fetch(request)

    def without(port: Port) -> dict[str, Any]:
        return {"fixed_ips": [msgspec.to_builtins(each) for each in port.fixed_ips if each.ip_address != address]}

    with passing_refusals_on():
        own = await ports.of_server(region.network, server)
        having = [port for port in own if address in {each.ip_address for each in port.fixed_ips}]
        if not having:
            raise BadRequest(f"Instance {server.id} has no fixed IP {address}.")
        await ports.change(region.network, having[0], without)
    await refresh_ports(region, server)
