"""/servers/{server_id}/topology: the NUMA nodes of a server's guest. Source: Compute API reference."""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server


async def show_topology(request: ComputeRequest) -> dict[str, Any]:
    """No flavor that asks for nodes is taken, so a server has none."""
    async with reading_server(request):
        return {"nodes": [], "pagesize_kb": None}
