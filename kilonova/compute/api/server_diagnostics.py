"""/servers/{server_id}/diagnostics."""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server
from kilonova.compute.consoles import diagnostics
from kilonova.compute.views.diagnostics import diagnostics_view, flat_diagnostics_view


async def show_diagnostics(request: ComputeRequest) -> dict[str, Any]:
    """What the server's guest uses of its host, as the host counts it."""
    async with reading_server(request) as there:
        cell, server = there.cell, there.server
    found = await diagnostics.read(cell, server)
    if not request.allows("standard_diagnostics"):
        return flat_diagnostics_view(found)
    launched = server.launched_at
    uptime = None if launched is None else int((request.service.clock.now() - launched).total_seconds())
    return diagnostics_view(found, config_drive=server.config_drive, uptime_seconds=uptime)
