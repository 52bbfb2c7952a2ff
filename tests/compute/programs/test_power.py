"""Power operations from the API to the guest, with deaths at every point of each."""

from typing import Any

import pytest

from kilonova.compute.programs.power import POWER
from kilonova.kit.testing import CrashPlan
from kilonova.kit.testing.crash import POINTS

STORIES: dict[str, tuple[str | None, Any, str, str, int]] = {
    "stop": (None, {"os-stop": None}, "stopped", "SHUTOFF", 4),
    "start": ("os-stop", {"os-start": None}, "running", "ACTIVE", 1),
    "reboot": (None, {"reboot": {"type": "SOFT"}}, "running", "ACTIVE", 1),
    "pause": (None, {"pause": None}, "paused", "PAUSED", 3),
    "unpause": ("pause", {"unpause": None}, "running", "ACTIVE", 1),
    "suspend": (None, {"suspend": None}, "suspended", "SUSPENDED", 7),
    "resume": ("suspend", {"resume": None}, "running", "ACTIVE", 1),
}
"""Program → the action that leads to its beginning, its own, then the guest's state, status and power_state."""


async def act(world: Any, server_id: str, body: Any) -> None:
    response = await world.client.post(f"/v2.1/servers/{server_id}/action", json=body)
    assert response.status_code == 202, response.text


async def shown(world: Any, server_id: str) -> Any:
    return (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]


def test_every_power_program_has_its_story() -> None:
    assert set(STORIES) == {program.name for program in POWER}


@pytest.mark.parametrize("program", STORIES)
async def test_dying_in_a_power_operation_changes_nothing(world: Any, program: str) -> None:
    before, action, power, status, power_state = STORIES[program]
    for point in POINTS:
        server = await world.insert_server()
        await world.run()
        if before is not None:
            await act(world, server.id, {before: None})
            await world.run()
        metal = world.hosts["node1"].servers[server.id]
        boots = metal.boots
        await act(world, server.id, action)
        plan = CrashPlan(program, "converge_power", point)
        await world.run_with_crash(plan)
        assert plan.happened
        now = await shown(world, server.id)
        assert (metal.power, now["status"], now["OS-EXT-STS:power_state"]) == (power, status, power_state), point
        assert (now["OS-EXT-STS:task_state"], "fault" in now) == (None, False)
        # Neither twice nor never: what runs again finds that it was done.
        assert metal.boots - boots == {"start": 1, "reboot": 1, "resume": 1}.get(program, 0)
        await world.destroy(server.id)
        await world.run()
    assert await world.leftovers() == {"ports": [], "domains": [], "allocations": [], "servers": []}


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
