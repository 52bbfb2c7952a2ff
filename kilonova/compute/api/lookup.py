"""Looking up the server that a path names, and what its handlers do with it alike."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kilonova.compute.api.bodies import ComputeRequest, seen_project
from kilonova.compute.api.hosts import is_up
from kilonova.compute.errors import ServerLocked
from kilonova.compute.hosts import hosts
from kilonova.compute.operations import RESTORE, SOFT_DELETE
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.programs.power import POWER, PowerArgs
from kilonova.compute.region import cells
from kilonova.compute.servers import servers
from kilonova.compute.servers.servers import ServerWithTask
from kilonova.compute.servers.timeline import ArgsT, ServerArgs, task_of
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.compute.transactions import CellTx
from kilonova.compute.views.servers import detail_view, flavor_link_view
from kilonova.kit.tasks import NewTask, Program, Task


@dataclass(frozen=True, slots=True)
class Found:
    """A server the caller may act on, in an open transaction of the database it lives in."""

    cell: Cell
    tx: CellTx
    server: Server
    task: Task | None

    @property
    def with_task(self) -> ServerWithTask:
        return ServerWithTask(self.server, self.task)


@asynccontextmanager
async def reading_server(request: ComputeRequest, *, unlocked: bool = False) -> AsyncIterator[Found]:
    """Looks the path's server up and authorizes in one. Another project's server is one that could not be found.

    `unlocked`: raises ServerLocked where a lock keeps the caller away.
    """
    async with cells.reading(request.service, request.path["server_id"]) as (cell, tx):
        yield await _fetch(request, cell, tx, unlocked)


@asynccontextmanager
async def writing_server(request: ComputeRequest, *, unlocked: bool = False) -> AsyncIterator[Found]:
    """The same in a write transaction."""
    async with cells.writing(request.service, request.path["server_id"]) as (cell, tx):
        yield await _fetch(request, cell, tx, unlocked)


async def look_up_server(request: ComputeRequest) -> None:
    """Raises ServerNotFound or Forbidden for a server the caller cannot act on."""
    async with reading_server(request):
        pass


async def _fetch(request: ComputeRequest, cell: Cell, tx: CellTx, unlocked: bool) -> Found:
    found = await fetch_server(tx, request)
    if unlocked and found.server.locked and not request.ctx.is_admin:
        raise ServerLocked(found.server.id)
    return Found(cell, tx, found.server, found.task)


async def fetch_server(tx: CellTx, request: ComputeRequest) -> ServerWithTask:
    found = await servers.find_with_task(tx, request.path["server_id"], seen_project(request))
    request.authorize({"project_id": found.server.project_id, "user_id": found.server.user_id})
    return found


def task_for(request: ComputeRequest, program: Program[Cell, ArgsT], server: Server, args: ArgsT) -> NewTask:
    """The program's task for a server, in the caller's name."""
    return task_of(request.ctx, request.request_id, program, server.id, args)


async def supersede_with_delete(request: ComputeRequest) -> None:
    """Legal in every state: replaces whatever is under way."""
    async with writing_server(request, unlocked=True) as found:
        if found.task is not None and found.task.program == DESTROY.name:
            return
        task = task_for(request, DESTROY, found.server, ServerArgs())
        await found.cell.tasks.supersede(found.tx, task, found.cell.clock.now())


async def delete_or_keep(request: ComputeRequest) -> None:
    """Deletes the path's server; softly, where deleted servers are kept for a while and this one has ever run."""
    if request.service.options.reclaim_seconds == 0:
        await supersede_with_delete(request)
        return
    async with writing_server(request, unlocked=True) as found:
        server, now = found.server, found.cell.clock.now()
        under_way = found.task.program if found.task else ""
        if under_way in (DESTROY.name, SOFT_DELETE.program):
            return
        if server.vm_state == SOFT_DELETE.ends_in and under_way != RESTORE.program:
            return
        if server.launched_at is None or server.host is None:
            await found.cell.tasks.supersede(found.tx, task_for(request, DESTROY, server, ServerArgs()), now)
            return
        task = task_for(request, POWER[SOFT_DELETE.program], server, PowerArgs())
        await servers.delete_softly(found.tx, server, task, now)


def _sees_hosts(request: ComputeRequest, server: Server) -> bool:
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    return request.may(owner, rule="os_compute_api:os-extended-server-attributes")


async def host_statuses(
    cell: Cell, tx: CellTx, request: ComputeRequest, shown: Iterable[ServerWithTask]
) -> dict[str, str]:
    """Host → UP, DOWN or MAINTENANCE, of the servers of a cell whose host the caller may see."""
    names = {each.server.host for each in shown if each.server.host and _sees_hosts(request, each.server)}
    known = await hosts.states_of(tx, names) if names else []
    return {each.host: "MAINTENANCE" if each.disabled else "UP" if is_up(cell, each) else "DOWN" for each in known}


def shown_in_detail(request: ComputeRequest, each: ServerWithTask, statuses: dict[str, str]) -> dict[str, Any]:
    owner = {"project_id": each.server.project_id, "user_id": each.server.user_id}
    extended = _sees_hosts(request, each.server)
    host_status = statuses.get(each.server.host or "", "UNKNOWN" if each.server.host else "")
    shown = detail_view(each, request.base_url, extended=extended, host_status=host_status if extended else None)
    if not request.allows("server_flavor_copy"):
        shown["flavor"] = flavor_link_view(each.server, request.base_url)
    elif not request.may(owner, rule="os_compute_api:servers:show:flavor-extra-specs"):
        del shown["flavor"]["extra_specs"]
    return shown
