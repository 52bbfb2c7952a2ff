"""/servers/{server_id}/topology: the NUMA nodes of a server's guest. Source: Compute API reference."""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.lookup import reading_server
from kilonova.compute.hardware.guest import hardware_of
from kilonova.compute.hosts import takings
from kilonova.compute.scheduling.numa.guests import GuestTopology, topology_of
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.tables import Server
from kilonova.compute.views.topology import topology_view


async def show_topology(request: ComputeRequest) -> dict[str, Any]:
    """The nodes that the server's flavor and image ask for; for administrators with where they lie on its host."""
    async with reading_server(request) as there:
        server, placement = there.server, await takings.find(there.tx, there.server, there.server.host)
    properties = (server.image or {}).get("properties", {})
    owner = {"project_id": server.project_id, "user_id": server.user_id}
    with_host = request.may(owner, rule="compute:server:topology:host:index")
    guest, threads = _asked(server, properties)
    return topology_view(guest, placement, threads, with_host=with_host)


def _asked(server: Server, properties: dict[str, str]) -> tuple[GuestTopology | None, int]:
    """Returns the guest's nodes, and how many of its processors are one core.

    A server of an earlier release has none if its flavor or image would be refused today.
    """
    flavor = server.flavor
    try:
        guest = topology_of(flavor["extra_specs"], properties, flavor["vcpus"], flavor["memory_mib"])
        return guest, hardware_of(flavor["extra_specs"], properties, flavor["vcpus"]).processor.topology.threads
    except UnusableSpec:
        return None, 1
