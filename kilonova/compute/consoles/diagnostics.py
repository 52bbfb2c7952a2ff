"""Looking into a server's guest on the host it runs on: what it uses, and why it hangs."""

from kilonova.compute.agent.contract import DIAGNOSTICS, INTERRUPT, ServerArguments
from kilonova.compute.agent.spec import ServerDiagnostics
from kilonova.compute.errors import CrashDumpUnavailable, DiagnosticsUnavailable
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError


async def read(cell: Cell, server: Server) -> ServerDiagnostics:
    """Raises DiagnosticsUnavailable."""
    if server.host is None:
        raise DiagnosticsUnavailable(server.id, "it is on no host yet")
    try:
        return await cell.agents.call(server.host, DIAGNOSTICS, ServerArguments(server.id))
    except (AgentUnreachable, RemoteError) as error:
        raise DiagnosticsUnavailable(server.id, str(error)) from error


async def interrupt(cell: Cell, server: Server) -> None:
    """Raises CrashDumpUnavailable."""
    if server.host is None:
        raise CrashDumpUnavailable(server.id, "it is on no host yet")
    try:
        await cell.agents.call(server.host, INTERRUPT, ServerArguments(server.id))
    except (AgentUnreachable, RemoteError) as error:
        raise CrashDumpUnavailable(server.id, str(error)) from error
