"""Steps that all moves of a server share, outside the database: choose another host, claim there, free the old one.

Every function may be repeated. A move keeps what the server has of its source under the migration's id in placement,
until the server has moved or stays where it is.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, structs

from kilonova.compute.errors import HostNotFound
from kilonova.compute.hosts import hosts, takings
from kilonova.compute.programs import placing, release
from kilonova.compute.programs.placing import Placeable, View
from kilonova.compute.scheduling import decisions
from kilonova.compute.scheduling.hosts import HostState
from kilonova.compute.scheduling.numa.guests import SMALL
from kilonova.compute.scheduling.plan import summary
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.service import Cell
from kilonova.compute.tables import Host, Server
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
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
    try:
        view = await _look(cell, server, "" if may_stay else source, requested_host)
        view = await _as_it_runs(cell, view, server) if is_live else view
        rooms = await placing.rooms_for(cell, view)
    except UnusableSpec as error:
        return Fail(f"No valid host was found. {error}")
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"No valid host was found. Placement refused what was asked of it: {fault.message}")
    plan = placing.plan(view, rooms)
    kept = await cell.region.placement.allocations(migration_id)
    for choice in await _claimed(cell, server, view) if kept else plan.hosts:
        host = await _claim(cell, view, choice, migration_id, is_claimed=bool(kept))
        if host is None:
            continue
        if not await placing.joins_group(cell, server, host.host):
            await give_claim_back(cell, server, migration_id)
            return Sleep(0, "another member of the server group was placed in the same moment")
        said = f"host {host.host}: {summary(plan, len(view.hosts))}"
        return Target(host, decisions.encode(decisions.record(plan, view.wanted, said=said, chosen=host.host)))
    if kept:
        await give_claim_back(cell, server, migration_id)
    if plan.hosts:
        return Sleep(POLL_SECONDS, "every host that would do was taken by another request in the same moment")
    told = await placing.explain(cell, view, rooms, {})
    return Fail(told.message, note=decisions.encode(told.decision))


async def _look(cell: Cell, server: Server, source: str, requested_host: str) -> View:
    """The hosts of the server's cell but its own. Raises UnusableSpec."""
    view = await placing.look_for(cell, server, ())
    others = {name: each for its, known in view.cells if its is cell for name, each in known.items() if name != source}
    own = [(cell, others)]
    # The host that was asked for at its creation is that of its creation.
    return structs.replace(view, cells=own, wanted=structs.replace(view.wanted, requested_host=requested_host or None))


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


async def _claimed(cell: Cell, server: Server, view: View) -> Iterable[HostState]:
    """The host where an earlier try of this move has claimed."""
    held = await cell.region.placement.allocations(server.id)
    return [known.state for known in view.hosts if known.row.id in held]


async def _claim(cell: Cell, view: View, choice: HostState, migration_id: str, *, is_claimed: bool) -> Host | None:
    """The chosen host once the server holds its resources there; None when somebody else has taken them."""
    server, placement = view.server, cell.region.placement
    if not is_claimed:
        owner = {"project_id": server.project_id, "user_id": server.user_id}
        try:
            await placement.claim_beside(server.id, migration_id, choice.offer, **owner)
        except ClaimConflict:
            return None
    host = next(each.row for each in view.hosts if each.row.id == choice.id)
    if await placing.take(view, host):
        return host
    await give_claim_back(cell, server, migration_id)
    return None


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
