"""Giving a server another flavor or another host: its guest ends, its disks follow, and it starts as it is to be.

Until somebody confirms it, the source keeps the disks as they were, and placement the claim; so whatever fails, and
whoever changes their mind, goes back to that. No host starts the guest before the other one has said that it has none:
so there is never a second one. A server that stays on its host has its disks copied there instead.
"""

from typing import Any

from msgspec import Struct, structs

from kilonova.compute.agent.contract import ENSURE_SERVER, OBSERVE_SERVER, EnsureArguments, ServerArguments
from kilonova.compute.agent.spec import DiskOffer, Presence, ServerObservation, ServerSpec
from kilonova.compute.hosts import hosts, takings
from kilonova.compute.operations import WAY_BACK_SECONDS
from kilonova.compute.programs import moves, placing, release
from kilonova.compute.programs.convergence import HostArgs, Seen, ask, ask_host
from kilonova.compute.region import mappings
from kilonova.compute.servers import migrations, servers, specs
from kilonova.compute.service import Cell
from kilonova.compute.tables import Migration, Server
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

POLL_SECONDS = 0.5
AGAIN_SECONDS = 15.0
MOST_TRIES = 20
MOST_SECONDS = 6 * 3600.0
"""A server may have a terabyte of disks to be copied."""


class ResizeArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    migration: str = ""
    """Its id; in placement it is the consumer that keeps what the server had before."""
    requested_host: str = ""
    """Empty: any that will do."""
    may_stay: bool = False
    """Whether the server's own host will do."""


class Change(Struct, frozen=True):
    """The server and its migration, as their rows are now."""

    server: Server
    migration: Migration

    @property
    def source(self) -> str:
        return self.migration.source_host

    @property
    def target(self) -> str:
        return self.migration.target_host or ""

    @property
    def stays(self) -> bool:
        """Whether the server is to change on the host that it is on."""
        return self.target == self.source

    @property
    def changed(self) -> Server:
        """The server with its new flavor, on its new host."""
        return structs.replace(self.server, host=self.target, flavor=self.migration.new_flavor or self.server.flavor)


async def _look(run: Run[Cell, ResizeArgs]) -> Change:
    async with run.service.reading() as tx:
        return Change(await servers.find(tx, run.subject_id), await migrations.find(tx, run.args.migration))


# --- there ------------------------------------------------------------------------------------------------------------


async def choose_host(run: Run[Cell, ResizeArgs]) -> Outcome:
    """Picks a host and claims there by the new flavor, beside what the server has."""
    cell, args = run.service, run.args
    change = await _look(run)
    server, source = structs.replace(change.server, flavor=change.migration.new_flavor), change.source
    target = await moves.claim_target(cell, server, source, args.requested_host, args.migration, may_stay=args.may_stay)
    if not isinstance(target, moves.Target):
        return target

    async def write(tx: CellTx) -> None:
        await migrations.set_target(tx, args.migration, target.host, run.clock.now(), status="pre-migrating")

    return Next(bring_disks, commit=write, note=target.decision)


async def bring_disks(run: Run[Cell, ResizeArgs]) -> Outcome:
    """The source ends the guest and offers the disks; the target copies them."""
    change = await _look(run)
    progress = await (_keep_copies(run, change) if change.stays else _bring(run, change))
    if not isinstance(progress, str):
        return progress

    args = structs.replace(run.args, unanswered=0)
    if not progress:
        return Next(change_over, args=args)

    async def write(tx: CellTx) -> None:
        if change.migration.status != "migrating":
            await migrations.change(tx, run.args.migration, run.clock.now(), status="migrating")

    return Sleep(POLL_SECONDS, progress, args=args, commit=write)


async def _keep_copies(run: Run[Cell, ResizeArgs], change: Change) -> str | Sleep | Fail:
    """Returns progress, empty once the guest is off and its disks are copied beside themselves."""
    spec = structs.replace(await _spec(run, change.changed), power="stopped", former_disks="kept")
    seen = await ask(run, change.source, ENSURE_SERVER, EnsureArguments(spec, run.task.epoch))
    return _progress(seen) if isinstance(seen, ServerObservation) else seen


async def _bring(run: Run[Cell, ResizeArgs], change: Change) -> str | Sleep | Fail:
    """Returns progress, empty once the guest is off and the target has its disks."""
    if change.migration.status != "migrating":
        # No guest is ended for a host that does not answer.
        seen = await ask(run, change.target, OBSERVE_SERVER, ServerArguments(change.server.id))
        if not isinstance(seen, ServerObservation):
            return seen
    offered = await _ask(run, change.server, change.source, "offering")
    if not isinstance(offered, ServerObservation):
        return offered
    if offered.offer is None or offered.power != "stopped":
        return offered.progress or f"the guest is {offered.power}"
    seen = await _ask(run, change.changed, change.target, "incoming", offered.offer)
    if not isinstance(seen, ServerObservation):
        return seen
    return seen.progress


def _progress(seen: ServerObservation) -> str:
    return seen.progress or ("" if seen.power == "stopped" else f"the guest is {seen.power}")


async def change_over(run: Run[Cell, ResizeArgs]) -> Outcome:
    """The disks are there: from now on the server is what it was to become, and its ports are on its new host."""
    cell, change = run.service, await _look(run)
    flavor = change.changed.flavor
    if not change.stays:
        try:
            await release.rebind_ports(cell.region.network, change.changed)
        except RemoteUnavailable:
            raise
        except RemoteFault as fault:
            return Fail(f"The ports could not be bound on the other host: {fault.message}")
    async with cell.reading() as tx:
        place = await moves.place_on(tx, change.target)

    async def write(tx: CellTx) -> None:
        now, former = run.clock.now(), "kept" if change.stays else "gone"
        await servers.change(tx, change.server.id, now, **place, **_flavor_values(flavor), former_disks=former)
        await migrations.change(tx, run.args.migration, now, status="post-migrating")

    return Next(start_changed, commit=write)


async def start_changed(run: Run[Cell, ResizeArgs]) -> Outcome:
    """Waits until the guest runs as it is to be, and is plugged; one that was off stays off."""
    waits = await _powered(run)
    if waits is not None:
        return waits
    change = await _look(run)
    if change.server.wanted_power == "running":
        for port in await run.service.region.network.list_ports(device_id=run.subject_id):
            if port.status != "ACTIVE":
                return Sleep(POLL_SECONDS, f"port {port.id} is {port.status}: not plugged on the host yet")
    note = None if change.stays else await _end_offer(run, change)

    async def write(tx: CellTx) -> None:
        now, power_state = run.clock.now(), _power_state(change.server)
        values = {"vm_state": "resized", "power_state": power_state, "launched_at": now, "fault": None}
        await servers.change(tx, change.server.id, now, **values)
        await migrations.change(tx, run.args.migration, now, status=migrations.FINISHED)

    return Done(commit=write, note=note)


async def _end_offer(run: Run[Cell, ResizeArgs], change: Change) -> str | None:
    """The source keeps the disks and serves them no more. Returns a note where it is silent: that ends by itself."""
    former = structs.replace(change.server, flavor=change.migration.old_flavor)
    seen = await _ask(run, former, change.source, "left")
    return None if isinstance(seen, ServerObservation) else f"host {change.source} does not say that it has ended all"


async def undo_change(run: Run[Cell, ResizeArgs]) -> Outcome:
    """Brings a server whose change has failed back to what it was."""
    change = await _look(run)
    if change.migration.target_host is not None:
        waits = await _leave_target(run, change)
        if waits is not None:
            return waits
        await _go_back(run, change)
    else:
        # Whoever chose a host may have died between the claim and the row.
        await moves.give_claim_back(run.service, change.server, run.args.migration)
    answer = await ask_host(run)
    if isinstance(answer, Seen) and answer.observed.progress:
        return Sleep(POLL_SECONDS, answer.observed.progress)
    if isinstance(answer, Sleep):
        return answer
    await _count(run.service, change.server.id, change.migration.old_flavor)
    if isinstance(answer, Fail):
        return Done(note=answer.error)
    # Before the task ends: who finds the migration over knows that the server is what it was.
    async with run.service.transaction() as tx:
        await migrations.change(tx, run.args.migration, run.clock.now(), status=migrations.FAILED)
    return Done()


# --- confirmed --------------------------------------------------------------------------------------------------------


async def forget_former(run: Run[Cell, ResizeArgs]) -> Outcome:
    """Removes the disks as they were, and gives the claim back that the server had."""
    cell, change = run.service, await _look(run)
    note = None
    if change.stays:
        async with cell.transaction() as tx:
            await servers.change(tx, change.server.id, run.clock.now(), former_disks="gone")
        seen = await ask_host(run)
        if not isinstance(seen, Seen):
            return seen
    elif change.server.host != change.source:
        try:
            note = await moves.release_from(cell, change.source, change.server.id, run.task.epoch)
        except RemoteError as error:
            return Fail(f"The host that the server has left cannot let go of it: {error.message}")
    await moves.free_source_claim(cell, change.server.id, run.args.migration)
    await _count(cell, change.server.id, change.server.flavor)

    async def write(tx: CellTx) -> None:
        now = run.clock.now()
        if change.server.vm_state == "resized":
            await servers.change(tx, change.server.id, now, vm_state=_settled_state(change.server))
        await migrations.change(tx, run.args.migration, now, status=migrations.CONFIRMED)

    return Done(commit=write, note=note)


def _settled_state(server: Server) -> str:
    return "stopped" if server.power_state == servers.SHUT_DOWN else "active"


# --- and back ---------------------------------------------------------------------------------------------------------


async def leave_target(run: Run[Cell, ResizeArgs]) -> Outcome:
    """Removes the guest and the disks that the server has had since the change."""
    return await _leave_target(run, await _look(run)) or Next(return_home)


async def return_home(run: Run[Cell, ResizeArgs]) -> Outcome:
    """The server is what it was again, and its ports are on that host."""
    await _go_back(run, await _look(run))
    return Next(start_former)


async def start_former(run: Run[Cell, ResizeArgs]) -> Outcome:
    """Waits until the guest runs again with the disks as they were; one that was off stays off."""
    waits = await _powered(run)
    if waits is not None:
        return waits
    change = await _look(run)
    await _count(run.service, change.server.id, change.server.flavor)

    async def write(tx: CellTx) -> None:
        now = run.clock.now()
        vm_state = "active" if change.server.wanted_power == "running" else "stopped"
        values = {"vm_state": vm_state, "power_state": _power_state(change.server), "launched_at": now, "fault": None}
        await servers.change(tx, change.server.id, now, **values)
        await migrations.change(tx, run.args.migration, now, status=migrations.REVERTED)

    return Done(commit=write)


# --- steps in common --------------------------------------------------------------------------------------------------


async def _leave_target(run: Run[Cell, ResizeArgs], change: Change) -> Sleep | Fail | None:
    """None once the target has nothing of the server, so that the source may have it again.

    A target that is silent may run the guest. Only an administrator's word that it is down stands for its answer.
    """
    cell = run.service
    if change.stays:
        return None
    if change.server.host != change.target:
        # It was never told to start a guest.
        await moves.release_from(cell, change.target, change.server.id, run.task.epoch)
        return None
    try:
        await release.of_host(cell, change.target, change.server.id, run.task.epoch)
    except RemoteError as error:
        return Fail(f"The host that the server came to cannot let go of it: {error.message}")
    except AgentUnreachable as error:
        async with cell.reading() as tx:
            host = await hosts.find(tx, AGENT_BINARY, change.target)
        if host is None or host.forced_down:
            return None
        if run.task.attempt < MOST_TRIES:
            return Sleep(AGAIN_SECONDS, f"{error}, and may have the guest: the server comes back once it answers")
        return Fail(f"The host that the server came to does not say that it has no guest any more: {error}.")
    return None


async def _go_back(run: Run[Cell, ResizeArgs], change: Change) -> None:
    """Makes the server what it was, in its row, in placement and in the network service. Safe to repeat."""
    cell, server_id, flavor = run.service, change.server.id, change.migration.old_flavor or change.server.flavor
    if change.server.host != change.source:
        await release.rebind_ports(cell.region.network, structs.replace(change.server, host=change.source))
    async with cell.transaction() as tx:
        # Disks that were not kept are not put back.
        values = {**await moves.place_on(tx, change.source), **_flavor_values(flavor), "former_disks": "back"}
        await servers.change(tx, server_id, run.clock.now(), **values)
    # What belongs to the place in its row is kept, and everything else given back.
    await moves.give_claim_back(cell, change.server, run.args.migration)
    await placing.note(cell, change.server, change.source)


def _flavor_values(flavor: dict[str, Any]) -> dict[str, Any]:
    return {"flavor": flavor, "vcpus": flavor["vcpus"], "memory_mib": flavor["memory_mib"]}


async def _count(cell: Cell, server_id: str, flavor: dict[str, Any] | None) -> None:
    """From now on the server counts for its project with what it has, and no more for what it was to have."""
    if flavor is not None:
        async with cell.region.transaction() as tx:
            values = {"vcpus": flavor["vcpus"], "memory_mib": flavor["memory_mib"]}
            await mappings.change_server(tx, server_id, **values)


def _power_state(server: Server) -> int:
    return servers.POWER_STATES["running" if server.wanted_power == "running" else "stopped"]


async def _powered(run: Run[Cell, ResizeArgs]) -> Sleep | Fail | None:
    """None once the server's host has it as its row says."""
    seen = await ask_host(run)
    if not isinstance(seen, Seen):
        return seen
    observed = seen.observed
    if observed.power != seen.server.wanted_power or observed.progress:
        return Sleep(POLL_SECONDS, observed.progress or f"the guest is {observed.power}")
    return None


async def _ask(
    run: Run[Cell, ResizeArgs], server: Server, host: str, presence: Presence, offer: DiskOffer | None = None
) -> ServerObservation | Sleep | Fail:
    spec = structs.replace(await _spec(run, server), presence=presence, disks_from=offer)
    return await ask(run, host, ENSURE_SERVER, EnsureArguments(spec, run.task.epoch))


async def _spec(run: Run[Cell, ResizeArgs], server: Server) -> ServerSpec:
    planned = specs.planned_ports(await specs.port_details(run.service.region.network, server))
    async with run.service.reading() as tx:
        placement = await takings.find(tx, server, server.host)
    return specs.server_spec(server, planned, placement=placement)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """A server that is what it was has not failed; one that could neither go on nor back has."""
    migration = await migrations.find(tx, RESIZE.read_args(task).migration)
    if migration.status not in migrations.UNDER_WAY:
        return
    await _fail(tx, task, migration, error)


async def on_confirmation_failed(tx: CellTx, task: Task, _error: str) -> None:
    """It stays resized, and can be confirmed again."""
    now = task.finished_at or task.wake_at
    await migrations.change(tx, RESIZE.read_args(task).migration, now, status=migrations.FINISHED)


async def on_reversal_failed(tx: CellTx, task: Task, error: str) -> None:
    """Until it has gone back it stays resized, and can be asked again."""
    migration = await migrations.find(tx, RESIZE.read_args(task).migration)
    server = await servers.find(tx, task.subject_id)
    if server.former_disks != "back":
        await on_confirmation_failed(tx, task, error)
    else:
        await _fail(tx, task, migration, error)


async def _fail(tx: CellTx, task: Task, migration: Migration, error: str) -> None:
    now = task.finished_at or task.wake_at
    await migrations.change(tx, migration.id, now, status=migrations.FAILED)
    told = servers.fault(error, now, hosts=(migration.source_host, migration.target_host or ""))
    await servers.change(tx, task.subject_id, now, vm_state="error", fault=told)


def _there(name: str) -> Program[Cell, ResizeArgs]:
    steps = (choose_host, bring_disks, change_over, start_changed)
    return Program(
        name,
        ResizeArgs,
        steps,
        on_failed,
        deadline_seconds=MOST_SECONDS,
        roll_back=undo_change,
        roll_back_seconds=WAY_BACK_SECONDS,
    )


RESIZE, COLD_MIGRATE = _there("resize"), _there("cold_migrate")
CONFIRM_RESIZE = Program("confirm_resize", ResizeArgs, (forget_former,), on_confirmation_failed, deadline_seconds=600)
REVERT_RESIZE = Program(
    "revert_resize",
    ResizeArgs,
    (leave_target, return_home, start_former),
    on_reversal_failed,
    deadline_seconds=WAY_BACK_SECONDS,
)
RESIZING = (RESIZE, COLD_MIGRATE, CONFIRM_RESIZE, REVERT_RESIZE)
