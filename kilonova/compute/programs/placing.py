"""What scheduling does outside the pure decision: look at hosts and groups, ask placement, claim, explain.

The decision itself is `scheduling.plan`. What it was made from may have changed by the time of the claim: the claim and
`keeps_group_rule` are what makes it true.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct, structs

from kilonova.compute.catalog import server_groups
from kilonova.compute.errors import ServerGroupNotFound
from kilonova.compute.hosts import loads, takings
from kilonova.compute.hosts.index import KnownHost, Snapshot
from kilonova.compute.hosts.memberships import Memberships
from kilonova.compute.region import cells, mappings
from kilonova.compute.region.cells import Gathered
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.scheduling import decisions
from kilonova.compute.scheduling.decisions import Decision
from kilonova.compute.scheduling.hosts import GroupRule, HostState, Wanted
from kilonova.compute.scheduling.numa.guests import thread_traits, topology_of, with_own_cpus
from kilonova.compute.scheduling.plan import Plan, account, make_plan, summary
from kilonova.compute.scheduling.request_filters import has_own_aggregate, traits_for
from kilonova.compute.scheduling.requirements import requirements_of
from kilonova.compute.scheduling.rules import Rules
from kilonova.compute.scheduling.weighers import IMAGE_PROPERTIES, is_weighed, likeness
from kilonova.compute.servers import servers, volumes
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import Host
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.placement.client import ClaimConflict, RequestGroup, Room

NO_ROOM = Room({}, {})
Rooms = Mapping[str, Room]
"""Provider id → the room it has."""
Hosts = Mapping[str, KnownHost]
"""By name."""


class Placeable(Protocol):
    """A server, or one that could be, as far as placing goes by it."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def flavor(self) -> dict[str, Any]: ...
    @property
    def image(self) -> dict[str, Any] | None: ...
    @property
    def scheduler_hints(self) -> dict[str, Any]: ...
    @property
    def requested_zone(self) -> str | None: ...
    @property
    def requested_host(self) -> str | None: ...
    @property
    def group_id(self) -> str | None: ...
    @property
    def volumes(self) -> list[dict[str, Any]] | None: ...


class View(Struct, frozen=True):
    """Everything the decision needs of our own databases, from one snapshot of each."""

    server: Placeable
    wanted: Wanted
    cells: list[tuple[Cell, Hosts]]
    """Each with its hosts."""

    @property
    def hosts(self) -> list[KnownHost]:
        return [each for _cell, hosts in self.cells for each in hosts.values()]

    def cell_of(self, host: str) -> Cell:
        return next(cell for cell, hosts in self.cells if host in hosts)


class _Share(Struct):
    """What one cell has to say."""

    known: Snapshot
    named: dict[str, str]
    """Server id → host, of those the hints name."""


async def look(cell: Cell, server_id: str, excluded_hosts: tuple[str, ...]) -> View:
    """All hosts of the region for a server in the API database; for one in a cell, those of the cell.

    Raises UnusableSpec for a flavor or image that asks for the impossible.
    """
    return await _look(cell, lambda tx: servers.find(tx, server_id), excluded_hosts)


async def look_for(cell: Cell, asked: Placeable, excluded_hosts: tuple[str, ...]) -> View:
    """The same, for a server that is known already or is none yet."""

    async def find(_tx: CellTx) -> Placeable:
        return asked

    return await _look(cell, find, excluded_hosts)


async def _look(cell: Cell, find: Callable[[CellTx], Awaitable[Placeable]], excluded_hosts: tuple[str, ...]) -> View:
    looked_at: list[Placeable] = []
    joined: list[Memberships] = []

    async def ask(asked: Cell, tx: CellTx) -> _Share:
        known = await asked.hosts.refresh(tx)
        # The database the server is in is asked first.
        if not looked_at:
            looked_at.append(await find(tx))
        named = _named(looked_at[0])
        found = await servers.hosts_of(tx, named, looked_at[0].project_id) if named else {}
        if region_tx := asked.regional(tx):
            joined.append(await asked.region.aggregates.refresh(region_tx))
        return _Share(known, found)

    gathered = await _gather(cell, ask)
    server, shares = looked_at[0], gathered.values()
    if not joined:
        async with cell.region.reading() as region_tx:
            joined.append(await cell.region.aggregates.refresh(region_tx))
    wanted = structs.replace(
        _wanted(server, excluded_hosts, cell.region.rules),
        hosts_of_servers={k: v for each in shares for k, v in each.named.items()},
        group=await _group_rule(cell, server),
        aggregate_keys=joined[0].keys,
        has_own_aggregate=cell.region.rules.limit_tenants_to_placement_aggregate
        and has_own_aggregate(joined[0].everybody, server.project_id),
    )
    hosts = [(asked, asked.hosts.join(each.known, joined[0]).hosts) for asked, each in gathered.answers]
    if wanted.image_properties and is_weighed(IMAGE_PROPERTIES, wanted):
        wanted = structs.replace(
            wanted, images_like_it=await _images_like_it(wanted, [asked for asked, _hosts in hosts])
        )
    return View(server, wanted, hosts)


async def _images_like_it(wanted: Wanted, asked: Iterable[Cell]) -> dict[str, float]:
    shared: dict[str, float] = {}
    for cell in asked:
        async with cell.reading() as tx:
            shared |= likeness(wanted.image_properties, await loads.images_on_hosts(tx), wanted.rules)
    return shared


def _named(server: Placeable) -> list[str]:
    hints = server.scheduler_hints
    return [str(each) for hint in ("same_host", "different_host") for each in _as_list(hints.get(hint))]


def _wanted(server: Placeable, excluded_hosts: tuple[str, ...], rules: Rules) -> Wanted:
    """As far as the server itself tells it. Raises UnusableSpec."""
    image = server.image or {}
    properties: dict[str, str] = image.get("properties", {})
    flavor = volumes.own_disks(server.flavor, server.volumes)
    needed = requirements_of(flavor, properties)
    topology = topology_of(flavor["extra_specs"], properties, flavor["vcpus"], flavor["memory_mib"])
    threaded, unthreaded = thread_traits(topology)
    traits = {*traits_for(image.get("disk_format", ""), properties, rules), *threaded}
    return Wanted(
        server_id=server.id,
        resources=with_own_cpus(needed.resources, topology),
        topology=topology,
        required_traits=tuple(sorted({*needed.required, *traits})),
        forbidden_traits=tuple(sorted({*needed.forbidden, *unthreaded})),
        groups=needed.groups,
        group_policy=needed.group_policy,
        requested_zone=server.requested_zone,
        requested_host=server.requested_host,
        excluded_hosts=excluded_hosts,
        extra_specs=flavor["extra_specs"],
        image_properties=properties,
        scheduler_hints=server.scheduler_hints,
        project_id=server.project_id,
        flavor_name=flavor["name"],
        image_id=image.get("id", ""),
        rules=rules,
    )


def _as_list(hint: object) -> list[object]:
    return hint if isinstance(hint, list) else [] if hint is None else [hint]


async def _gather(cell: Cell, ask: Callable[[Cell, CellTx], Awaitable[_Share]]) -> Gathered[_Share]:
    """The shares of all cells with hosts for what waits in the API database; of the server's own cell otherwise."""
    if cell is cell.region.here:
        return await cells.gather(cell.region, ask, only=lambda each: not each.disabled and each.id != CELL0_ID)
    async with cell.reading() as tx:
        return Gathered([(cell, await ask(cell, tx))])


async def _group_rule(cell: Cell, server: Placeable) -> GroupRule | None:
    if server.group_id is None:
        return None
    async with cell.region.reading() as tx:
        try:
            group = await server_groups.find(tx, server.group_id)
        except ServerGroupNotFound:
            # Deleted since: its servers are free of it.
            return None
        members_on = await server_groups.hosts_of_members(tx, group.id, server.id)
    return GroupRule(group.policy, group.most_on_a_host or 1, members_on)


async def keeps_group_rule(tx: RegionTx, server: Placeable, host: str) -> bool:
    """Whether the server may be written to `host` now, in the transaction of the API database that writes it."""
    if server.group_id is None:
        return True
    try:
        group = await server_groups.find(tx, server.group_id)
    except ServerGroupNotFound:
        return True
    return server_groups.is_kept(group, host, await server_groups.hosts_of_members(tx, group.id, server.id))


async def joins_group(cell: Cell, server: Placeable, host: str) -> bool:
    """Writes a member of a server group down as one on that host, if the group's rule still holds there.

    Two members may be placed in the same moment: the one that writes second goes elsewhere.
    """
    if server.group_id is None:
        return True
    async with cell.region.transaction() as tx:
        kept = await keeps_group_rule(tx, server, host)
        if kept:
            await mappings.change_server(tx, server.id, host=host)
    return kept


async def rooms_for(cell: Cell, view: View) -> dict[str, Room]:
    """The hosts with all that is wanted, by id. Raises RemoteFault for a class or trait placement does not know."""
    wanted = view.wanted
    own = RequestGroup(
        "", wanted.resources, wanted.required_traits, wanted.forbidden_traits, in_tree=_requested_provider(view)
    )
    numbered = (RequestGroup(each.suffix, each.resources, each.required, each.forbidden) for each in wanted.groups)
    return await cell.region.placement.allocation_candidates(
        [own, *numbered], group_policy=wanted.group_policy, limit=wanted.rules.max_placement_results
    )


def _requested_provider(view: View) -> str | None:
    """Returns the provider of the one host asked for, which placement might leave out of the many it has."""
    name = view.wanted.requested_host
    if name is None or not view.wanted.resources:
        return None
    found = (each.row.id for each in view.hosts if name in (each.row.host, each.row.hypervisor_hostname))
    return next(found, None)


def plan(view: View, rooms: Rooms) -> Plan:
    return make_plan(_states(view, rooms), rooms.keys(), view.wanted)


def _states(view: View, rooms: Rooms) -> list[HostState]:
    """All hosts as they are now. In one loop, since there may be thousands and each decision needs them all."""
    found = []
    for cell, hosts in view.cells:
        alive = cell.liveness.all_alive()
        for known in hosts.values():
            state = known.state
            room = rooms.get(state.id, NO_ROOM)
            is_up = state.is_up and known.agent in alive
            found.append(
                structs.replace(
                    state,
                    is_up=is_up,
                    seconds_since_answer=None if is_up else cell.liveness.seconds_since_answer(*known.agent),
                    capacity=room.capacity,
                    used=room.used,
                    offer=room.offer,
                )
            )
    return found


def is_any_awaited(view: View) -> bool:
    """Whether some host may be about to answer for the first time: its server side, or it, has just started."""
    known = [(cell.liveness, each.row) for cell, hosts in view.cells for each in hosts.values()]
    return not known or any(
        liveness.is_awaited(row.binary, row.host) and not row.forced_down for liveness, row in known
    )


async def claim(cell: Cell, view: View, choice: HostState) -> Host | None:
    """The host whose resources the server holds now; None when the choice was taken by somebody else meanwhile.

    It may hold another one's: those this step claimed before it died, and that is the host then.
    """
    server, held = view.server, {choice.id}
    try:
        await cell.region.placement.claim(server.id, choice.offer, project_id=server.project_id, user_id=server.user_id)
    except ClaimConflict:
        held = set(await cell.region.placement.allocations(server.id))
    host = next((each.row for each in view.hosts if each.row.id in held), None)
    if host is None or await take(view, host):
        return host
    await cell.region.placement.release(server.id)
    return None


async def take(view: View, host: Host) -> bool:
    """Takes what the guest asks of the host's NUMA nodes. False: somebody else has taken it meanwhile."""
    guest, server = view.wanted.topology, view.server
    if guest is None:
        return True
    async with view.cell_of(host.host).transaction() as tx:
        return await takings.take(tx, host.id, guest, server.id, server.flavor["id"])


async def leave(cell: Cell, view: View, host: Host) -> None:
    """Gives back what a server has just claimed and taken of a host: it goes elsewhere."""
    await cell.region.placement.release(view.server.id)
    if view.wanted.topology is not None:
        async with view.cell_of(host.host).transaction() as tx:
            await takings.give_back(tx, view.server.id)


class Explanation(Struct, frozen=True):
    message: str
    """A sentence for the user."""
    details: str
    """The same with the hosts' names, for administrators."""
    decision: Decision


async def explain(cell: Cell, view: View, rooms: Rooms, failures: Mapping[str, str]) -> Explanation:
    """Why no host will do, or why those that will not will not.

    Only a refusal asks for the room of all hosts: the account has to say what each one lacked.
    """
    everyone = _states(view, {**await cell.region.placement.rooms(), **rooms})
    made = make_plan(everyone, rooms.keys(), view.wanted)
    message = account(made, len(everyone), view.wanted, with_hosts=False)
    details = account(made, len(everyone), view.wanted, with_hosts=True)
    if failures:
        message += f" Hosts that failed before: {len(failures)}; the last said: {list(failures.values())[-1]}"
        details += " Hosts that failed before: " + "; ".join(f"{host}: {why}" for host, why in failures.items())
    decision = decisions.record(made, view.wanted, hosts=everyone, said=message, failed_before=failures)
    return Explanation(message, details, decision)


async def decide(region: Region, asked: Placeable) -> Decision:
    """Where a server would go now, and why it would not go elsewhere; nothing is claimed.

    Raises UnusableSpec, and RemoteFault for a class or trait that placement does not know.
    """
    cell = region.here
    view = await look_for(cell, asked, ())
    rooms = await rooms_for(cell, view)
    told = await explain(cell, view, rooms, {})
    best = plan(view, rooms)
    if not best.hosts:
        return told.decision
    chosen = best.hosts[0].host
    said = f"host {chosen}: {summary(best, len(view.hosts))}"
    return structs.replace(told.decision, said=said, chosen=chosen, nearest=None)


async def note(cell: Cell, server: Placeable, host: str | None) -> None:
    """Tells the server's group, which counts in the API database, where the member is now."""
    if server.group_id is not None:
        async with cell.region.transaction() as tx:
            await mappings.change_server(tx, server.id, host=host)
