"""Servers: their rules and transactions.

Functions that take `tx` first are the only SQL; what they change commits with the task that will carry it out.
"""

import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, String, and_, cast, delete, func, not_, select, update

from kilonova.compute.errors import ServerNotFound, WrongState
from kilonova.compute.tables import DeletedServer, Server, server_history, servers, tasks
from kilonova.kit.db import Tx
from kilonova.kit.db.paging import after_marker, ordered
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.paging import Page
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


def new_server_id() -> str:
    return str(uuid.uuid4())


def new_reservation_id() -> str:
    return "r-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(8))


def instance_name(server: Server) -> str:
    """The domain's name, as operators know it."""
    return f"instance-{server.number:08x}"


async def insert(tx: Tx, server: Server, new: NewTask, now: datetime) -> Server:
    """Inserts a server with the task that builds it: one commit, so neither exists alone."""
    newest = await tx.scalar(select(func.max(servers.c.number)))
    newest_deleted = await tx.scalar(select(func.max(server_history.c.record["number"].as_integer())))
    server.number = max(newest or 0, newest_deleted or 0) + 1
    await tx.insert(servers, server)
    await tasks.start(tx, new, now)
    return server


async def find(tx: Tx, server_id: str, project_id: str | None = None) -> Server:
    """Raises ServerNotFound; with `project_id` also for a server of another project."""
    statement = select(servers).where(servers.c.id == server_id)
    if project_id is not None:
        statement = statement.where(servers.c.project_id == project_id)
    server = await tx.first(Server, statement)
    if server is None:
        raise ServerNotFound(server_id)
    return server


async def find_with_task(tx: Tx, server_id: str, project_id: str | None = None) -> ServerWithTask:
    server = await find(tx, server_id, project_id)
    return ServerWithTask(server, await tasks.active(tx, server_id))


async def change(tx: Tx, server_id: str, now: datetime, **values: Any) -> None:
    """Writes into a server's row; nothing happens when it is gone."""
    await tx.execute(update(servers).where(servers.c.id == server_id).values(updated_at=now, **values))


async def begin(tx: Tx, server: Server, action: str, new: NewTask, now: datetime, states: tuple[str, ...]) -> Task:
    """Starts an operation on a server. Raises WrongState when another is under way or its state does not allow it."""
    if server.vm_state not in states:
        raise WrongState(server.id, action, f"vm_state {server.vm_state}")
    try:
        return await tasks.start(tx, new, now)
    except SubjectBusy as busy:
        raise WrongState(server.id, action, f"task_state {task_state_of(busy.program, busy.step)}") from busy


STATUSES = ("ACTIVE", "BUILD", "ERROR", "HARD_REBOOT", "REBOOT", "SHUTOFF")
_STATUS_VM_STATES = {"ACTIVE": "active", "BUILD": "building", "ERROR": "error", "SHUTOFF": "stopped"}


def is_status(text: str) -> bool:
    return text.upper() in STATUSES


def conditions(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Filters of a list, by this table's names, as SQL. Raises BadRequest for a value that cannot be meant."""
    table = servers.c
    where: list[ColumnElement[bool]] = []
    for key, value in filters.items():
        if key == "name":
            where.append(table.name.contains(value.strip("^$"), autoescape=True))
        elif key == "flavor":
            where.append(table.flavor["id"].as_string() == value)
        elif key == "image":
            where.append(table.image["id"].as_string() == value)
        elif key == "status":
            where.append(table.vm_state == _STATUS_VM_STATES.get(value.upper(), "active"))
        elif key == "ip":
            where.append(cast(table.ports, String).contains(value.strip("^$"), autoescape=True))
        elif key in ("tags", "not_tags"):
            has_all = [cast(table.tags, String).contains(f'"{tag}"', autoescape=True) for tag in value.split(",")]
            where.append(and_(*has_all) if key == "tags" else not_(and_(*has_all)))
        elif key == "changes_since":
            where.append(table.updated_at >= _moment(value, "changes-since"))
        elif key == "changes_before":
            where.append(table.updated_at <= _moment(value, "changes-before"))
        elif key == "locked":
            where.append(table.locked.is_(value.lower() in ("1", "true", "yes", "t")))
        else:
            where.append(table[key] == value)
    return where


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{name} must be a time such as 2026-01-31T12:00:00Z, got {text!r}.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def list_page(tx: Tx, where: list[ColumnElement[bool]], page: Page) -> list[ServerWithTask]:
    """One page, in the page's order, each with its active task. Raises BadRequest for a marker that is not there."""
    sorts = [(servers.c[key], direction) for key, direction in page.sorts]
    statement = ordered(select(servers).where(*where), sorts)
    if page.marker is not None:
        marker = await tx.first(Server, select(servers).where(servers.c.id == page.marker))
        if marker is None:
            raise BadRequest(f"marker [{page.marker}] not found")
        values = [getattr(marker, key) for key, _ in page.sorts]
        statement = statement.where(after_marker(sorts, values))
    found = await tx.all(Server, statement.limit(page.limit + 1))
    ids = [server.id for server in found]
    active = await tx.all(Task, select(tasks.tasks).where(tasks.tasks.c.active_subject.in_(ids)))
    by_subject = {task.subject_id: task for task in active}
    return [ServerWithTask(server, by_subject.get(server.id)) for server in found]


async def of_host(tx: Tx, host: str) -> list[Server]:
    return await tx.all(Server, select(servers).where(servers.c.host == host))


async def count_by_host(tx: Tx) -> dict[str, int]:
    statement = select(servers.c.host, func.count()).where(servers.c.host.is_not(None)).group_by(servers.c.host)
    return {str(host): int(count) for host, count in await tx.tuples(statement)}


async def usage_of_project(tx: Tx, project_id: str) -> dict[str, int]:
    """`{"instances", "cores", "ram"}` in use; ram in MiB."""
    rows = await tx.tuples(select(servers.c.flavor).where(servers.c.project_id == project_id))
    return {
        "instances": len(rows),
        "cores": sum(flavor["vcpus"] for (flavor,) in rows),
        "ram": sum(flavor["memory_mib"] for (flavor,) in rows),
    }


async def forget(tx: Tx, server: Server, now: datetime) -> None:
    """Moves a destroyed server to the history. Safe to repeat."""
    record = msgspec.to_builtins(server)
    deleted = DeletedServer(server.id, server.project_id, server.user_id, server.host, record, now)
    await tx.insert_new(server_history, deleted)
    await tx.execute(delete(servers).where(servers.c.id == server.id))


async def find_deleted(tx: Tx, server_id: str) -> DeletedServer | None:
    return await tx.first(DeletedServer, select(server_history).where(server_history.c.id == server_id))


def fault(message: str, now: datetime, *, code: int = 500, details: str = "") -> dict[str, Any]:
    """A server's fault. `message` must say why: an empty one is a defect."""
    if not message:
        raise ValueError("a fault needs its reason")
    return {"code": code, "message": message, "created": now.isoformat(), "details": details}


TASK_STATES: Mapping[tuple[str, str], str] = {
    ("build", "schedule"): "scheduling",
    ("build", "ports"): "networking",
    ("build", "volumes"): "block_device_mapping",
    ("build", "spawn"): "spawning",
    ("build", "wait_active"): "spawning",
    ("build", "leave_host"): "scheduling",
    ("build", "roll_back"): "deleting",
    ("start", ""): "powering-on",
    ("stop", ""): "powering-off",
    ("reboot", ""): "rebooting",
    ("destroy", ""): "deleting",
}


def task_state_of(program: str, step: str) -> str:
    """`task_state` is a view of the active task: by its step where upstream tells steps apart, else by its program."""
    return TASK_STATES.get((program, step)) or TASK_STATES[(program, "")]


def task_state(each: ServerWithTask) -> str | None:
    if each.task is None:
        return None
    state = task_state_of(each.task.program, each.task.step)
    if state == "rebooting" and each.server.reboot_type == "HARD":
        return "rebooting_hard"
    return state


def status(each: ServerWithTask) -> str:
    """The status users see. Source: Compute API guide, "Server concepts"."""
    state = task_state(each)
    if each.server.vm_state == "active":
        return {"rebooting": "REBOOT", "rebooting_hard": "HARD_REBOOT"}.get(state or "", "ACTIVE")
    return {"building": "BUILD", "stopped": "SHUTOFF", "error": "ERROR"}[each.server.vm_state]
