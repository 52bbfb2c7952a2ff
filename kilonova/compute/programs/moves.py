"""Steps that all moves of a server share, outside the database: choose another host, claim there, free the old one.

Every function may be repeated. A move keeps what the server has of its source under the migration's id in placement,
until the server has moved or stays where it is.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, structs

from kilonova.compute.errors import HostNotFound
from kilonova.compute.hosts import hosts, takings
from kilonova.compute.programs import choosing, placing, release
from kilonova.compute.programs.placing import Placeable, View
from kilonova.compute.scheduling.hosts import HostState
from kilonova.compute.scheduling.numa.guests import SMALL
from kilonova.compute.scheduling.plan import Plan
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.service import Cell
from kilonova.compute.tables import Host, Server
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.tasks import Fail, Sleep
from kilonova.placement.client import ClaimConflict

POLL_SECONDS = 0.5


class Target(Struct, frozen=True):
    """The host that a server holds its resources on, beside those of its source."""

    host: Host
    decision: str
    """The scheduler's, as the record of the step keeps it."""


async def claim_target(
    cell: Cell,
    server: Server,
    source: str,
    requested_host: str,
    migration_id: str,
    *,
    may_stay: bool = False,
    is_live: bool = False,
) -> Target | Sleep | Fail:
    """Picks another host of the server's cell and claims there; what the server had is the migration's from then on.

    The claim is what decides: a conflict takes the next host. The server is placed by the flavor that is given here.
    `requested_host`: empty for any that will do. `may_stay`: the source will do, too. `is_live`: the guest keeps the
    size of its pages.
    """
    source = "" if may_stay else source
    looking = _look(cell, server, source, requested_host, is_live=is_live)
    chosen = await choosing.choose(cell, looking, ClaimsBeside(cell, server, migration_id))
    if isinstance(chosen, Sleep):
        return chosen
    if isinstance(chosen, choosing.Refused):
        return Fail(chosen.message, note=chosen.note)
    return Target(chosen.host, chosen.note)


class ClaimsBeside:
    """Claims of a server that keeps, for the migration, what it has of its source."""

    def __init__(self, cell: Cell, server: Server, migration_id: str) -> None:
        self._cell = cell
        self._server = server
        self._migration_id = migration_id
        self._is_claimed = False

    async def candidates(self, view: View, plan: Plan) -> Iterable[HostState]:
        """The host where an earlier try of this move has claimed, if it has."""
        placement = self._cell.region.placement
        self._is_claimed = bool(await placement.allocations(self._migration_id))
        if not self._is_claimed:
            return plan.hosts
        held = await placement.allocations(self._server.id)
        found = [known.state for known in view.hosts if known.row.id in held]
        if not found:
            await give_claim_back(self._cell, self._server, self._migration_id)
        return found

    async def claim(self, view: View, choice: HostState) -> Host | None:
        server, placement = view.server, self._cell.region.placement
        if not self._is_claimed:
            owner = {"project_id": server.project_id, "user_id": server.user_id}
            try:
                await placement.claim_beside(server.id, self._migration_id, choice.offer, **owner)
            except ClaimConflict:
                return None
        host = next(each.row for each in view.hosts if each.row.id == choice.id)
        if await placing.take(view, host):
            return host
        await self.leave(view, host)
        return None

    async def leave(self, view: View, _host: Host) -> None:
        await give_claim_back(self._cell, view.server, self._migration_id)


async def _look(cell: Cell, server: Server, source: str, requested_host: str, *, is_live: bool) -> View:
    """The hosts of the server's cell but its own. Raises UnusableSpec."""
    view = await placing.look_for(cell, server, ())
    others = {name: each for its, known in view.cells if its is cell for name, each in known.items() if name != source}
    own = [(cell, others)]
    # The host that was asked for at its creation is that of its creation.
    wanted = structs.replace(view.wanted, requested_host=requested_host or None)
    view = structs.replace(view, cells=own, wanted=wanted)
    return await _as_it_runs(cell, view, server) if is_live else view


async def _as_it_runs(cell: Cell, view: View, server: Server) -> View:
    """The same, but for the nodes that the guest has and pages of their size: a hypervisor cannot change what it runs.

    Raises UnusableSpec.
    """
    async with cell.reading() as tx:
        placement = await takings.find(tx, server, server.host)
    guest = view.wanted.topology
    if guest is None:
        return view
    if placement is None:
        # It lies anywhere on its host, which has told no nodes when it was built.
        return structs.replace(view, wanted=structs.replace(view.wanted, topology=None))
    sizes = {each.page_kib for each in placement.cells}
    if len(sizes) > 1:
        raise UnusableSpec("The guest has pages of several sizes, with which it cannot be moved while it runs.")
    (size,) = sizes
    page = str(size) if size else SMALL if guest.page else ""
    wanted = structs.replace(view.wanted, topology=structs.replace(guest, page=page))
    return structs.replace(view, wanted=wanted)


async def give_claim_back(cell: Cell, server: Placeable, migration_id: str) -> None:
    """Gives back all that a server has of the target: it is where its row says, and stays."""
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    await cell.region.placement.claim_back(server.id, migration_id, **owner)
    await _keep_own(cell, server.id)


async def free_source_claim(cell: Cell, server_id: str, migration_id: str) -> None:
    """Gives back all that a server has of the source: it is where its row says, on the target."""
    await cell.region.placement.release(migration_id)
    await _keep_own(cell, server_id)


async def _keep_own(cell: Cell, server_id: str) -> None:
    async with cell.transaction() as tx:
        await takings.keep_own(tx, server_id)


async def place_on(tx: CellTx, host: str) -> dict[str, Any]:
    """The fields of a server's row that say where it is. Raises HostNotFound."""
    row = await hosts.find(tx, AGENT_BINARY, host)
    if row is None:
        raise HostNotFound(host)
    return {"host": row.host, "node_id": row.id, "availability_zone": row.availability_zone}


async def release_from(cell: Cell, host: str, server_id: str, epoch: int) -> str | None:
    """Has a host destroy what it has of a server. Returns a note where it is silent: it asks what belongs to it when it
    returns, and removes the rest then. Raises RemoteError.
    """
    try:
        await release.of_host(cell, host, server_id, epoch)
    except AgentUnreachable as error:
        return f"{error}; it will clean up when it returns"
    return None
