"""Servers: their rules and transactions.

Functions that take `tx` first are the only SQL; what they change commits with the task that will carry it out.
"""

import re
import secrets
import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select

from kilonova.compute.errors import RootIsVolume, ServerNotFound, VolumesStay, WrongState
from kilonova.compute.hosts import loads, takings
from kilonova.compute.notifications.notices import SERVERS_CHANGED, TOLD
from kilonova.compute.operations import OPERATIONS, SOFT_DELETE, Operation
from kilonova.compute.region import mappings
from kilonova.compute.servers import volumes
from kilonova.compute.tables import DeletedServer, Server, server_history, servers, tasks
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.db.expressions import total
from kilonova.kit.tasks import NewTask, SubjectBusy, Task

NO_STATE, RUNNING, PAUSED, SHUT_DOWN, CRASHED, SUSPENDED = 0, 1, 3, 4, 6, 7
POWER_STATES = {
    "absent": NO_STATE,
    "running": RUNNING,
    "paused": PAUSED,
    "stopped": SHUT_DOWN,
    "crashed": CRASHED,
    "suspended": SUSPENDED,
}
"""What the agent observes → upstream's power_state numbers."""


class ServerWithTask(msgspec.Struct):
    """A server and what is being done to it."""

    server: Server
    task: Task | None
    deleted_at: datetime | None = None


def new_server_id() -> str:
    return str(uuid.uuid4())


def new_reservation_id() -> str:
    return "r-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(8))


def instance_name(server: Server) -> str:
    """The domain's name, as operators know it."""
    return domain_name(server.number)


def domain_name(number: int) -> str:
    return f"instance-{number:08x}"


async def insert(region_tx: RegionTx, tx: CellTx, server: Server, new: NewTask, now: datetime) -> Server:
    """Inserts a server with the task that builds it: one commit, so neither exists alone.

    Both are one transaction, of the API database: there a server waits until it is placed.
    """
    server.number = await mappings.next_number(region_tx)
    await tx.insert(servers, server)
    await loads.follow(tx, None, loads.place_of(server))
    await mappings.insert_server(region_tx, server)
    await tasks.start(tx, new, now)
    return server


async def find(tx: CellTx, server_id: str, project_id: str | None = None) -> Server:
    """Raises ServerNotFound; with `project_id` also for a server of another project."""
    within = {} if project_id is None else {"project_id": project_id}
    server = await tx.find(Server, servers, id=server_id, **within)
    if server is None:
        raise ServerNotFound(server_id)
    return server


async def find_with_task(tx: CellTx, server_id: str, project_id: str | None = None) -> ServerWithTask:
    server = await find(tx, server_id, project_id)
    return ServerWithTask(server, await tasks.active(tx, server_id))


def check_state(server: Server, action: str, states: Collection[str]) -> None:
    """Raises WrongState unless the server is in one of the vm_states."""
    if server.vm_state not in states:
        raise WrongState(server.id, action, f"vm_state {server.vm_state}")


async def change(tx: CellTx, server_id: str, now: datetime, **values: Any) -> None:
    """Writes into a server's row; nothing happens when it is gone. On no host, it has nothing of one any more."""
    state_before: str | None = None
    if "host" in values or "vm_state" in values:
        before = await loads.find_place(tx, server_id)
        if before is None:
            return
        await loads.follow(
            tx, before, before._replace(**{name: values[name] for name in before._fields if name in values})
        )
        state_before = before.vm_state
        if "host" in values and values["host"] is None:
            await takings.give_back(tx, server_id)
    await tx.change(servers, {"id": server_id}, updated_at=now, **values)
    if told := TOLD & values.keys():
        tx.after(SERVERS_CHANGED, (server_id, tuple(sorted(told)), state_before))


def check_ready(server: Server, active: Task | None, operation: Operation) -> None:
    """Raises WrongState unless the operation may begin beside what is under way, VolumesStay for one that would part a
    server from its volumes, RootIsVolume for one that is about a root disk which is a volume.
    """
    if active is not None and active.program not in operation.replaces:
        raise WrongState(server.id, operation.action, f"task_state {_state_of(active.program, active.step)}")
    check_state(server, operation.action, operation.begins_in)
    if server.volumes and operation.leaves_host:
        raise VolumesStay(server.id, operation.action, [each["id"] for each in server.volumes])
    if operation.needs_own_root and volumes.are_root(server.volumes):
        raise RootIsVolume(server.id, operation.action)


async def begin(tx: CellTx, server: Server, operation: Operation, new: NewTask, now: datetime) -> Task:
    """Starts an operation on a server. Raises WrongState when another is under way or its state does not allow it."""
    active = await tasks.active(tx, server.id)
    check_ready(server, active, operation)
    if active is not None:
        return await tasks.supersede(tx, new, now)
    try:
        return await tasks.start(tx, new, now)
    except SubjectBusy as busy:
        raise WrongState(server.id, operation.action, f"task_state {_state_of(busy.program, busy.step)}") from busy


async def begin_power(
    tx: CellTx, server: Server, operation: Operation, new: NewTask, now: datetime, **changes: Any
) -> None:
    """Starts an operation that only changes power, and writes down what is wanted. Raises WrongState."""
    if server.host is None:
        raise WrongState(server.id, operation.action, f"vm_state {server.vm_state}: it is on no host")
    await begin(tx, server, operation, new, now)
    values: dict[str, Any] = {"wanted_power": operation.wants, **changes}
    if operation.reboots is not None:
        values |= {"reboot_type": operation.reboots, "reboot_count": server.reboot_count + 1}
    await change(tx, server.id, now, **values)


async def delete_softly(tx: CellTx, server: Server, new: NewTask, now: datetime) -> None:
    """Stops a server, which can be restored for a while; in place of whatever is under way."""
    await tasks.supersede(tx, new, now)
    await change(tx, server.id, now, wanted_power=SOFT_DELETE.wants, left_at=now)


async def reset_state(tx: CellTx, server: Server, vm_state: str, now: datetime) -> None:
    """Says what a server is, whatever it was, and ends what is being done to it. Touches nothing but the rows.

    A server on its way between two hosts goes back first: its end alone would leave a claim, a binding and maybe a
    guest on a host that is not the server's. Raises WrongState when the task has just gone on.
    """
    active = await tasks.active(tx, server.id)
    if active is not None:
        await _end(tx, active, now, f"the state was reset to {vm_state}")
    await change(tx, server.id, now, vm_state=vm_state, rescue=None)


async def _end(tx: CellTx, active: Task, now: datetime, reason: str) -> None:
    operation = OPERATIONS.get(active.program)
    if operation is None or not operation.way_back:
        await tasks.end(tx, active, now, reason)
    elif not active.rolling_back:
        try:
            await tasks.turn_back(tx, active, operation.way_back, now, operation.way_back_seconds, reason)
        except SubjectBusy as busy:
            state = _state_of(busy.program, busy.step)
            raise WrongState(active.subject_id, "resetState", f"task_state {state}") from busy


async def names_on(tx: CellTx, host: str) -> dict[str, str]:
    """Server id → domain name, of a host's servers."""
    rows = await tx.tuples(select(servers.c.id, servers.c.number).where(servers.c.host == host))
    return {server_id: domain_name(number) for server_id, number in rows}


class HostUse(msgspec.Struct, frozen=True):
    """What the servers on a host have of it, by their flavors."""

    servers: int = 0
    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0


async def use_by_host(tx: CellTx) -> dict[str, HostUse]:
    table = servers.c
    disk_gib = total(table.flavor["root_gib"].as_integer())
    sums = select(table.host, func.count(), total(table.vcpus), total(table.memory_mib), disk_gib)
    rows = await tx.tuples(sums.where(table.host.is_not(None)).group_by(table.host))
    return {row[0]: HostUse(*row[1:]) for row in rows}


async def use_by_project(tx: CellTx, host: str) -> dict[str, HostUse]:
    """Project id → what its servers have of a host, by their flavors."""
    table = servers.c
    disk_gib = total(table.flavor["root_gib"].as_integer())
    sums = select(table.project_id, func.count(), total(table.vcpus), total(table.memory_mib), disk_gib)
    rows = await tx.tuples(sums.where(table.host == host).group_by(table.project_id))
    return {row[0]: HostUse(*row[1:]) for row in rows}


class ServerState(msgspec.Struct, frozen=True):
    id: str
    vm_state: str
    power_state: int


async def states_on(tx: CellTx, host: str) -> dict[str, ServerState]:
    """Server id → state, of a host's servers."""
    return {row[0]: ServerState(*row) for row in await tx.tuples(_STATES_ON, host=host)}


_STATES_ON = select(servers.c.id, servers.c.vm_state, servers.c.power_state).where(servers.c.host == bindparam("host"))


async def active_subjects(tx: CellTx) -> dict[str, bool]:
    """Id of every server an operation is under way for → whether that sleeps now, waiting for something."""
    return {server_id: lease is None for server_id, lease in await tx.tuples(_ACTIVE_SUBJECTS)}


_ACTIVE_SUBJECTS = select(tasks.tasks.c.subject_id, tasks.tasks.c.lease_until).where(
    tasks.tasks.c.finished_at.is_(None)
)


async def hosts_of(tx: CellTx, server_ids: Collection[str], project_id: str) -> dict[str, str]:
    """Server id → host, of those that exist, are placed and belong to the project: hints may name any."""
    statement = select(servers.c.id, servers.c.host).where(
        servers.c.id.in_(server_ids), servers.c.project_id == project_id, servers.c.host.is_not(None)
    )
    return {str(server_id): str(host) for server_id, host in await tx.tuples(statement)}


async def forget(tx: CellTx, server: Server, now: datetime) -> None:
    """Moves a destroyed server to the history of its database. Safe to repeat."""
    record = msgspec.to_builtins(server)
    deleted = DeletedServer(
        id=server.id,
        project_id=server.project_id,
        user_id=server.user_id,
        host=server.host,
        number=server.number,
        record=record,
        created_at=server.created_at,
        deleted_at=now,
    )
    await tx.insert_new(server_history, deleted)
    await loads.follow(tx, await loads.find_place(tx, server.id), None)
    await takings.give_back(tx, server.id)
    await tx.remove(servers, id=server.id)


async def find_deleted(tx: CellTx, server_id: str) -> DeletedServer | None:
    return await tx.find(DeletedServer, server_history, id=server_id)


def fault(
    message: str, now: datetime, *, code: int = 500, details: str = "", hosts: Iterable[str] = ()
) -> dict[str, Any]:
    """A server's fault. `message` must say why: an empty one is a defect.

    Its owner reads the message, which names no path and none of `hosts`; administrators read it whole in the details.
    """
    if not message:
        raise ValueError("a fault needs its reason")
    shown = _without_places(message, hosts)
    whole = "\n".join(filter(None, (message if shown != message else "", details)))
    return {"code": code, "message": shown, "created": now.isoformat(), "details": whole}


_PATH = re.compile(r"(?<![\w:/.])/(?:[\w.@%+~-]+/)*[\w.@%+~-]*[\w@%+~-]")


def _without_places(message: str, hosts: Iterable[str]) -> str:
    for host in sorted(filter(None, set(hosts)), key=len, reverse=True):
        message = re.sub(rf"(?:on |of |the )?(?:host )?(?<![\w.-]){re.escape(host)}(?![\w-])", _the_host, message)
    return _PATH.sub("a file of the host", message)


def _the_host(match: re.Match[str]) -> str:
    lead = match[0].split(" ", 1)[0]
    return f"{lead} the host" if lead in ("on", "of") else "the host"


def _state_of(program: str, step: str) -> str:
    return OPERATIONS[program].task_state(step)


def task_state(each: ServerWithTask) -> str | None:
    """Returns the task_state users see: a view of the active task."""
    if each.task is None or not OPERATIONS[each.task.program].is_shown:
        return None
    return _state_of(each.task.program, each.task.step)


STATUSES = {
    "active": "ACTIVE",
    "building": "BUILD",
    "deleted": "DELETED",
    "paused": "PAUSED",
    "suspended": "SUSPENDED",
    "stopped": "SHUTOFF",
    "resized": "VERIFY_RESIZE",
    "rescued": "RESCUE",
    "soft-delete": "SOFT_DELETED",
    "shelved": "SHELVED",
    "shelved_offloaded": "SHELVED_OFFLOADED",
    "error": "ERROR",
}
"""vm_state → status, unless an operation shows another one."""


def status(each: ServerWithTask) -> str:
    """The status users see. Source: Compute API guide, "Server concepts"."""
    vm_state = each.server.vm_state
    if each.task is not None:
        operation = OPERATIONS[each.task.program]
        if operation.status is not None and vm_state in operation.status_in:
            return operation.status
    return STATUSES[vm_state]
