"""POST /servers/{id}/action: what can be done to a server."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kilonova.compute import operations
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server, supersede_with_delete, task_for, writing_server
from kilonova.compute.consoles import consoles, diagnostics
from kilonova.compute.operations import REBOOT, REBOOT_HARD, Operation
from kilonova.compute.programs.convergence import HostArgs
from kilonova.compute.programs.interfaces import INJECT_NETWORK
from kilonova.compute.programs.power import POWER, PowerArgs
from kilonova.compute.servers import servers
from kilonova.kit.http.bounds import MAX_INT32

GONE = {"resetNetwork": "The network of a guest is not reset any more: it gets it by DHCP and from metadata."}
"""Actions that upstream has no more → what their callers are told."""


UNDONE: Mapping[str, dict[str, None]] = {
    operations.UNRESCUE.program: {"rescue": None},
    operations.RESTORE.program: {"left_at": None},
}
"""Program → the columns that are empty from its beginning on."""


class Reboot(Struct, forbid_unknown_fields=True):
    type: Literal["SOFT", "HARD", "soft", "hard", "Soft", "Hard"]


class ConsoleOutput(Struct, forbid_unknown_fields=True):
    length: (
        Annotated[int, Meta(ge=-1, le=MAX_INT32)]
        | Annotated[str, Meta(pattern=r"^-?[0-9]{1,9}$(?!\n)", max_length=10)]
        | None
    ) = None


class Lock(Struct, forbid_unknown_fields=True):
    locked_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class State(Struct, forbid_unknown_fields=True):
    state: Literal["active", "error"]


def power(operation: Operation) -> Callable[[ComputeRequest, Any], Awaitable[None]]:
    """Returns the handler of an operation that only changes power."""

    async def handle(request: ComputeRequest, _body: Any) -> None:
        await _begin_power(request, operation)

    return handle


async def reboot_server(request: ComputeRequest, body: Reboot) -> None:
    await _begin_power(request, REBOOT_HARD if body.type.upper() == "HARD" else REBOOT)


async def _begin_power(request: ComputeRequest, operation: Operation) -> None:
    """The server's change and the task that carries it out, in one commit."""
    async with writing_server(request, unlocked=True) as found:
        task = task_for(request, POWER[operation.program], found.server, PowerArgs())
        changes = UNDONE.get(operation.program, {})
        await servers.begin_power(found.tx, found.server, operation, task, found.cell.clock.now(), **changes)


async def force_delete_server(request: ComputeRequest, _body: Any) -> None:
    """forceDelete: nothing of the server is kept for later."""
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


async def inject_network_info(request: ComputeRequest, _body: Any) -> None:
    """injectNetworkInfo: has the server's host look at its ports again."""
    async with writing_server(request, unlocked=True) as found:
        task = task_for(request, INJECT_NETWORK, found.server, HostArgs())
        operation = operations.OPERATIONS[INJECT_NETWORK.name]
        await servers.begin(found.tx, found.server, operation, task, found.cell.clock.now())


async def trigger_crash_dump(request: ComputeRequest, _body: Any) -> None:
    """Interrupts the guest: its kernel, if it is set up for that, writes a dump and starts anew."""
    async with reading_server(request, unlocked=True) as found:
        cell, server = found.cell, found.server
    servers.check_state(server, "trigger_crash_dump", ("active", "paused", "rescued", "error"))
    await diagnostics.interrupt(cell, server)


async def show_console_output(request: ComputeRequest, body: ConsoleOutput) -> dict[str, str]:
    """os-getConsoleOutput: the last `length` lines the guest wrote to its serial console."""
    async with reading_server(request) as found:
        cell, server = found.cell, found.server
    length = None if body.length is None or int(body.length) < 0 else int(body.length)
    return {"output": await consoles.read_output(cell, server, length)}
