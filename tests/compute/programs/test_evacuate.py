"""Evacuations as their administrator sees them: what becomes of the server, of its old host, and what is refused."""

from typing import Any

import pytest

from kilonova.compute.servers import servers
from tests.compute.programs.stories import evacuate, find_host_again, go_half_way, live_migrate, lose_host


async def admin(world: Any, method: str, path: str, version: str = "2.90", **sent: Any) -> Any:
    headers = {"openstack-api-version": f"compute {version}"}
    return await world.admin_client.request(method, f"/v2.1{path}", headers=headers, **sent)


async def built(world: Any) -> Any:
    server = await world.insert_server(requested_host="node1")
    await world.run()
    return server


async def test_a_server_is_brought_up_elsewhere_and_its_old_host_gives_up_what_it_has(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    await lose_host(world, server.id)
    await evacuate()(world, server.id)
    during = (await admin(world, "GET", f"/servers/{server.id}")).json()["server"]
    assert (during["status"], during["OS-EXT-STS:task_state"]) == ("REBUILD", "rebuilding")
    await world.run()
    after = (await admin(world, "GET", f"/servers/{server.id}")).json()["server"]
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "node2")
    assert await world.allocations() == [("node2", server.id)]
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert (port.host, port.status) == ("node2", "ACTIVE")
    (listed,) = (await admin(world, "GET", "/os-migrations")).json()["migrations"]
    assert (listed["status"], listed["migration_type"]) == ("completed", "evacuation")
    assert (listed["source_compute"], listed["dest_compute"]) == ("node1", "node2")

    assert world.hosts["node1"].servers[server.id].power == "running"
    await find_host_again(world, server.id)
    await world.tick()
    assert [name for name, metal in world.hosts.items() if server.id in metal.servers] == ["node2"]


@pytest.mark.parametrize(("version", "state"), [("2.94", "ACTIVE"), ("2.95", "SHUTOFF")])
async def test_since_2_95_it_stays_off(two_hosts: Any, version: str, state: str) -> None:
    world = two_hosts
    server = await built(world)
    await lose_host(world, server.id)
    await evacuate(version)(world, server.id)
    await world.run()
    assert (await admin(world, "GET", f"/servers/{server.id}")).json()["server"]["status"] == state


async def test_it_takes_the_place_of_a_migration_that_waits_for_the_host(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    await go_half_way(world, server.id)
    for metal in world.hosts.values():
        metal.delay_seconds = 0.0
    await lose_host(world, server.id)
    await evacuate()(world, server.id)
    await world.run()
    after = (await admin(world, "GET", f"/servers/{server.id}")).json()["server"]
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "node2")
    assert await world.allocations() == [("node2", server.id)]
    listed = (await admin(world, "GET", "/os-migrations")).json()["migrations"]
    assert [(each["migration_type"], each["status"]) for each in listed] == [
        ("evacuation", "completed"),
        ("live-migration", "error"),
    ]
    await find_host_again(world, server.id)
    await world.tick()
    assert [name for name, metal in world.hosts.items() if server.id in metal.servers] == ["node2"]


@pytest.mark.parametrize(
    ("version", "body", "told"),
    [
        ("2.90", {"host": "nowhere"}, "nowhere could not be found"),
        ("2.90", {"host": "node1"}, "only be moved to another one"),
        ("2.90", {"host": "x" * 256}, "host"),
        ("2.90", {"host": None}, "host"),
        ("2.90", {"colour": "red"}, "colour"),
        ("2.90", {"adminPass": "x" * 256}, "adminPass"),
        ("2.90", {"force": True}, "force"),
        ("2.67", {"force": True, "host": "node2"}, "force"),
        ("2.14", {"onSharedStorage": False}, "onSharedStorage"),
        ("2.13", {"onSharedStorage": True}, "onSharedStorage"),
        ("2.13", {"onSharedStorage": "perhaps"}, "onSharedStorage"),
        ("2.13", {}, "onSharedStorage"),
    ],
)
async def test_what_makes_no_sense_is_refused(two_hosts: Any, version: str, body: Any, told: str) -> None:
    world = two_hosts
    server = await built(world)
    await lose_host(world, server.id)
    answer = await admin(world, "POST", f"/servers/{server.id}/action", version, json={"evacuate": body})
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["badRequest"]["message"]
    assert (await admin(world, "GET", "/os-migrations")).json()["migrations"] == []


async def test_it_is_for_administrators_and_hosts_that_are_down(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    url = f"/servers/{server.id}/action"
    refused = await admin(world, "POST", url, json={"evacuate": {}})
    assert (refused.status_code, "are down" in refused.text) == (400, True)
    await lose_host(world, server.id)
    assert (await world.client.post(f"/v2.1{url}", json={"evacuate": {"onSharedStorage": False}})).status_code == 403
    answered = await admin(
        world, "POST", url, "2.13", json={"evacuate": {"onSharedStorage": "False", "adminPass": "x"}}
    )
    assert answered.json() == {"adminPass": "x"}
    refused = await admin(world, "POST", url, json={"evacuate": {}})
    assert (refused.status_code, "rebuilding" in refused.text) == (409, True)


async def test_a_server_that_never_ran_cannot_be_evacuated(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    async with world.compute.database.transaction() as tx:
        await servers.change(tx, server.id, world.clock.now(), launched_at=None)
    await lose_host(world, server.id)
    refused = await admin(world, "POST", f"/servers/{server.id}/action", json={"evacuate": {}})
    assert (refused.status_code, "not run on any host" in refused.text) == (400, True)
    await live_migrate_is_refused(world, server.id)


async def live_migrate_is_refused(world: Any, server_id: str) -> None:
    with pytest.raises(AssertionError, match="does not answer"):
        await live_migrate(world, server_id)
