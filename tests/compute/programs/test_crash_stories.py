"""Every story of a program told again with a death in it: the end is the same, and nothing is left without an owner."""

import json
import re
from typing import Any

import pytest

from kilonova.compute.region import moving
from kilonova.kit.tasks.runner import LEASE
from kilonova.kit.testing import CallPlan, Crashed, CrashPlan
from kilonova.kit.testing.crash import POINTS
from kilonova.kit.testing.loss import losing
from tests.compute.programs.conftest import NOTHING_LEFT
from tests.compute.programs.stories import STORIES, TAKING, TOO_LARGE, Story, tidy

NEVER = 60
"""More calls than any story makes."""
BY_NAME = {story.name: story for story in STORIES}
MORTAL = [story for story in STORIES if story.name not in TAKING]
"""Stories told with deaths. One that is told of a pinned server, too, dies there only: that server goes through the
same steps and calls, and takes more."""


async def begin(world: Any, story: Story) -> tuple[str, int]:
    """The server's id, and how often its guest has started by now."""
    server = await world.insert_server(**story.server)
    if story.is_built:
        await world.run()
    await story.ask(world, server.id)
    return server.id, boots_of(world, server.id)


def boots_of(world: Any, server_id: str) -> int:
    return sum(metal.servers[server_id].boots for metal in world.hosts.values() if server_id in metal.servers)


async def end_of(world: Any, server_id: str, boots_before: int) -> dict[str, Any]:
    """What there is at the end, but for ids, addresses and which of the hosts it was."""
    is_there = any(server_id in metal.servers for metal in world.hosts.values())
    boots = boots_of(world, server_id) - boots_before if is_there else 0
    await tidy(world, server_id)
    await world.tick()
    await world.tick()
    await world.check_loads()
    response = await world.client.get(f"/v2.1/servers/{server_id}")
    shown = response.json().get("server") or {}
    end = {
        "status": shown.get("status", ""),
        "power": shown.get("OS-EXT-STS:power_state"),
        "task_state": shown.get("OS-EXT-STS:task_state"),
        "fault": shown.get("fault", {}).get("message"),
        "addresses": [len(each) for each in shown.get("addresses", {}).values()],
        "boots": boots if shown else 0,
        "tasks": [(task.program, task.outcome, task.error) for task in await world.tasks_of(server_id)],
        "guest": [metal.servers[server_id].power for metal in world.hosts.values() if server_id in metal.servers],
        "images": [(each.name, each.status) for each in await world.images()],
        "volumes": sorted((await world.volumes()).values()),
        **await world.leftovers(),
    }
    text = json.dumps(end).replace(server_id, "the server")
    text = re.sub(r"node\d", "a host", text)
    found: dict[str, Any] = json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "an id", text))
    found["allocations"].sort()
    return found


def assert_owned(story: Story, end: dict[str, Any]) -> None:
    assert (end["status"], end["task_state"], end["boots"]) == (story.status, None, story.boots)
    # Nothing is left on its way: whoever has a volume at the end has it whole.
    assert set(end["volumes"]) <= {"available", "in-use", "deleting"}
    assert end["attachments"] == [["attached", "the server"]] * end["volumes"].count("in-use")
    if story.status == "ERROR":
        assert end["fault"]
    if not story.status:
        assert {name: end[name] for name in NOTHING_LEFT} == NOTHING_LEFT
        assert end["images"] == []
        return
    assert end["servers"] == ["the server"]
    place = ["a host", "the server"]
    if story.status == "VERIFY_RESIZE":
        # What the server had before is the migration's, and its disks lie where they were.
        assert end["allocations"] == [["a host", "an id"], place]
        assert end["domains"] == [place] * story.hosts
        assert end["takings"] == ([place, place] if "extra_specs" in story.server else [])
        assert sorted(end["guest"])[1:] == ["stopped"] * (story.hosts - 1)
        return
    for name in ("allocations", "domains"):
        assert end[name] in ([place], [])
    assert end["taps"] in ([place], [])
    assert end["takings"] == (end["allocations"] if "extra_specs" in story.server else [])
    # A server that is on no host keeps its ports.
    assert len(end["ports"]) == (1 if story.status == "SHELVED_OFFLOADED" else len(end["taps"]))
    if story.status == "SHELVED_OFFLOADED":
        assert end["allocations"] == end["domains"] == []
        assert end["images"] == [["web-shelved", "active"]]
    elif story.status != "ERROR":
        assert end["allocations"] == end["domains"] == [place]


async def remove(world: Any, server_id: str) -> None:
    """Makes room for the next telling."""
    await world.destroy(server_id)
    await world.run()
    await world.tick()
    for image in await world.images():
        assert image.status == "active", "what had no data yet goes with its server"
        await world.image_client.delete(image.id)
    assert await world.leftovers() == NOTHING_LEFT
    await world.run_block_storage()
    assert set((await world.volumes()).values()) <= {"available"}
    await world.check_loads()


async def tell(world: Any, story: Story, calls: CallPlan | None = None) -> dict[str, Any]:
    """The story without a death; `calls` counts how many change something."""
    server_id, boots = await begin(world, story)
    await world.run_with_lost_answer(calls or CallPlan(NEVER))
    end = await end_of(world, server_id, boots)
    assert_owned(story, end)
    await remove(world, server_id)
    return end


@pytest.fixture
def story(name: str) -> Story:
    return BY_NAME[name]


@pytest.fixture
def stage(story: Story, request: pytest.FixtureRequest) -> Any:
    """The world it plays in."""
    name = "two_cells" if story.cells else "two_hosts" if story.hosts == 2 else "world"
    return request.getfixturevalue(name)


@pytest.mark.parametrize("name", [story.name for story in MORTAL])
async def test_a_death_at_any_step_changes_nothing(stage: Any, story: Story) -> None:
    wanted = await tell(stage, story)
    for step in story.steps:
        for point in POINTS:
            server_id, boots = await begin(stage, story)
            plan = CrashPlan(story.program, step, point)
            await stage.run_with_crash(plan)
            assert plan.happened, f"the story never comes to {step}"
            assert await end_of(stage, server_id, boots) == wanted, f"{step} {point}"
            await remove(stage, server_id)


@pytest.mark.parametrize("name", [story.name for story in MORTAL if story.with_calls])
async def test_a_death_after_any_call_inside_a_step_changes_nothing(stage: Any, story: Story) -> None:
    calls = CallPlan(NEVER)
    wanted = await tell(stage, story, calls)
    assert 0 < calls.made < NEVER
    for number in range(1, calls.made + 1):
        server_id, boots = await begin(stage, story)
        plan = CallPlan(number)
        await stage.run_with_lost_answer(plan)
        assert plan.happened
        assert await end_of(stage, server_id, boots) == wanted, f"after call {number}"
        await remove(stage, server_id)


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_fifth_of_the_messages_lost_changes_nothing(stage: Any, story: Story) -> None:
    # All hosts are known: one that cannot register yet is no place for a server.
    for _ in range(2):
        await stage.tick()
    stage.always_looks = True
    with losing(stage.compute.bus, share=0.2, seed=len(story.name)):
        server_id, boots = await begin(stage, story)
        await stage.run()
    assert_owned(story, await end_of(stage, server_id, boots))
    await remove(stage, server_id)


@pytest.mark.parametrize("place", ["leave", "awaken"])
@pytest.mark.parametrize("server", [{}, TOO_LARGE], ids=["placed", "not placed"])
@pytest.mark.parametrize("is_deleted", [False, True], ids=["stays", "deleted meanwhile"])
async def test_a_death_while_a_server_moves_into_its_cell_changes_nothing(
    two_cells: Any, monkeypatch: pytest.MonkeyPatch, place: str, server: dict[str, Any], is_deleted: bool
) -> None:
    """Before it leaves the API database its copy is in the cell already; after that nobody has woken it yet."""
    story = BY_NAME["no cell has room" if server else "a server enters its cell"]
    wanted = await tell(two_cells, story)
    server_id, boots = await begin(two_cells, story)

    async def die(*_arguments: Any) -> None:
        raise Crashed(place)

    with monkeypatch.context() as patch, pytest.raises(Crashed):
        patch.setattr(moving, place, die)
        await two_cells.run()
    two_cells.clock.advance(LEASE.total_seconds() + 1)
    if is_deleted:
        await two_cells.destroy(server_id)
        await two_cells.run()
        await two_cells.tick()
        assert await two_cells.leftovers() == NOTHING_LEFT
        return
    await two_cells.run()
    assert await end_of(two_cells, server_id, boots) == wanted


async def test_a_server_that_is_changed_while_it_moves_keeps_the_change(
    two_cells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await two_cells.insert_server()
    move = moving.move
    renamed: list[bool] = []

    async def rename_outside(compute: Any, task: Any, cell: Any, changed: Any, before: Any) -> None:
        if not renamed:
            renamed.append(True)
            body = {"server": {"name": "renamed"}}
            assert (await two_cells.client.put(f"/v2.1/servers/{server.id}", json=body)).status_code == 200
        await move(compute, task, cell, changed, before)

    monkeypatch.setattr(moving, "move", rename_outside)
    await two_cells.run()
    found = await two_cells.server(server.id)
    assert (found.name, found.vm_state) == ("renamed", "active")


async def test_a_copy_is_not_taken_away_from_a_slow_mover(two_cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await two_cells.insert_server()
    waited: list[bool] = []

    async def move_slowly(compute: Any, task: Any, cell: Any, changed: Any, before: Any) -> None:
        async with cell.database.transaction() as tx:
            await moving.unpack(tx, changed, task)
        two_cells.clock.advance(150)
        await two_cells.tick()
        waited.append(True)
        async with compute.database.transaction() as tx:
            await moving.leave(tx, tx, before, task, cell.id, None)

    monkeypatch.setattr(moving, "move", move_slowly)
    await two_cells.run()
    assert waited
    assert (await two_cells.server(server.id)).vm_state == "active"
