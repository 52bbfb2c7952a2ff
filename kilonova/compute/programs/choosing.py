"""Choosing a host for a server: look, decide, claim there; every program that places one does it here."""

from collections.abc import Awaitable, Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct

from kilonova.compute.programs import placing
from kilonova.compute.programs.placing import View
from kilonova.compute.scheduling import decisions
from kilonova.compute.scheduling.hosts import HostState
from kilonova.compute.scheduling.plan import Plan, summary
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.service import Cell
from kilonova.compute.tables import Host
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.tasks import Sleep

POLL_SECONDS = 0.5


class Chosen(Struct, frozen=True):
    """A host on which a server holds its resources."""

    view: View
    host: Host
    note: str
    """The decision, as the record of the step keeps it."""


class Refused(Struct, frozen=True):
    """No host will do."""

    message: str
    details: str = ""
    """The same with the hosts' names, for administrators."""
    note: str | None = None


class Claims(Protocol):
    """The way in which a server that is placed comes to hold what it needs of a host."""

    async def candidates(self, view: View, plan: Plan) -> Iterable[HostState]:
        """The hosts that may be claimed, the best first."""
        ...

    async def claim(self, view: View, choice: HostState) -> Host | None:
        """The host whose resources the server holds now; None when somebody else has taken them meanwhile."""
        ...

    async def leave(self, view: View, host: Host) -> None:
        """Gives back what was claimed: the server goes elsewhere."""
        ...


class FirstClaims:
    """Claims of a server that is on no host."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    async def candidates(self, _view: View, plan: Plan) -> Iterable[HostState]:
        return plan.hosts

    async def claim(self, view: View, choice: HostState) -> Host | None:
        return await placing.claim(self._cell, view, choice)

    async def leave(self, view: View, host: Host) -> None:
        await placing.leave(self._cell, view, host)


async def choose(
    cell: Cell,
    looking: Awaitable[View],
    claims: Claims,
    *,
    failures: Mapping[str, str] = MappingProxyType({}),
    waits_for_hosts: bool = False,
) -> Chosen | Sleep | Refused:
    """Picks a host for a server and claims there. The claim is what decides: a conflict takes the next host.

    `failures`: host → why it could not have the server. `waits_for_hosts`: those that have not registered yet count.
    """
    try:
        view = await looking
        rooms = await placing.rooms_for(cell, view)
    except UnusableSpec as error:
        return Refused(f"No valid host was found. {error}")
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Refused(f"No valid host was found. Placement refused what was asked of it: {fault.message}")
    made = placing.plan(view, rooms)
    for choice in await claims.candidates(view, made):
        host = await claims.claim(view, choice)
        if host is None:
            continue
        if not await placing.joins_group(cell, view.server, host.host):
            await claims.leave(view, host)
            return Sleep(0, "another member of the server group was placed in the same moment")
        said = f"host {host.host}: {summary(made, len(view.hosts))}"
        decision = decisions.record(made, view.wanted, said=said, chosen=host.host, failed_before=failures)
        return Chosen(view, host, decisions.encode(decision))
    if made.hosts:
        return Sleep(POLL_SECONDS, "every host that would do was taken by another request in the same moment")
    if waits_for_hosts and placing.is_any_awaited(view):
        # A cloud that has just been started, for the first time or again: its hosts are about to register.
        return Sleep(POLL_SECONDS, "no compute host has registered yet, or one has not answered yet")
    told = await placing.explain(cell, view, rooms, failures)
    return Refused(told.message, told.details, decisions.encode(told.decision))
