"""Building a server: find a host, bind its ports, start the guest, wait until it runs and is plugged.

Until the last step everything can be given back, and a failing host is: the server then goes back to `schedule` without
it. Each step may die anywhere and runs again from its first line; what it made is found again by the server's id.
"""

from datetime import datetime
from typing import Any

from msgspec import structs
from sqlalchemy.exc import SQLAlchemyError

from kilonova.compute.hosts import hosts
from kilonova.compute.programs import choosing, placing, release
from kilonova.compute.programs.choosing import Chosen
from kilonova.compute.programs.convergence import UNREACHABLE_TRIES, HostArgs, Seen, ask_host
from kilonova.compute.programs.volume_attachments import connect, promised, require_same_owner
from kilonova.compute.region import mappings, moving
from kilonova.compute.region.mappings import CELL0_ID
from kilonova.compute.scheduling.plan import count_hosts
from kilonova.compute.servers import admin_passwords, security_groups, servers, specs, timeline, volumes
from kilonova.compute.servers.volumes import Fields, ServerVolume
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, HandedOver, Next, Outcome, Program, Run, Sleep, Task, step_name

log = logger(__name__)

POLL_SECONDS = 0.5
REGISTRATION_TRIES = 120
"""How often a server looks again while hosts are about to answer for the first time: a minute long."""
POLLS_BETWEEN_CALLS = 4
BEING_MADE = ("creating", "downloading")
"""The statuses of volumes that will be there."""
FIRST_EPOCH = 2
"""Of a subject's first task when it has been claimed once."""


class BuildArgs(HostArgs, frozen=True, kw_only=True, omit_defaults=True):
    host: str = ""
    """The host that was chosen."""
    cell: str = ""
    """The id of its cell."""
    failures: dict[str, str] = {}
    """Host → why it could not build the server."""
    ports: specs.PlannedPorts | None = None
    runs: bool = False
    """Whether the guest ran when the host was last asked."""
    details: str = ""
    """Of a failure, for administrators."""
    admin_password: str | None = None
    """Until the config drive is written (`admin_passwords`)."""


async def schedule(run: Run[Cell, BuildArgs]) -> Outcome:
    """Picks a host and claims its resources. The claim is what decides: a conflict takes the next host."""
    failures = run.args.failures
    chosen = await choosing.choose(
        run.service,
        placing.look(run.service, run.subject_id, tuple(failures)),
        choosing.FirstClaims(run.service),
        failures=failures,
        waits_for_hosts=not failures and run.task.attempt < REGISTRATION_TRIES,
    )
    if isinstance(chosen, Sleep):
        return chosen
    if isinstance(chosen, choosing.Refused):
        return Fail(chosen.message, args=structs.replace(run.args, details=chosen.details), note=chosen.note)
    return _settle(run, chosen)


def _settle(run: Run[Cell, BuildArgs], chosen: Chosen) -> Outcome:
    """Writes down the host that was claimed."""
    host, own, server, cell = chosen.host, run.service, chosen.view.server, chosen.view.cell_of(chosen.host.host)
    values = {"host": host.host, "node_id": host.id, "availability_zone": host.availability_zone}

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, run.clock.now(), **values)
        if cell is own and (region_tx := own.regional(tx)):
            await mappings.change_server(region_tx, server.id, cell_id=cell.id)

    step = ports if cell is own else enter_cell
    return Next(step, args=structs.replace(run.args, host=host.host, cell=cell.id), commit=write, note=chosen.note)


async def enter_cell(run: Run[Cell, BuildArgs]) -> Outcome:
    """Moves the server and this task into the host's cell, where another runner goes on with it."""
    own = run.service
    async with own.reading() as tx:
        before = await moving.pack(tx, run.subject_id)
    copy = moving.as_copy(before, before.server, run.task, run.clock.now(), step=step_name(ports), error=None)
    try:
        cell = await own.region.cells.member(run.args.cell)
        await moving.move(own.region, run.task, cell, copy, before)
    except moving.Overtaken as error:
        return Sleep(0, str(error))
    except ServiceUnavailable as fault:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(2**run.task.attempt, fault.message)
        return await _leave_claim(run, before.server, f"the cell went away: {fault.message}")
    await moving.awaken(cell, run.task.id)
    return HandedOver(f"to cell {cell.id}")


async def _leave_claim(run: Run[Cell, BuildArgs], server: Server, note: str) -> Outcome:
    """Gives the claim on a host back that was never told of the server, and looks for another."""
    await placing.note(run.service, server, None)
    await run.service.region.placement.release(server.id)

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, run.clock.now(), host=None, node_id=None, availability_zone=None)

    return Next(schedule, commit=write, note=note)


async def ports(run: Run[Cell, BuildArgs]) -> Outcome:
    """Makes or binds one port for each requested network, on the host that was chosen."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        bound = await release.bind_ports(cell.region.network, server, is_first_try=_is_first_try(run))
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The ports could not be made: {fault.message}")
    details = await specs.details_of(cell.region.network, bound.ports, new_ports=bound.made_now)
    wanted = zip(server.requested_networks, details, strict=True)
    tags = {each.port.id: asked["tag"] for asked, each in wanted if asked.get("tag")}
    entries = specs.port_entries(details, bound.brought, tags)
    values: dict[str, Any] = {"ports": entries}
    if bound.brought or not any(port.security_groups for port in bound.ports):
        values["security_groups"] = await security_groups.names_of(cell.region.network, bound.ports)

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, run.clock.now(), **values)

    args = structs.replace(run.args, ports=specs.planned_ports(details))
    return Next(hold_volumes if server.volumes else spawn, args=args, commit=write, note=_ports_note(entries))


async def hold_volumes(run: Run[Cell, BuildArgs]) -> Outcome:
    """Waits until the server's volumes are made, and has block storage say how its host reaches them."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    held: list[ServerVolume] = []
    for volume in volumes.of_server(server):
        seen = await cell.region.volume.show(volume.id)
        if seen.status in BEING_MADE:
            return Sleep(POLL_SECONDS, f"volume {volume.id} is {seen.status}")
        try:
            attachment_id = await promised(cell.region.volume, volume.id, server.id)
            await require_same_owner(cell.region.volume, volume)
            held.append(await connect(cell, server, structs.replace(volume, attachment_id=attachment_id)))
        except RemoteUnavailable:
            raise
        except RemoteFault as fault:
            return Fail(f"The volume {volume.id} cannot be had: {fault.message}")

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, run.clock.now(), volumes=volumes.as_kept(held))

    return Next(spawn, commit=write, note=f"{len(held)} held")


def _is_first_try(run: Run[Cell, BuildArgs]) -> bool:
    """Whether no try of this step, nor of the task, can have left anything: every other claim raises the epoch."""
    return run.task.epoch == FIRST_EPOCH and not run.args.failures


def _ports_note(entries: list[dict[str, Any]]) -> str:
    addresses = [address for entry in entries for address in entry["fixed_ips"]]
    return f"{len(entries)} bound, {', '.join(addresses) or 'no address'}"


async def spawn(run: Run[Cell, BuildArgs]) -> Outcome:
    """Hands the whole specification to the host's agent, which starts converging to it."""
    answer = await _ask_host(run)
    if isinstance(answer, Seen):
        seen = answer.observed
        args = timeline.with_milestones(run.args, seen.milestones)
        return Next(wait_active, args=structs.replace(args, runs=seen.power == "running", unanswered=0))
    return await _unless_host_failed(run, answer)


async def wait_active(run: Run[Cell, BuildArgs]) -> Outcome:
    """Waits until the guest runs and its ports are plugged; now and then the agent is asked again, which would repair
    what went missing.
    """
    args = structs.replace(run.args, runs=True)
    if not run.args.runs or run.task.attempt % POLLS_BETWEEN_CALLS == POLLS_BETWEEN_CALLS - 1:
        answer = await _ask_host(run)
        if not isinstance(answer, Seen):
            return await _unless_host_failed(run, answer)
        observed = answer.observed
        args = structs.replace(timeline.with_milestones(args, observed.milestones), unanswered=0)
        if observed.power != "running":
            reason = observed.progress or f"the guest is {observed.power}"
            return Sleep(POLL_SECONDS, reason, args=structs.replace(args, runs=False))
    plugged_ids = [port.id for port in run.args.ports.spec] if run.args.ports is not None else []
    if plugged_ids:
        for port in await run.service.region.network.list_ports(device_id=run.subject_id, id=plugged_ids):
            if port.status != "ACTIVE":
                waiting = f"port {port.id} is {port.status}: not plugged on the host yet"
                return Sleep(POLL_SECONDS, waiting, args=args)
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    return Next(complete_volumes, args=args) if server.volumes else _done(run, args)


async def complete_volumes(run: Run[Cell, BuildArgs]) -> Outcome:
    """Tells block storage that the server has its volumes."""
    async with run.service.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    for volume in volumes.of_server(server):
        await run.service.region.volume.complete(volume.attachment_id)
    return _done(run, run.args)


def _done(run: Run[Cell, BuildArgs], args: BuildArgs) -> Done:
    async def write(tx: CellTx) -> None:
        now = run.clock.now()
        values = {"vm_state": "active", "power_state": servers.RUNNING, "launched_at": now, "fault": None}
        await servers.change(tx, run.subject_id, now, **values)
        await hosts.count_success(tx, run.args.host)
        await admin_passwords.forget(tx, run.subject_id)

    return Done(structs.replace(args, admin_password=None), commit=write, note=f"running on {run.args.host}")


async def _ask_host(run: Run[Cell, BuildArgs]) -> Seen | Sleep | Fail:
    return await ask_host(run, run.args.ports, run.args.admin_password)


async def _unless_host_failed(run: Run[Cell, BuildArgs], answer: Sleep | Fail) -> Outcome:
    """A host that failed is left for another one; too many, and the server has failed."""
    if isinstance(answer, Sleep):
        return answer
    host = run.args.host
    failures = {**run.args.failures, host: answer.error}

    async def count(tx: CellTx) -> None:
        await hosts.count_failed_build(tx, host)

    if len(failures) >= run.service.region.rules.max_attempts:
        told = f"{count_hosts(len(failures))} failed to build the server. The last said: {answer.error}"
        return Fail(told, commit=count)
    args = structs.replace(run.args, failures=failures, unanswered=0, milestones=())
    return Next(leave_host, args=args, note=f"host {host} failed: {answer.error}", commit=count)


async def leave_host(run: Run[Cell, BuildArgs]) -> Outcome:
    """Gives the failing host's claim back, then schedules again without it."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await release.from_host(cell, server, run.task.epoch)
    except AgentUnreachable:
        if server.volumes:
            return Fail(f"Host {server.host} went silent, and may write to the server's volumes: no other gets them.")
        # A silent host cannot be freed now. It asks what belongs to it when it returns, and removes the rest then.
        log.warning("host left without its answer", host=server.host, server=server.id)
    await release.unbind_ports(cell.region.network, server)
    given_back = await release.volumes_for_now(cell, server)
    await placing.note(cell, server, None)
    await cell.region.placement.release(server.id)
    values = {"host": None, "node_id": None, "availability_zone": None, "volumes": given_back}

    async def write(tx: CellTx) -> None:
        await servers.change(tx, server.id, run.clock.now(), **values)

    return Next(schedule, commit=write)


async def roll_back(run: Run[Cell, BuildArgs]) -> Outcome:
    """Gives back what runs on the host, the ports and the claim. The server stays, in ERROR with its reason."""
    cell = run.service
    async with cell.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await release.from_host(cell, server, run.task.epoch)
        is_silent = False
    except AgentUnreachable as error:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(2**run.task.attempt, str(error))
        is_silent = True
    await release.ports(cell.region.network, server)
    given_back = await release.volumes_for_now(cell, server, is_silent=is_silent)
    await placing.note(cell, server, None)
    await cell.region.placement.release(server.id)
    if cell is cell.region.here and CELL0_ID in await cell.region.cells.elsewhere():
        return await _bury(run, server, given_back)

    async def write(tx: CellTx) -> None:
        values = {"ports": [], "host": None, "node_id": None, "volumes": given_back}
        await servers.change(tx, server.id, run.clock.now(), **values)
        if region_tx := cell.regional(tx):
            await mappings.change_server(region_tx, server.id, cell_id=CELL0_ID)

    return Done(commit=write)


async def _bury(run: Run[Cell, BuildArgs], server: Server, given_back: list[Fields] | None) -> Outcome:
    """What could not be placed goes to cell0, with its reason. While that is down it stays where it is."""
    cell, task, now = run.service, run.task, run.clock.now()
    async with cell.reading() as tx:
        before = await moving.pack(tx, server.id)
    error = task.error or "the operation failed"
    left = {"ports": [], "host": None, "node_id": None, "volumes": given_back}
    values = {**_failed(task, error, now), **left, "updated_at": now}
    buried = structs.replace(before.server, **values)
    ended: dict[str, Any] = {"active_subject": None, "finished_at": now, "outcome": "failed"}
    ended["args"] = admin_passwords.without(task.args)
    try:
        cell0 = await cell.region.cells.member(CELL0_ID)
        await moving.move(cell.region, task, cell0, moving.as_copy(before, buried, task, now, **ended), before)
    except moving.Overtaken as overtaken:
        return Sleep(0, str(overtaken))
    except (ServiceUnavailable, SQLAlchemyError) as fault:
        log.warning("a server that could not be placed stays in the API database", server=server.id, reason=str(fault))

        async def write(tx: CellTx) -> None:
            await servers.change(tx, server.id, run.clock.now(), **left)

        return Done(commit=write)
    await moving.awaken(cell0, task.id)
    return HandedOver("to cell0")


async def on_failed(tx: CellTx, task: Task, error: str) -> None:
    """ERROR, with the reason as the server's fault; details are for administrators."""
    now = task.finished_at or task.wake_at
    await servers.change(tx, task.subject_id, now, **_failed(task, error, now))
    await admin_passwords.forget(tx, task.subject_id)


def _failed(task: Task, error: str, now: datetime) -> dict[str, Any]:
    args = BUILD.read_args(task)
    fault = servers.fault(error, now, details=args.details, hosts=(*args.failures, args.host))
    return {"vm_state": "error", "power_state": servers.NO_STATE, "fault": fault}


BUILD = Program(
    name="build",
    args_type=BuildArgs,
    steps=(schedule, enter_cell, ports, hold_volumes, spawn, wait_active, complete_volumes, leave_host),
    on_failed=on_failed,
    deadline_seconds=600,
    roll_back=roll_back,
)
