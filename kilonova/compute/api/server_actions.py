"""POST /servers/{id}/action: what can be done to a server."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.servers import reading_server, supersede_with_delete, task_for, writing_server
from kilonova.compute.consoles import consoles
from kilonova.compute.errors import WrongState
from kilonova.compute.programs import power
from kilonova.compute.servers import servers
from kilonova.compute.servers.servers import Wish
from kilonova.kit.http.bounds import MAX_INT32
from kilonova.kit.tasks import Program

REPLACED_BY_HARD_REBOOT = ("reboot", "pause", "unpause", "suspend", "resume")


_RESIZE = "Servers cannot be resized here yet: create one with the flavor you need, and delete this one."
_SHELVE = "Servers cannot be shelved here yet: stop one to free its processors, or delete it."
_RESCUE = "Servers cannot be rescued here yet: attach to the console of this one to repair it."
_MOVE = "Servers cannot be moved to another host here yet."
LACKING = {
    "changePassword": "The password of a running server cannot be changed here yet: change it inside the guest.",
    "confirmResize": _RESIZE,
    "createBackup": "Servers cannot be backed up here yet: copy what you need out of the guest.",
    "createImage": "Images cannot be made of servers here yet: upload one to the image service.",
    "evacuate": _MOVE,
    "injectNetworkInfo": "Nothing is injected into guests here: they get their network by DHCP and from metadata.",
    "migrate": _MOVE,
    "os-migrateLive": _MOVE,
    "rebuild": "Servers cannot be rebuilt here yet: create one from the image you need, and delete this one.",
    "rescue": _RESCUE,
    "resetNetwork": "Nothing is injected into guests here: they get their network by DHCP and from metadata.",
    "resize": _RESIZE,
    "restore": "Deleted servers are not kept here: there is nothing that could be restored.",
    "revertResize": _RESIZE,
    "shelve": _SHELVE,
    "shelveOffload": _SHELVE,
    "trigger_crash_dump": "Crash dumps cannot be triggered here yet: a hard reboot restarts a guest that hangs.",
    "unrescue": _RESCUE,
    "unshelve": _SHELVE,
}
"""Actions that upstream has and this cloud has not → what their callers are told."""


class Reboot(Struct, forbid_unknown_fields=True):
    type: Literal["SOFT", "HARD", "soft", "hard", "Soft", "Hard"]


class ConsoleOutput(Struct, forbid_unknown_fields=True):
    length: (
        Annotated[int, Meta(ge=-1, le=MAX_INT32)] | Annotated[str, Meta(pattern="^-?[0-9]{1,9}$", max_length=10)] | None
    ) = None


class Lock(Struct, forbid_unknown_fields=True):
    locked_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class State(Struct, forbid_unknown_fields=True):
    state: Literal["active", "error"]


async def start_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, power.START, Wish("start", ("stopped",)), wanted_power="running")


async def stop_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, power.STOP, Wish("stop", ("active", "error")), wanted_power="stopped")


async def pause_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, power.PAUSE, Wish("pause", ("active",)), wanted_power="paused")


async def unpause_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, power.UNPAUSE, Wish("unpause", ("paused",)), wanted_power="running")


async def suspend_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, power.SUSPEND, Wish("suspend", ("active",)), wanted_power="suspended")


async def resume_server(request: ComputeRequest, _body: Any) -> None:
    await _begin(request, power.RESUME, Wish("resume", ("suspended",)), wanted_power="running")


async def reboot_server(request: ComputeRequest, body: Reboot) -> None:
    """A hard one is the way out of what does not come to its end, so it takes the place of most operations."""
    kind = body.type.upper()
    wish = Wish("reboot", ("active",))
    if kind == "HARD":
        wish = Wish("reboot", ("active", "stopped", "paused", "suspended", "error"), REPLACED_BY_HARD_REBOOT)
    await _begin(request, power.REBOOT, wish, reboot_type=kind, wanted_power="running")


async def _begin(request: ComputeRequest, program: Program[Any], wish: Wish, **values: Any) -> None:
    """The server's change and the task that carries it out, in one commit."""
    now = request.service.clock.now()
    async with writing_server(request, unlocked=True) as found:
        tx, server = found.tx, found.server
        if server.host is None:
            raise WrongState(server.id, wish.action, f"vm_state {server.vm_state}: it is on no host")
        await servers.begin(tx, server, wish, task_for(request, program, server), now)
        if program is power.REBOOT:
            values["reboot_count"] = server.reboot_count + 1
        await servers.change(tx, server.id, now, **values)


async def force_delete_server(request: ComputeRequest, _body: Any) -> None:
    """forceDelete: nothing is kept for later here, so it is what a delete is."""
    await supersede_with_delete(request)


async def lock_server(request: ComputeRequest, body: Any) -> None:
    """What an administrator of another project has locked stays his: an owner's lock does not replace it.

    Before a lock had a reason, whatever the body held was ignored.
    """
    reason = body.locked_reason if isinstance(body, Lock) else None
    async with writing_server(request) as found:
        server = found.server
        is_owner = server.project_id == request.ctx.project_id
        if server.locked and is_owner:
            return
        locked_by = "owner" if is_owner else "admin"
        values = {"locked": True, "locked_by": locked_by, "locked_reason": reason}
        await servers.change(found.tx, server.id, found.cell.clock.now(), **values)


async def unlock_server(request: ComputeRequest, _body: Any) -> None:
    async with writing_server(request) as found:
        server = found.server
        if server.locked_by == "admin":
            owner = {"project_id": server.project_id, "user_id": server.user_id}
            request.authorize(owner, rule="os_compute_api:os-lock-server:unlock:unlock_override")
        values = {"locked": False, "locked_by": None, "locked_reason": None}
        await servers.change(found.tx, server.id, found.cell.clock.now(), **values)


async def reset_server_state(request: ComputeRequest, body: State) -> None:
    """os-resetState: an administrator says what the server is; what was being done to it ends there."""
    async with writing_server(request) as found:
        await servers.reset_state(found.tx, found.server, body.state, found.cell.clock.now())


async def show_console_output(request: ComputeRequest, body: ConsoleOutput) -> dict[str, str]:
    """os-getConsoleOutput: the last `length` lines the guest wrote to its serial console."""
    async with reading_server(request) as found:
        cell, server = found.cell, found.server
    length = None if body.length is None or int(body.length) < 0 else int(body.length)
    return {"output": await consoles.read_output(cell, server, length)}
