"""Building a server: find a host, bind its ports, start the guest, wait until it runs and is plugged.

Until the last step everything can be given back, and a failing host is: the server then goes back to `schedule` without
it. Each step may die anywhere and runs again from its first line; what it made is found again by the server's id.
"""

from typing import Any

from kilonova.compute import hosts, servers, specs
from kilonova.compute.agent.spec import ServerObservation
from kilonova.compute.programs import release
from kilonova.compute.scheduling.hosts import HostState, Wanted
from kilonova.compute.scheduling.plan import Plan, account, make_plan, summary
from kilonova.compute.service import Compute
from kilonova.compute.tables import Host, Server
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.db import Tx
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.kit.tasks import Done, Fail, Next, Outcome, Program, Run, Sleep, Task
from kilonova.placement.client import ClaimConflict, Resources, Room

log = logger(__name__)

MOST_HOSTS_TRIED = 3
UNREACHABLE_TRIES = 3
POLL_SECONDS = 0.5
NO_ROOM = Room({}, {})


async def schedule(run: Run[Compute]) -> Outcome:
    """Picks a host and claims its resources. The claim is what decides: a conflict takes the next host."""
    compute = run.service
    async with compute.database.reading() as tx:
        server = await servers.find(tx, run.subject_id)
        everyone = await hosts.list_all(tx)
    held = await compute.placement.allocations(server.id)
    if held:
        # Claimed by this step before it died; the row only has to say so.
        chosen = next(each for each in everyone if each.id in held)
        return _placed(run, chosen, f"host {chosen.host}: its claim was found")
    wanted = await _wanted(run, server)
    rooms = await compute.placement.allocation_candidates(wanted.resources)
    counts = await _servers_on(compute)
    plan = make_plan([_host_state(compute, each, rooms, counts) for each in everyone], rooms, wanted)
    for choice in plan.hosts:
        try:
            await compute.placement.claim(
                server.id, choice.id, wanted.resources, project_id=server.project_id, user_id=server.user_id
            )
        except ClaimConflict:
            continue
        chosen = next(each for each in everyone if each.id == choice.id)
        return _placed(run, chosen, f"host {chosen.host}: {summary(plan, len(everyone))}")
    if plan.hosts:
        return Sleep(POLL_SECONDS, "every host that would do was taken by another request in the same moment")
    # Only a refusal asks every host for its room: the account has to say what each one lacked.
    all_rooms = {each.id: rooms.get(each.id) or await compute.placement.room(each.id) for each in everyone}
    plan = make_plan([_host_state(compute, each, all_rooms, counts) for each in everyone], rooms, wanted)
    return _no_host(run, plan, len(everyone), wanted)


def _no_host(run: Run[Compute], plan: Plan, total: int, wanted: Wanted) -> Fail:
    message = account(plan, total, wanted, with_hosts=False)
    details = account(plan, total, wanted, with_hosts=True)
    tried = run.args.get("failures", {})
    if tried:
        message += f" Hosts that failed before: {len(tried)}; the last said: {list(tried.values())[-1]}"
        details += " Hosts that failed before: " + "; ".join(f"{host}: {reason}" for host, reason in tried.items())
    return Fail(message, args={"details": details})


def _placed(run: Run[Compute], host: Host, note: str) -> Next:
    async def write(tx: Tx) -> None:
        await servers.change(
            tx,
            run.subject_id,
            run.clock.now(),
            host=host.host,
            node_id=host.id,
            availability_zone=host.availability_zone,
        )

    return Next(ports, commit=write, note=note)


async def _wanted(run: Run[Compute], server: Server) -> Wanted:
    async with run.service.database.reading() as tx:
        named = [
            str(each) for hint in ("same_host", "different_host") for each in _as_list(server.scheduler_hints.get(hint))
        ]
        placed = await servers.hosts_of(tx, named, server.project_id)
    properties = (server.image or {}).get("properties", {})
    return Wanted(
        server_id=server.id,
        resources=resources_of(server),
        requested_zone=server.requested_zone,
        requested_host=server.requested_host,
        excluded_hosts=tuple(run.args.get("failures", {})),
        image_architecture=properties.get("hw_architecture") or properties.get("architecture"),
        scheduler_hints=server.scheduler_hints,
        hosts_of_servers=placed,
    )


def _as_list(hint: object) -> list[object]:
    return hint if isinstance(hint, list) else [] if hint is None else [hint]


def resources_of(server: Server) -> Resources:
    """What a server claims: its flavor's amounts, disk rounded up to GiB with its swap."""
    flavor = server.flavor
    swap_gib = -(-flavor["swap_mib"] // 1024)
    disk_gib = flavor["root_gib"] + flavor["ephemeral_gib"] + swap_gib
    amounts = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["memory_mib"], "DISK_GB": disk_gib}
    return {name: amount for name, amount in amounts.items() if amount}


async def _servers_on(compute: Compute) -> dict[str, int]:
    async with compute.database.reading() as tx:
        return await servers.count_by_host(tx)


def _host_state(compute: Compute, host: Host, rooms: dict[str, Room], counts: dict[str, int]) -> HostState:
    room = rooms.get(host.id, NO_ROOM)
    return HostState(
        id=host.id,
        host=host.host,
        hypervisor_hostname=host.hypervisor_hostname,
        availability_zone=host.availability_zone,
        is_up=compute.liveness.is_alive(host.binary, host.host) and not host.forced_down,
        is_disabled=host.disabled,
        disabled_reason=host.disabled_reason,
        seconds_since_answer=compute.liveness.seconds_since_answer(host.binary, host.host),
        servers=counts.get(host.host, 0),
        hypervisor_type=host.inventory["hypervisor_type"],
        architectures=tuple(each[0] for each in host.inventory["supported_instances"]),
        capacity=room.capacity,
        used=room.used,
    )


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
    failures = {**run.args.get("failures", {}), server.host or "": answer.error}
    if len(failures) >= MOST_HOSTS_TRIED:
        return Fail(f"{len(failures)} hosts failed to build the server. The last said: {answer.error}")
    return Next(leave_host, args={"failures": failures}, note=f"host {server.host} failed: {answer.error}")


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
