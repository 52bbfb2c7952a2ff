"""addFixedIp and removeFixedIp, up to version 2.43: one more address on a server's port, or one less.

Source: Compute API reference, "Add (Associate) Fixed Ip (addFixedIp Action)" (deprecated).
"""

from ipaddress import ip_address

import msgspec
from msgspec import Struct, field

from kilonova.compute.api.bodies import UUID, ComputeRequest
from kilonova.compute.api.events import refresh_ports
from kilonova.compute.api.security_groups import network_says
from kilonova.compute.api.servers import reading_server
from kilonova.compute.tables import Server
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Word


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
    compute, server = request.service, await _fetch(request)
    with network_says():
        ports = await compute.network.list_ports(device_id=server.id, network_id=body.network_id)
        subnets = await compute.network.list_subnets(network_id=body.network_id) if ports else []
        if not subnets:
            raise BadRequest(f"Instance {server.id} has no port with addresses on network {body.network_id}.")
        wanted = [*msgspec.to_builtins(ports[0].fixed_ips), {"subnet_id": subnets[0].id}]
        await compute.network.update_port(ports[0].id, {"fixed_ips": wanted})
    await refresh_ports(compute, server)


async def remove_fixed_ip(request: ComputeRequest, body: WhichAddress) -> None:
    try:
        address = str(ip_address(body.address))
    except ValueError as error:
        raise BadRequest(f"Invalid input for address: {error}.") from error
    compute, server = request.service, await _fetch(request)
    with network_says():
        for port in await compute.network.list_ports(device_id=server.id):
            left = [msgspec.to_builtins(each) for each in port.fixed_ips if each.ip_address != address]
            if len(left) < len(port.fixed_ips):
                await compute.network.update_port(port.id, {"fixed_ips": left})
                break
        else:
            raise BadRequest(f"Instance {server.id} has no fixed IP {address}.")
    await refresh_ports(compute, server)
