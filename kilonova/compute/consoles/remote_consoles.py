"""Ways to servers' consoles: a token for users, and where it leads, for the proxies.

The rule: where a console is, is asked of the server's host whenever it is needed and written down nowhere: after a
reboot the same port may be another guest's.
"""

from dataclasses import dataclass
from typing import cast

from kilonova.compute.agent.contract import CONSOLE_ADDRESS, ConsoleAddressArguments
from kilonova.compute.agent.spec import ConsoleAddress, ConsoleKind
from kilonova.compute.consoles import console_tokens
from kilonova.compute.errors import ConsoleNotReady, ConsoleTokenNotFound, ConsoleTypeUnavailable
from kilonova.compute.region import cells
from kilonova.compute.servers import servers
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import ConsoleToken, Server
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.auth import RequestContext
from kilonova.kit.bus import RemoteError

NOT_OFFERED = "ConsoleNotOffered"
"""What an agent's refusal is called when its host has no such consoles at all."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A console that a user may enter."""

    base_url: str
    token: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token leads just now."""

    cell: Cell
    server: Server
    kind: ConsoleKind
    address: ConsoleAddress
    token: ConsoleToken


async def locate(cell: Cell, server: Server, kind: ConsoleKind) -> ConsoleAddress:
    """Raises ConsoleTypeUnavailable, ConsoleNotReady. `cell`: the service on the server's database."""
    if server.host is None:
        raise ConsoleNotReady(server.id, kind, "it is on no host yet")
    try:
        return await cell.agents.call(server.host, CONSOLE_ADDRESS, ConsoleAddressArguments(server.id, kind))
    except AgentUnreachable as error:
        raise ConsoleNotReady(server.id, kind, str(error)) from error
    except RemoteError as error:
        if error.kind == NOT_OFFERED:
            raise ConsoleTypeUnavailable(server.id, kind, error.message) from error
        raise ConsoleNotReady(server.id, kind, error.message) from error


async def open_console(
    cell: Cell, server: Server, kind: ConsoleKind, ctx: RequestContext | None = None, *, is_direct: bool = False
) -> Opened:
    """Gives a way in. `is_direct`: for a client that is no browser, through the proxy that its operator has for those.

    Raises ConsoleTypeUnavailable, ConsoleNotReady, ServerNotFound.
    """
    address = await locate(cell, server, kind)
    if is_direct and not address.direct_url:
        reason = "its host names no proxy for clients without a browser ([spice] spice_direct_proxy_base_url)"
        raise ConsoleTypeUnavailable(server.id, f"{kind}-direct", f"{reason}: ask for {kind}-html5")
    region = cell.region
    async with region.transaction() as tx:
        seconds = region.console_token_seconds
        token = await console_tokens.create(tx, server.id, kind, region.clock.now(), seconds, ctx)
    return Opened(address.direct_url if is_direct else address.base_url, token)


async def follow(region: Region, token: str, kind: ConsoleKind | None = None) -> Place:
    """Where a token leads just now; with `kind`, a token of another kind is none.

    Raises ConsoleTokenNotFound, ServerNotFound, CellDown and what `locate` raises.
    """
    async with region.reading() as tx:
        found = await console_tokens.find(tx, token, region.clock.now())
    if found is None or kind not in (None, found.kind):
        raise ConsoleTokenNotFound
    async with cells.reading(region, found.server_id) as (cell, tx):
        server = await servers.find(tx, found.server_id)
    its_kind = cast(ConsoleKind, found.kind)
    return Place(cell, server, its_kind, await locate(cell, server, its_kind), found)


async def leads_there_still(place: Place) -> bool:
    """Whether the same guest runs on at the same address, so that whoever has connected to it has reached that one."""
    async with cells.reading(place.cell.region, place.server.id) as (cell, tx):
        server = await servers.find(tx, place.server.id)
    return server.host == place.server.host and await locate(cell, server, place.kind) == place.address
