"""POST /servers/{id}/action: what can be done to a server, and the record of what was."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kilonova.compute import servers
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.servers import fetch_server, fetch_unlocked, task_for
from kilonova.compute.errors import ActionNotFound, ServerNotFound, WrongState
from kilonova.compute.programs.power import REBOOT, START, STOP
from kilonova.compute.views.records import action_view, event_view
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.db import Tx
from kilonova.kit.errors import Conflict
from kilonova.kit.tasks import Program


class Reboot(Struct, forbid_unknown_fields=True):
    type: Literal["SOFT", "HARD", "soft", "hard", "Soft", "Hard"]


class ConsoleOutput(Struct, forbid_unknown_fields=True):
    length: Annotated[int, Meta(ge=-1)] | str | None = None


async def start_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, START, "start", ("stopped",), wanted_power="running")


async def stop_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, STOP, "stop", ("active", "error"), wanted_power="stopped")


async def reboot_server(request: ComputeRequest, body: Reboot) -> None:
    hard = body.type.upper() == "HARD"
    states = ("active", "stopped", "error") if hard else ("active",)
    await _begin(request, REBOOT, "reboot", states, reboot_type=body.type.upper(), wanted_power="running")


async def _begin(
    request: ComputeRequest, program: Program[Any], action: str, states: tuple[str, ...], **values: Any
) -> None:
    """The server's change and the task that carries it out, in one commit."""
    compute = request.service
    now = compute.clock.now()
    async with compute.database.transaction() as tx:
        server = (await fetch_unlocked(tx, request)).server
        if server.host is None:
            raise WrongState(server.id, action, f"vm_state {server.vm_state}: it is on no host")
        await servers.begin(tx, server, action, task_for(request, program, server), now, states)
        if program is REBOOT:
            values["reboot_count"] = server.reboot_count + 1
        await servers.change(tx, server.id, now, **values)
    compute.wake()


async def show_console_output(request: ComputeRequest, body: ConsoleOutput) -> dict[str, str]:
    """os-getConsoleOutput: the last `length` lines the guest wrote to its serial console."""
    async with request.service.database.reading() as tx:
        server = (await fetch_server(tx, request)).server
    if server.host is None:
        raise Conflict(f"Instance {server.id} is not ready: it is on no host yet.")
    length = int(body.length) if body.length not in (None, "") else None
    try:
        output = await request.service.agents.call(
            server.host, "console_log", str, server_id=server.id, length_lines=None if length == -1 else length
        )
    except (AgentUnreachable, RemoteError) as error:
        raise Conflict(f"The console of instance {server.id} cannot be read: {error}") from error
    return {"output": output}


async def _owner_of_actions(tx: Tx, request: ComputeRequest) -> str:
    """The server's id; a deleted one still shows its actions from version 2.21 on."""
    server_id = request.path["server_id"]
    deleted = await servers.find_deleted(tx, server_id)
    if deleted is None or not request.allows("actions_of_deleted_servers"):
        return (await fetch_server(tx, request)).server.id
    if not request.ctx.is_admin and deleted.project_id != request.ctx.project_id:
        raise ServerNotFound(server_id)
    request.authorize({"project_id": deleted.project_id, "user_id": deleted.user_id})
    return server_id


async def list_actions(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/os-instance-actions, newest first."""
    async with request.service.database.reading() as tx:
        server_id = await _owner_of_actions(tx, request)
        found = await request.service.tasks.of_subject(tx, server_id)
    return {"instanceActions": [action_view(task, server_id) for task in found]}


async def show_action(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/os-instance-actions/{request_id}, with an event for each step."""
    wanted = request.path["request_id"]
    tasks = request.service.tasks
    with_details = request.may(rule="os_compute_api:os-instance-actions:events:details")
    async with request.service.database.reading() as tx:
        server_id = await _owner_of_actions(tx, request)
        found = [task for task in await tasks.of_subject(tx, server_id) if task.request_id == wanted]
        if not found:
            raise ActionNotFound(server_id, wanted)
        steps = await tasks.steps_of(tx, found[0].id)
    events = [event_view(step, with_details=with_details) for step in steps]
    return {"instanceAction": {**action_view(found[0], server_id), "events": events}}
