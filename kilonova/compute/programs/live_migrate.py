"""Moving a running guest to another host: claim it there, get disks and ports ready, migrate, let the source go.

Until the guest has moved, everything can be given back, and the server goes on where it was. Where the guest runs is
asked of both hosts, never concluded from an answer that did not come: so there is never a second one.
"""

import msgspec
from msgspec import structs

from kilonova.compute.agent.contract import (
    ENSURE_MIGRATION,
    ENSURE_SERVER,
    OBSERVE_SERVER,
    STOP_MIGRATION,
    EnsureArguments,
    MigrationArguments,
    ServerArguments,
    StopMigrationArguments,
)
from kilonova.compute.agent.spec import Arrival, Presence, ServerObservation, ServerSpec
from kilonova.compute.hosts import takings
from kilonova.compute.operations import WAY_BACK_SECONDS
from kilonova.compute.programs import moves, placing
from kilonova.compute.programs.convergence import HostArgs, Seen, ask, ask_host
from kilonova.compute.servers import migrations, servers, specs
from kilonova.compute.service import Cell
from kilonova.compute.tables import Migration, Server
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

log = logger(__name__)

POLL_SECONDS = 0.5
MOST_SECONDS = 6 * 3600.0
"""A guest may have a terabyte of disks to be copied."""
CANCELLED = "The migration was cancelled."


class LiveMigrateArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    migration: str = ""
    """Its id; in placement it is the consumer that keeps what the server has of the source."""
    source: str = ""
    requested_host: str = ""
    """Empty: any that will do."""
    arrival: Arrival | None = None


class Way(msgspec.Struct, frozen=True):
    """The server and its migration, as their rows are now."""

    server: Server
    migration: Migration

    @property
    def target(self) -> str:
        return self.migration.target_host or ""

    @property
    def has_moved(self) -> bool:
        return self.server.host != self.migration.source_host


async def _look(run: Run[Cell, LiveMigrateArgs]) -> Way:
    async with run.service.reading() as tx:
        return Way(await servers.find(tx, run.subject_id), await migrations.find(tx, run.args.migration))


async def choose_target(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """Picks a host and claims the server's resources there, beside those that it has."""
    cell, args = run.service, run.args
    way = await _look(run)
    if way.migration.is_cancelled:
        return Fail(CANCELLED)
    target = await moves.claim_target(cell, way.server, args.source, args.requested_host, args.migration, is_live=True)
    if not isinstance(target, moves.Target):
        return target

    async def write(tx: CellTx) -> None:
        await migrations.set_target(tx, args.migration, target.host, run.clock.now())

    return Next(expect_guest, commit=write, note=target.decision)


async def expect_guest(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """The target gets the server's disks and ports ready, and says where the guest is to come."""
    way, network = await _look(run), run.service.region.network
    if way.migration.is_cancelled:
        return Fail(CANCELLED)
    for port in way.server.ports:
        try:
            await network.add_binding(port["id"], way.target)
        except RemoteUnavailable:
            raise
        except RemoteFault as fault:
            return Fail(f"The ports could not be bound on the other host: {fault.message}")
    spec = await _spec(run, way, "incoming")
    seen = await ask(run, way.target, ENSURE_SERVER, EnsureArguments(spec, run.task.epoch))
    if not isinstance(seen, ServerObservation):
        return seen
    if seen.arrival is None:
        return Sleep(POLL_SECONDS, seen.progress or "the other host is not ready yet")

    async def write(tx: CellTx) -> None:
        await migrations.change(tx, run.args.migration, run.clock.now(), status="running")

    return Next(move_guest, args=structs.replace(run.args, arrival=seen.arrival, unanswered=0), commit=write)


async def move_guest(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """The source sends the guest with its memory and its disks to the target."""
    way = await _look(run)
    if way.migration.is_cancelled or run.args.arrival is None:
        return Fail(CANCELLED)
    spec, hasten = await _spec(run, way, "leaving"), way.migration.is_hastened
    asked = MigrationArguments(spec, run.args.arrival, run.task.epoch, hasten)
    seen = await ask(run, way.migration.source_host, ENSURE_MIGRATION, asked)
    if not isinstance(seen, ServerObservation):
        return seen
    if seen.power != "absent":
        transfer = msgspec.to_builtins(seen.transfer) if seen.transfer else way.migration.transfer

        async def write(tx: CellTx) -> None:
            await migrations.change(tx, run.args.migration, run.clock.now(), transfer=transfer)

        args = structs.replace(run.args, unanswered=0)
        return Sleep(POLL_SECONDS, seen.progress or f"the guest is {seen.power}", args=args, commit=write)
    there = await _observed(run, way.target)
    if there is None or there.power == "absent":
        return Fail("The guest has left its host, and did not come to the other one.")
    return Next(switch)


async def switch(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """The guest has moved: its ports and its row say so."""
    way = await _look(run)
    await _bring_ports(run, way)
    async with run.service.reading() as tx:
        values = await moves.place_on(tx, way.target)

    async def write(tx: CellTx) -> None:
        await servers.change(tx, way.server.id, run.clock.now(), **values)

    return Next(settle, commit=write)


async def _bring_ports(run: Run[Cell, LiveMigrateArgs], way: Way) -> None:
    for port in way.server.ports:
        await run.service.region.network.activate_binding(port["id"], way.target)


async def settle(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """The target has the server as its row says: a guest that was paused to hasten its way goes on."""
    answer = await ask_host(run)
    if isinstance(answer, Seen):
        progress = answer.observed.progress
        return Sleep(POLL_SECONDS, progress) if progress else Next(leave_source)
    if isinstance(answer, Sleep):
        return answer
    # It is here to stay: whatever is wrong with it is found by whoever asks for it next.
    log.warning("a server has moved, and its host says", server=run.subject_id, reason=answer.error)
    return Next(leave_source, note=answer.error)


async def leave_source(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """Frees what the source has of the server."""
    note = await _free_source(run, await _look(run))

    async def write(tx: CellTx) -> None:
        await migrations.change(tx, run.args.migration, run.clock.now(), status=migrations.COMPLETED)

    return Done(commit=write, note=note)


async def _free_source(run: Run[Cell, LiveMigrateArgs], way: Way) -> str | None:
    """Returns a note where the source has not answered: it asks what belongs to it when it returns."""
    cell, source = run.service, way.migration.source_host
    note = await moves.release_from(cell, source, run.subject_id, run.task.epoch)
    for port in way.server.ports:
        await cell.region.network.remove_binding(port["id"], source)
    await moves.free_source_claim(cell, run.subject_id, run.args.migration)
    return note


async def bring_home(run: Run[Cell, LiveMigrateArgs]) -> Outcome:
    """Ends the migration, finds out where the guest is, and makes that the server's host; the other one is freed."""
    cell, way = run.service, await _look(run)
    status = migrations.CANCELLED if way.migration.is_cancelled else migrations.FAILED
    if way.has_moved:
        await _bring_ports(run, way)
        await _free_source(run, way)
        status = migrations.COMPLETED
    elif way.migration.target_host is None:
        # Whoever chose a host may have died between the claim and the row.
        await moves.give_claim_back(cell, way.server, run.args.migration)
    else:
        here = await _stopped(run, way)
        if here is None or here.power != "running":
            # The source's hypervisor may have died with the last word of the migration: what it has then is a guest
            # that it has sent away, paused or off, and starting that would be the second one.
            there = await _observed(run, way.target)
            if there is not None and there.power != "absent":
                async with cell.transaction() as tx:
                    await servers.change(tx, run.subject_id, run.clock.now(), **await moves.place_on(tx, way.target))
                return Sleep(0, f"the guest is on {way.target}")
            if there is None or here is None or here.power == "absent":
                return Sleep(5, f"neither {way.migration.source_host} nor {way.target} says that it has the guest")
        await _give_target_back(run, way)
    if way.migration.target_host is not None:
        # Here or there: a guest that was paused to hasten its way goes on.
        await ask_host(run)
    # Before the task ends: that looks whether the server is where its row says, or nobody knows where it is.
    async with cell.transaction() as tx:
        await migrations.change(tx, run.args.migration, run.clock.now(), status=status)
    return Done()


async def _stopped(run: Run[Cell, LiveMigrateArgs], way: Way) -> ServerObservation | None:
    """The source's answer, once no migration is under way there; None: it is silent."""
    asked = StopMigrationArguments(run.subject_id, run.task.epoch)
    try:
        return await run.service.agents.call(way.migration.source_host, STOP_MIGRATION, asked)
    except AgentUnreachable as error:
        log.warning("the source of a migration is silent", server=run.subject_id, reason=str(error))
        return None


async def _give_target_back(run: Run[Cell, LiveMigrateArgs], way: Way) -> None:
    cell = run.service
    await moves.release_from(cell, way.target, run.subject_id, run.task.epoch)
    for port in way.server.ports:
        await cell.region.network.remove_binding(port["id"], way.target)
    await moves.give_claim_back(cell, way.server, run.args.migration)
    await placing.note(cell, way.server, way.migration.source_host)


async def _observed(run: Run[Cell, LiveMigrateArgs], host: str) -> ServerObservation | None:
    """Returns a host's observation of the server; None when it is silent."""
    try:
        return await run.service.agents.call(host, OBSERVE_SERVER, ServerArguments(run.subject_id))
    except (AgentUnreachable, RemoteError) as error:
        log.warning("a host does not say whether it has a guest", host=host, server=run.subject_id, reason=str(error))
        return None


async def _spec(run: Run[Cell, LiveMigrateArgs], way: Way, presence: Presence) -> ServerSpec:
    planned = specs.planned_ports(await specs.port_details(run.service.region.network, way.server))
    host = way.target if presence == "incoming" else way.migration.source_host
    async with run.service.reading() as tx:
        placement = await takings.find(tx, way.server, host)
    return structs.replace(specs.server_spec(way.server, planned, placement=placement), presence=presence)


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """A server that goes on where it was has not failed; one that nobody could find has."""
    migration = await migrations.find(tx, LIVE_MIGRATE.read_args(task).migration)
    if migration.status not in migrations.UNDER_WAY:
        return
    now = task.finished_at or task.wake_at
    await migrations.change(tx, migration.id, now, status=migrations.FAILED)
    hosts = (migration.source_host, migration.target_host or "")
    await servers.change(tx, task.subject_id, now, vm_state="error", fault=servers.fault(error, now, hosts=hosts))


LIVE_MIGRATE = Program(
    name="live_migrate",
    args_type=LiveMigrateArgs,
    steps=(choose_target, expect_guest, move_guest, switch, settle, leave_source),
    on_failed=on_failed,
    deadline_seconds=MOST_SECONDS,
    roll_back=bring_home,
    roll_back_seconds=WAY_BACK_SECONDS,
)
