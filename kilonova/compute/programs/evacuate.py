"""Bringing a server up on another host because its own is down: its disks are made anew there, its ports follow.

From the moment in which it has another host nothing leads back: whatever the old host still has of it is removed when
that host returns and asks what belongs to it.
"""

from msgspec import structs

from kilonova.compute.programs import moves, placing, power, release
from kilonova.compute.programs.convergence import HostArgs, Seen, ask_host
from kilonova.compute.servers import admin_passwords, migrations, servers
from kilonova.compute.service import Cell
from kilonova.compute.transactions import CellTx
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

POLL_SECONDS = 0.5


class EvacuateArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    migration: str = ""
    """Its id; in placement it is the consumer that keeps what the server has of the host that is down."""
    source: str = ""
    requested_host: str = ""
    """Empty: any that will do."""
    admin_password: str | None = None
    """Until the config drive is written (`admin_passwords`)."""


async def find_refuge(run: Run[Cell, EvacuateArgs]) -> Outcome:
    """Picks a host and claims the server's resources there, beside those that it has."""
    cell, args = run.service, run.args
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    target = await moves.claim_target(cell, server, args.source, args.requested_host, args.migration)
    if not isinstance(target, moves.Target):
        return target
    async with cell.reading() as tx:
        values = await moves.place_on(tx, target.host.host)

    async def write(tx: CellTx) -> None:
        now = run.clock.now()
        await migrations.set_target(tx, args.migration, target.host, now)
        await servers.change(tx, server.id, now, **values)

    return Next(bring_ports, commit=write, note=target.decision)


async def bring_ports(run: Run[Cell, EvacuateArgs]) -> Outcome:
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await release.rebind_ports(run.service.region.network, server)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The ports could not be bound on the other host: {fault.message}")
    return Next(make_anew)


async def make_anew(run: Run[Cell, EvacuateArgs]) -> Outcome:
    """The new host gets the server as its row says, and its disks from its image."""
    seen = await ask_host(run, admin_password=run.args.admin_password)
    if not isinstance(seen, Seen):
        return seen
    server, observed = seen.server, seen.observed
    if observed.power != server.wanted_power or observed.progress:
        return Sleep(POLL_SECONDS, observed.progress or f"the guest is {observed.power}")
    await _free_claims(run)
    now = run.clock.now()
    vm_state = "active" if server.wanted_power == "running" else "stopped"
    values = {"vm_state": vm_state, "power_state": servers.POWER_STATES[observed.power], "fault": None}

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, now, launched_at=now, **values)
        await migrations.change(tx, run.args.migration, now, status=migrations.COMPLETED)
        await migrations.end_all(tx, server.id, migrations.FAILED, now)
        await admin_passwords.forget(tx, server.id)

    return Done(structs.replace(run.args, admin_password=None), commit=write)


async def _free_claims(run: Run[Cell, EvacuateArgs]) -> None:
    """Gives back what this move, and one whose place it took, have kept for the server."""
    async with run.service.reading() as tx:
        under_way = await migrations.under_way(tx, run.subject_id)
    for each in under_way:
        await moves.free_source_claim(run.service, run.subject_id, each.id)


async def stay(run: Run[Cell, EvacuateArgs]) -> Outcome:
    """An evacuation that found no host leaves the server where it is; one that failed later, where it has come."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    if server.host == run.args.source:
        await moves.give_claim_back(cell, server, run.args.migration)
        await placing.note(cell, server, run.args.source)
    else:
        await _free_claims(run)
    return Done()


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    now = task.finished_at or task.wake_at
    await power.on_failed(tx, task, error)
    await migrations.end_all(tx, task.subject_id, migrations.FAILED, now)
    await admin_passwords.forget(tx, task.subject_id)


EVACUATE = Program(
    name="evacuate",
    args_type=EvacuateArgs,
    steps=(find_refuge, bring_ports, make_anew),
    on_failed=on_failed,
    deadline_seconds=1800,
    roll_back=stay,
)
