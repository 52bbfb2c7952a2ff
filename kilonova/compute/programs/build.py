"""Building a server: find a host, bind its ports, start the guest, wait until it runs and is plugged.

Until the last step everything can be given back, and a failing host is: the server then goes back to `schedule` without
it. Each step may die anywhere and runs again from its first line; what it made is found again by the server's id.
"""

from typing import Any

from kilonova.compute import hosts, servers, specs
from kilonova.compute.agent.spec import ServerObservation
from kilonova.compute.programs import placing, release
from kilonova.compute.scheduling.plan import summary
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.service import Compute
from kilonova.compute.tables import Host, Server
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.db import Tx
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task

log = logger(__name__)

MOST_HOSTS_TRIED = 3
UNREACHABLE_TRIES = 3
POLL_SECONDS = 0.5


async def schedule(run: Run[Compute]) -> Outcome:
    """Picks a host and claims its resources. The claim is what decides: a conflict takes the next host."""
    compute = run.service
    async with compute.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
        try:
            view = await placing.look(compute, tx, server, tuple(run.args.get("failures", {})))
        except UnusableSpec as error:
            return Fail(f"No valid host was found. {error}")
    try:
        rooms = await placing.rooms_for(compute, view.wanted)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"No valid host was found. Placement refused what was asked of it: {fault.message}")
    plan = placing.plan(compute, view, rooms)
    for choice in plan.hosts:
        host = await placing.claim(compute, view, choice)
        if host is not None:
            return await _settle(run, server, host, f"host {host.host}: {summary(plan, len(view.hosts))}")
    if plan.hosts:
        return Sleep(POLL_SECONDS, "every host that would do was taken by another request in the same moment")
    message, details = await placing.explain(compute, view, rooms, run.args.get("failures", {}))
    return Fail(message, args={"details": details})


async def _settle(run: Run[Compute], server: Server, host: Host, note: str) -> Outcome:
    """Writes down the host that was claimed. In a server group only if its rule still holds: two members may have
    been placed in the same moment, and the one that writes second goes elsewhere.
    """
    values = {"host": host.host, "node_id": host.id, "availability_zone": host.availability_zone}
    if server.group_id is None:

        async def write(tx: Tx) -> None:
            await servers.change(tx, server.id, run.clock.now(), **values)

        return Next(ports, commit=write, note=note)
    async with run.service.database.transaction() as tx:
        kept = await placing.keeps_group_rule(tx, server, host.host)
        if kept:
            await servers.change(tx, server.id, run.clock.now(), **values)
    if kept:
        return Next(ports, note=note)
    await run.service.placement.release(server.id)
    return Sleep(0, "another member of the server group was placed in the same moment")


async def ports(run: Run[Compute]) -> Outcome:
    """Makes or binds one port for each requested network, on the host that was chosen."""
    compute = run.service
    async with compute.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        bound = await release.bind_ports(compute.network, server)
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        return Fail(f"The ports could not be made: {fault.message}")
    server.ports = bound
    entries = specs.port_entries(server, await specs.port_details(compute.network, server))

    async def write(tx: Tx) -> None:
        await servers.change(tx, server.id, run.clock.now(), ports=entries)

    return Next(volumes, commit=write, note=_ports_note(entries))


def _ports_note(entries: list[dict[str, Any]]) -> str:
    addresses = [address for entry in entries for address in entry["fixed_ips"]]
    return f"{len(entries)} bound, {', '.join(addresses) or 'no address'}"


async def volumes(run: Run[Compute]) -> Outcome:
    """Block devices: the root disk is the image's copy on the host, so there is nothing to connect."""
    return Next(spawn)


async def spawn(run: Run[Compute]) -> Outcome:
    """Hands the whole specification to the host's agent, which starts converging to it."""
    answer = await ask_host(run)
    if isinstance(answer, ServerObservation):
        return Next(wait_active)
    return await _unless_host_failed(run, answer)


async def wait_active(run: Run[Compute]) -> Outcome:
    """Asks again until the guest runs and its ports are plugged; the same call would repair what went missing."""
    answer = await ask_host(run)
    if not isinstance(answer, ServerObservation):
        return await _unless_host_failed(run, answer)
    if answer.power != "running":
        return Sleep(POLL_SECONDS, answer.progress or f"the guest is {answer.power}")
    async with run.service.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    details = await specs.port_details(run.service.network, server)
    for each in details:
        if each.port["status"] != "ACTIVE":
            return Sleep(POLL_SECONDS, f"port {each.port['id']} is {each.port['status']}: not plugged on the host yet")
    entries = specs.port_entries(server, details)
    now = run.clock.now()

    async def write(tx: Tx) -> None:
        values = {"vm_state": "active", "power_state": servers.RUNNING, "launched_at": now, "fault": None}
        await servers.change(tx, server.id, now, ports=entries, **values)
        await hosts.count_build(tx, server.host or "", failed=False)

    return Done(commit=write, note=f"running on {server.host}")


async def ask_host(run: Run[Compute]) -> ServerObservation | Sleep | Fail:
    """One call to the agent with the whole wanted state. Fail: the host says it cannot, or stays silent too long."""
    compute = run.service
    async with compute.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    spec = specs.server_spec(server, await specs.port_details(compute.network, server))
    try:
        observed = await compute.agents.call(
            server.host or "", "ensure_server", ServerObservation, spec=spec, epoch=run.task.epoch
        )
    except AgentUnreachable as error:
        return Sleep(2**run.task.attempt, str(error)) if run.task.attempt < UNREACHABLE_TRIES else Fail(str(error))
    except RemoteError as error:
        # A stale epoch says that another task owns the server by now: this one's commit will be refused.
        return Sleep(1, error.message) if error.kind == "StaleEpoch" else Fail(error.message)
    return Fail(observed.message) if observed.message else observed


async def _unless_host_failed(run: Run[Compute], answer: Sleep | Fail) -> Outcome:
    """A host that failed is left for another one; too many, and the server has failed."""
    if isinstance(answer, Sleep):
        return answer
    async with run.service.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    host = server.host or ""
    failures = {**run.args.get("failures", {}), host: answer.error}

    async def count(tx: Tx) -> None:
        await hosts.count_build(tx, host, failed=True)

    if len(failures) >= MOST_HOSTS_TRIED:
        told = f"{len(failures)} hosts failed to build the server. The last said: {answer.error}"
        return Fail(told, commit=count)
    return Next(leave_host, args={"failures": failures}, note=f"host {host} failed: {answer.error}", commit=count)


async def leave_host(run: Run[Compute]) -> Outcome:
    """Gives the failing host's claim back, then schedules again without it."""
    compute = run.service
    async with compute.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await release.from_host(compute, server, run.task.epoch)
    except AgentUnreachable:
        # A silent host cannot be freed now. It asks what belongs to it when it returns, and removes the rest then.
        log.warning("host left without its answer", host=server.host, server=server.id)
    await release.unbind_ports(compute.network, server)
    await compute.placement.release(server.id)

    async def write(tx: Tx) -> None:
        await servers.change(tx, server.id, run.clock.now(), host=None, node_id=None, availability_zone=None)

    return Next(schedule, commit=write)


async def roll_back(run: Run[Compute]) -> Outcome:
    """Gives back what runs on the host, the ports and the claim. The server stays, in ERROR with its reason."""
    compute = run.service
    async with compute.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
    try:
        await release.from_host(compute, server, run.task.epoch)
    except AgentUnreachable as error:
        if run.task.attempt < UNREACHABLE_TRIES:
            return Sleep(2**run.task.attempt, str(error))
    await release.ports(compute.network, server)
    await compute.placement.release(server.id)

    async def write(tx: Tx) -> None:
        await servers.change(tx, server.id, run.clock.now(), ports=[], host=None, node_id=None)

    return Done(commit=write)


async def on_failed(tx: Tx, task: Task, error: str) -> None:
    """ERROR, with the reason as the server's fault; details are for administrators."""
    now = task.finished_at or task.wake_at
    fault = servers.fault(error, now, details=str(task.args.get("details", "")))
    await servers.change(tx, task.subject_id, now, vm_state="error", power_state=servers.NO_STATE, fault=fault)


BUILD = Program(
    name="build",
    steps=(schedule, ports, volumes, spawn, wait_active, leave_host),
    on_failed=on_failed,
    deadline_seconds=600,
    roll_back=roll_back,
)
