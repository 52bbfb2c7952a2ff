"""Power operations from the API to the guest: what refuses, what replaces what, what happens behind our back."""

from typing import Any

import pytest


async def act(world: Any, server_id: str, body: Any) -> None:
    response = await world.client.post(f"/v2.1/servers/{server_id}/action", json=body)
    assert response.status_code == 202, response.text


async def shown(world: Any, server_id: str) -> Any:
    return (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]


async def test_what_the_host_refuses_is_an_error_with_its_reason_and_a_hard_reboot_mends_it(world: Any) -> None:
    server = await world.insert_server()
    await world.run()
    await act(world, server.id, {"os-stop": None})
    await world.run()
    world.hosts["node1"].fail_next_spawn("qemu is out of order")
    await act(world, server.id, {"os-start": None})
    await world.run()
    failed = await shown(world, server.id)
    assert (failed["status"], failed["fault"]["message"]) == ("ERROR", "qemu is out of order")
    assert (await world.leftovers())["allocations"] == [("node1", server.id)]
    await act(world, server.id, {"reboot": {"type": "HARD"}})
    await world.run()
    assert (await shown(world, server.id))["status"] == "ACTIVE"


async def test_a_hard_reboot_takes_the_place_of_a_suspend_that_does_not_end(world: Any) -> None:
    server = await world.insert_server()
    await world.run()
    await act(world, server.id, {"suspend": None})
    await act(world, server.id, {"reboot": {"type": "HARD"}})
    await world.run()
    assert (await shown(world, server.id))["status"] == "ACTIVE"
    assert [task.outcome for task in await world.tasks_of(server.id)] == ["done", "superseded", "done"]


@pytest.mark.parametrize("action", ["pause", "suspend"])
async def test_a_guest_woken_or_ended_behind_our_back_is_shown_as_it_is(world: Any, action: str) -> None:
    server = await world.insert_server()
    await world.run()
    metal = world.hosts["node1"].servers[server.id]
    for power, status in (("running", "ACTIVE"), ("crashed", "SHUTOFF")):
        await act(world, server.id, {action: None})
        await world.run()
        metal.power = power
        await world.tick()
        assert (await shown(world, server.id))["status"] == status
