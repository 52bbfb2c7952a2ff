"""What a server's guest uses, read on the host it runs on."""

from kilonova.compute.agent.contract import DIAGNOSTICS, ServerArguments
from kilonova.compute.agent.spec import ServerDiagnostics
from kilonova.compute.errors import DiagnosticsUnavailable
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
