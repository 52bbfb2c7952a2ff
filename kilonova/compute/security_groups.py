"""A server's security groups: they are those of its ports, kept by the network service.

The server's row keeps their names for what lists show and guests read.
"""

from collections.abc import Iterable

from kilonova.compute import cells, servers
from kilonova.compute.errors import InvalidServer
from kilonova.compute.service import Compute
from kilonova.compute.tables import Server
from kilonova.kit.auth import RequestContext
from kilonova.kit.errors import Conflict, NotFound
from kilonova.network.client import NetworkClient, Port, SecurityGroup


async def find(compute: Compute, ctx: RequestContext, name: str) -> SecurityGroup:
    """By name or id, of those the caller sees. Raises NotFound, or Conflict for a name that several have."""
    known = await compute.network.list_security_groups(token=ctx.token, project_id=ctx.project_id)
    matches = [each for each in known if name in (each.id, each.name)]
    if not matches:
        raise NotFound(f"Security group {name} not found.")
    if len(matches) > 1:
        raise Conflict(f"Multiple security groups found matching '{name}'. Use an ID to be more specific.")
    return matches[0]


async def of_server(network: NetworkClient, server: Server) -> list[SecurityGroup]:
    """Every security group of a port of the server, as the network service gives it, by name."""
    return await _named(network, await network.list_ports(device_id=server.id))


async def names_of(network: NetworkClient, ports: Iterable[Port]) -> list[str]:
    return [each.name for each in await _named(network, ports)]


async def _named(network: NetworkClient, ports: Iterable[Port]) -> list[SecurityGroup]:
    ids = sorted({group_id for port in ports for group_id in port.security_groups})
    found = await network.list_security_groups(id=ids) if ids else []
    return sorted(found, key=lambda each: each.name)


async def add(compute: Compute, server: Server, group: SecurityGroup) -> None:
    """On every port of the server. Raises InvalidServer when it has none that takes groups. Safe to repeat."""
    ports = await compute.network.list_ports(device_id=server.id)
    if not any(port.port_security_enabled for port in ports):
        raise InvalidServer(
            f"Security group {group.name} cannot be applied to instance {server.id}: it has no port with port security."
        )
    changed = [
        await _with_groups(compute, port, [*port.security_groups, group.id])
        if port.port_security_enabled and group.id not in port.security_groups
        else port
        for port in ports
    ]
    await _write_names(compute, server, changed)


async def remove(compute: Compute, server: Server, group: SecurityGroup) -> None:
    """From every port of the server. Raises NotFound when none has it."""
    ports = await compute.network.list_ports(device_id=server.id)
    if not any(group.id in port.security_groups for port in ports):
        raise NotFound(f"Security group {group.name} is not associated with the instance {server.id}.")
    changed = [
        await _with_groups(compute, port, [each for each in port.security_groups if each != group.id])
        if group.id in port.security_groups
        else port
        for port in ports
    ]
    await _write_names(compute, server, changed)


async def _with_groups(compute: Compute, port: Port, group_ids: list[str]) -> Port:
    return await compute.network.update_port(port.id, {"security_groups": group_ids})


async def _write_names(compute: Compute, server: Server, ports: list[Port]) -> None:
    names = await names_of(compute.network, ports)
    async with cells.writing(compute, server.id) as (_cell, tx):
        await servers.change(tx, server.id, compute.clock.now(), security_groups=names)
