"""Servers that are kept for a while after their deletion: who sees them, and how they come back or go for good."""

from datetime import timedelta
from typing import Any

import pytest

from kilonova.compute.servers import overdue
from kilonova.compute.servers.options import ServerOptions
from kilonova.compute.tables import tasks


@pytest.fixture
async def keeping(nova: Any) -> Any:
    """A cloud that keeps deleted servers for an hour."""
    nova.service.options = ServerOptions(reclaim_seconds=3600)
    return nova


async def newest_program(nova: Any, server_id: str) -> tuple[str, str | None]:
    async with nova.service.database.reading() as tx:
        task = (await tasks.of_subject(tx, server_id))[0]
    return task.program, task.outcome


async def listed(nova: Any, query: str = "", **call: Any) -> list[str]:
    return [each["id"] for each in (await nova.call("GET", f"/servers{query}", **call))["servers"]]


async def test_a_delete_keeps_the_server_and_a_forced_one_does_not(keeping: Any) -> None:
    server = await keeping.insert_server()
    url = f"/servers/{server.id}"
    await keeping.refused("DELETE", url, 403, by="reader")
    for _ in range(2):
        await keeping.call("DELETE", url, 204)
    assert await newest_program(keeping, server.id) == ("soft_delete", None)
    assert (await keeping.call("GET", url))["server"]["OS-EXT-STS:task_state"] == "soft-deleting"
    row = await keeping.server(server.id)
    assert row.wanted_power == "stopped" and row.left_at is not None
    await keeping.call("POST", f"{url}/action", 202, json={"forceDelete": None})
    assert await newest_program(keeping, server.id) == ("destroy", None)
    await keeping.call("DELETE", url, 204)
    assert await newest_program(keeping, server.id) == ("destroy", None)


async def test_what_never_ran_and_what_nobody_keeps_is_destroyed(keeping: Any) -> None:
    never = await keeping.insert_server(building=True)
    await keeping.call("DELETE", f"/servers/{never.id}", 204)
    assert await newest_program(keeping, never.id) == ("destroy", None)
    keeping.service.options = ServerOptions()
    server = await keeping.insert_server()
    await keeping.call("DELETE", f"/servers/{server.id}", 204)
    assert await newest_program(keeping, server.id) == ("destroy", None)


async def test_it_is_shown_by_its_id_and_listed_for_who_asks(keeping: Any) -> None:
    server = await keeping.insert_server(vm_state="soft-delete", left_at=keeping.service.clock.now())
    other = await keeping.insert_server()
    assert (await keeping.call("GET", f"/servers/{server.id}"))["server"]["status"] == "SOFT_DELETED"
    assert await listed(keeping) == [other.id]
    assert await listed(keeping, "?status=SOFT_DELETED") == [server.id]
    assert server.id in await listed(keeping, "?changes-since=2000-01-01T00:00:00Z")
    everything = "?all_tenants=1&soft_deleted=true"
    assert sorted(await listed(keeping, everything, by="admin")) == sorted([server.id, other.id])
    assert await listed(keeping, "?all_tenants=1&soft_deleted=false", by="admin") == [other.id]
    assert await listed(keeping, "?all_tenants=1&vm_state=soft-delete", by="admin") == [server.id]
    for action in ("os-start", "os-stop", "pause"):
        told = await keeping.refused("POST", f"/servers/{server.id}/action", 409, json={action: None})
        assert "vm_state soft-delete" in told


async def test_it_can_be_restored(keeping: Any) -> None:
    server = await keeping.insert_server(vm_state="soft-delete", left_at=keeping.service.clock.now())
    url, body = f"/servers/{server.id}/action", {"restore": None}
    await keeping.refused("POST", url, 404, by="other", json=body)
    await keeping.refused("POST", url, 403, by="reader", json=body)
    await keeping.call("POST", url, 202, json=body)
    row = await keeping.server(server.id)
    assert (row.wanted_power, row.left_at) == ("running", None)
    assert await newest_program(keeping, server.id) == ("restore", None)
    other = await keeping.insert_server()
    told = await keeping.refused("POST", f"/servers/{other.id}/action", 409, json=body)
    assert told == f"Cannot 'restore' instance {other.id} while it is in vm_state active"


async def test_it_is_destroyed_when_its_time_is_over(keeping: Any) -> None:
    now = keeping.service.clock.now()
    states = {"over": ("soft-delete", 3601), "restored": ("soft-delete", 3601), "young": ("soft-delete", 3500)}
    made = {
        name: await keeping.insert_server(vm_state=state, left_at=now - timedelta(seconds=age))
        for name, (state, age) in states.items()
    }
    made["shelved"] = await keeping.insert_server(vm_state="stopped", left_at=now - timedelta(days=1))
    await keeping.call("POST", f"/servers/{made['restored'].id}/action", 202, json={"restore": None})
    for _ in range(2):
        await overdue.look(keeping.service.here)
    programs = {name: (await newest_program(keeping, server.id))[0] for name, server in made.items()}
    assert programs == {"over": "destroy", "restored": "restore", "young": "build", "shelved": "build"}
    keeping.service.options = ServerOptions()
    young = made["young"]
    await overdue.look(keeping.service.here)
    assert (await newest_program(keeping, young.id))[0] == "build"
