"""topology: the NUMA nodes of a guest, for its owner; where they lie on the host, for administrators."""

from typing import Any

import msgspec

from kilonova.compute.agent.spec import GuestCell, GuestPlacement
from kilonova.compute.tables import Taking, takings

SPECS = {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-1", "hw:numa_nodes": "2", "hw:mem_page_size": "large"}
FLAVOR = {
    "id": "numa",
    "name": "m1.numa",
    "description": None,
    "vcpus": 4,
    "memory_mib": 1024,
    "root_gib": 1,
    "ephemeral_gib": 0,
    "swap_mib": 0,
    "rxtx_factor": "1.0",
    "is_public": True,
    "extra_specs": {**SPECS, "hw:cpu_threads": "2", "hw:cpu_sockets": "2"},
    "projects": [],
}
PLACEMENT = GuestPlacement(
    (
        GuestCell(0, (0, 1), 512, 1, {0: 8, 1: 9}, page_kib=2048),
        GuestCell(1, (2, 3), 512, 0, floating_cpus=(0, 1), page_kib=2048),
    ),
    taken_cpus=(8, 9),
)


async def take(nova: Any, server_id: str, host: str = "node1", flavor: str = "numa") -> None:
    async with nova.service.here.transaction() as tx:
        written = msgspec.to_builtins(PLACEMENT, str_keys=True)
        await tx.insert(takings, Taking(server_id, host, flavor, written))


async def test_a_guests_nodes_are_shown_and_to_administrators_where_they_lie(nova: Any) -> None:
    server = await nova.insert_server(flavor=FLAVOR)
    await take(nova, server.id)
    # What it has elsewhere, while it moves, is not where it is.
    await take(nova, server.id, "node2")
    await take(nova, server.id, flavor="larger")
    url = f"/servers/{server.id}/topology"
    nodes = [
        {"memory_mb": 512, "vcpu_set": [0, 1], "siblings": [[0, 1]]},
        {"memory_mb": 512, "vcpu_set": [2, 3], "siblings": [[2, 3]]},
    ]
    assert await nova.call("GET", url, by="reader") == {"nodes": nodes, "pagesize_kb": 2048}
    nodes[0] |= {"cpu_pinning": {"0": 8, "1": 9}, "host_node": 1}
    nodes[1] |= {"cpu_pinning": {}, "host_node": 0}
    assert await nova.call("GET", url, by="admin") == {"nodes": nodes, "pagesize_kb": 2048}


async def test_a_guest_that_lies_nowhere_yet_shows_what_it_asks_for(nova: Any) -> None:
    server = await nova.insert_server(flavor={**FLAVOR, "extra_specs": SPECS}, host=None)
    found = await nova.call("GET", f"/servers/{server.id}/topology", by="admin")
    assert found["pagesize_kb"] is None
    assert found["nodes"][0] == {
        "memory_mb": 512,
        "vcpu_set": [0, 1],
        "siblings": [],
        "cpu_pinning": {},
        "host_node": None,
    }


async def test_a_server_whose_flavor_would_be_refused_today_shows_none(nova: Any) -> None:
    server = await nova.insert_server(flavor={**FLAVOR, "extra_specs": {"hw:numa_nodes": "3"}})
    assert await nova.call("GET", f"/servers/{server.id}/topology") == {"nodes": [], "pagesize_kb": None}


async def test_a_server_without_numa_nodes_shows_none(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/topology"
    assert await nova.call("GET", url, by="reader") == {"nodes": [], "pagesize_kb": None}
    await nova.refused("GET", url, 404, by="other")
    await nova.refused("GET", url, 404, version="2.77")
    await nova.refused("GET", "/servers/0b6c9f0e-0000-4000-8000-000000000000/topology", 404)
