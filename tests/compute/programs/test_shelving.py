"""Servers that leave their host and come back to another: what they keep, and what they come back from."""

from typing import Any

from kilonova.compute.agent.spec import ImageSource
from kilonova.compute.hosts import hosts
from kilonova.compute.servers import servers
from kilonova.compute.topics import AGENT_BINARY
from tests.compute.programs.stories import GONE, KEPT, api, offload, rebuild, shelve, silence, tidy, unshelve


async def built(world: Any) -> str:
    server = await world.insert_server()
    await world.run()
    return str(server.id)


async def shown(world: Any, server_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]
    return found


async def test_a_server_comes_back_to_another_host_with_its_address_and_its_disk(two_hosts: Any) -> None:
    world = two_hosts
    server_id = await built(world)
    before, first = await shown(world, server_id), (await world.server(server_id)).host
    await GONE(world, server_id)
    assert (await world.leftovers())["allocations"] == []
    (image,) = await world.images()
    async with world.compute.here.transaction() as tx:
        host = await hosts.find(tx, AGENT_BINARY, first)
        assert host is not None
        await hosts.change(tx, host, world.clock.now(), disabled=True)
    await unshelve(world, server_id)
    await world.run()
    after, row = await shown(world, server_id), await world.server(server_id)
    assert row.host != first
    assert (after["status"], after["addresses"]) == ("ACTIVE", before["addresses"])
    assert after["image"] == before["image"]
    (root, *_others) = world.hosts[row.host].servers[server_id].spec.disks
    assert isinstance(root.source, ImageSource)
    assert (root.source.image.id, root.source.is_whole) == (image.id, True)
    assert await world.images() == []


async def test_a_server_that_stays_on_its_host_keeps_its_own_disk(world: Any) -> None:
    server_id = await built(world)
    await KEPT(world, server_id)
    assert (await shown(world, server_id))["status"] == "SHELVED"
    assert world.hosts["node1"].servers[server_id].power == "stopped"
    await unshelve(world, server_id)
    await world.run()
    (root, *_others) = world.hosts["node1"].servers[server_id].spec.disks
    assert isinstance(root.source, ImageSource) and not root.source.is_whole
    assert (await world.server(server_id)).root_image is None
    assert await world.images() == []


async def test_a_rebuild_forgets_what_the_server_came_back_from(world: Any) -> None:
    server_id = await built(world)
    for act in (GONE, unshelve):
        await act(world, server_id)
        await world.run()
    assert (await world.server(server_id)).root_image["is_used"]
    await rebuild()(world, server_id)
    await world.run()
    (root, *_others) = world.hosts["node1"].servers[server_id].spec.disks
    assert isinstance(root.source, ImageSource) and not root.source.is_whole


async def test_a_server_that_no_host_has_room_for_stays_on_the_shelf_and_says_why(world: Any) -> None:
    server_id = await built(world)
    await GONE(world, server_id)
    await api("unshelve", {"availability_zone": "nova"})(world, server_id)
    async with world.compute.here.transaction() as tx:
        await servers.change(tx, server_id, world.clock.now(), requested_zone="west")
    await world.run()
    assert (await shown(world, server_id))["status"] == "SHELVED_OFFLOADED"
    (task, *_others) = await world.tasks_of(server_id)
    assert task.error.startswith("No valid host was found.")
    assert [each.status for each in await world.images()] == ["active"]


async def test_the_image_of_a_shelved_server_goes_with_it(world: Any) -> None:
    server_id = await built(world)
    await GONE(world, server_id)
    await world.destroy(server_id)
    await world.run()
    assert await world.images() == []


async def test_a_host_that_was_silent_lets_go_when_it_returns(world: Any) -> None:
    server_id = await built(world)
    await KEPT(world, server_id)
    await silence(world, server_id)
    await offload(world, server_id)
    await world.run()
    assert (await shown(world, server_id))["status"] == "SHELVED_OFFLOADED"
    await tidy(world, server_id)
    await world.tick()
    await world.tick()
    assert world.hosts["node1"].servers == {}


async def test_a_shelving_that_comes_to_nothing_leaves_a_paused_server_stopped(world: Any) -> None:
    server_id = await built(world)
    await api("pause")(world, server_id)
    await world.run()
    world.hosts["node1"].snapshot_failures = ["The disk is full."]
    await shelve()(world, server_id)
    await world.run()
    assert (await shown(world, server_id))["status"] == "SHUTOFF"
    (task, *_others) = await world.tasks_of(server_id)
    assert task.error == "The disk is full."
