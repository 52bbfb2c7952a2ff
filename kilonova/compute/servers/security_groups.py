"""A server's security groups: they are those of its ports, kept by the network service.

The server's row keeps their names for what lists show and guests read.
"""

from collections.abc import Iterable

from kilonova.compute.errors import InvalidServer
from kilonova.compute.region import cells
from kilonova.compute.servers import ports, servers
from kilonova.compute.service import Region
from kilonova.compute.tables import Server
from kilonova.kit.auth import RequestContext
from kilonova.kit.errors import Conflict, NotFound
from kilonova.network.client import NetworkClient, Port, SecurityGroup


async def find(region: Region, ctx: RequestContext, name: str) -> SecurityGroup:
    """By name or id, of those the caller sees. Raises NotFound, or Conflict for a name that several have."""
    known = await region.network.list_security_groups(token=ctx.token, project_id=ctx.project_id)
    matches = [each for each in known if name in (each.id, each.name)]
    if not matches:
        raise NotFound(f"Security group {name} not found.")
    if len(matches) > 1:
        raise Conflict(f"Multiple security groups found matching '{name}'. Use an ID to be more specific.")
    return matches[0]


async def of_server(network: NetworkClient, server: Server) -> list[SecurityGroup]:
    """Every security group of a port of the server, as the network service gives it, by name."""
    return await _named(network, await ports.of_server(network, server))


async def names_of(network: NetworkClient, wanted: Iterable[Port]) -> list[str]:
    return [each.name for each in await _named(network, wanted)]


async def _named(network: NetworkClient, wanted: Iterable[Port]) -> list[SecurityGroup]:
    ids = sorted({group_id for port in wanted for group_id in port.security_groups})
    found = await network.list_security_groups(id=ids) if ids else []
    return sorted(found, key=lambda each: each.name)


async def add(region: Region, server: Server, group: SecurityGroup) -> None:
    """On every port of the server. Raises InvalidServer when it has none that takes groups. Safe to repeat."""
    found = await ports.of_server(region.network, server)
    if not any(port.port_security_enabled for port in found):
        raise InvalidServer(
            f"Security group {group.name} cannot be applied to instance {server.id}: it has no port with port security."
        )

    def added(port: Port) -> dict[str, list[str]] | None:
        if not port.port_security_enabled or group.id in port.security_groups:
            return None
        return {"security_groups": [*port.security_groups, group.id]}

    changed = [await ports.change(region.network, port, added) for port in found]
    await _write_names(region, server, changed)


async def remove(region: Region, server: Server, group: SecurityGroup) -> None:
    """From every port of the server. Raises NotFound when none has it."""
    found = await ports.of_server(region.network, server)
    if not any(group.id in port.security_groups for port in found):
        raise NotFound(f"Security group {group.name} is not associated with the instance {server.id}.")

    def without(port: Port) -> dict[str, list[str]] | None:
        left = [each for each in port.security_groups if each != group.id]
        return {"security_groups": left} if len(left) < len(port.security_groups) else None

    changed = [await ports.change(region.network, port, without) for port in found]
    await _write_names(region, server, changed)


async def _write_names(region: Region, server: Server, changed: list[Port]) -> None:
    names = await names_of(region.network, changed)
    async with cells.writing(region, server.id) as (_cell, tx):
        await servers.change(tx, server.id, region.clock.now(), security_groups=names)
