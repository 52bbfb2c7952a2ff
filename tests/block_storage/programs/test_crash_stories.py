"""Every story of a program told again with a death in it: the end is the same, and nothing is left without an owner."""

from typing import Any

import pytest
from sqlalchemy import func, select

from kilonova.block_storage.tables import backups, snapshots, tasks, volumes
from kilonova.kit.testing import CallPlan, CrashPlan
from kilonova.kit.testing.crash import POINTS
from tests.block_storage.conftest import World
from tests.block_storage.programs.stories import STORIES, Story

NEVER = 60
"""More calls than any story makes."""
BY_NAME = {story.name: story for story in STORIES}
TRANSIENT = (
    "creating",
    "deleting",
    "extending",
    "reverting",
    "restoring",
    "restoring-backup",
    "backing-up",
    "uploading",
)


async def images_of(world: World) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await world.image.get("/v2/images")).json()["images"]
    return listed


async def end_of(world: World, volume_id: str) -> dict[str, Any]:
    shown = await world.shown(volume_id)
    held = {each: backend.volumes[each] for backend in world.backends.values() for each in backend.volumes}
    listed = (await world.client.get(f"/v3/snapshots?volume_id={volume_id}")).json()["snapshots"]
    limits = (await world.client.get("/v3/limits")).json()["limits"]["absolute"]
    return {
        "status": shown.get("status", ""),
        "size": shown.get("size"),
        "has_place": bool(shown.get("os-vol-host-attr:host")),
        "snapshots": [each["status"] for each in listed],
        "content": held[volume_id].content if volume_id in held else None,
        "size_there": held[volume_id].size_gib if volume_id in held else None,
        "kept": len(held[volume_id].snapshots) if volume_id in held else 0,
        "copies": sum(volume_id in backend.volumes for backend in world.backends.values()),
        "messages": await world.messages(),
        "backups": [
            (each["status"], each["fail_reason"], each["object_count"])
            for each in (await world.admin.get("/v3/backups/detail?all_tenants=1")).json()["backups"]
        ],
        "images": [each["status"] for each in await images_of(world)],
        "uploads": len(world.uploads.under_way | world.uploads.sent),
        "contents": sorted(world.store.contents.values()),
        "attachments": sum(len(backend.attachments) for backend in world.backends.values()),
        "used": {name: used for name, used in limits.items() if name.endswith("Used")},
    }


async def assert_owned(world: World, story: Story, end: dict[str, Any]) -> None:
    assert (end["status"], tuple(end["snapshots"]), end["content"]) == (story.status, story.snapshots, story.content)
    assert end["copies"] == (story.content is not None)
    assert end["kept"] == len([each for each in story.snapshots if each == "available"])
    assert tuple(status for status, _reason, _count in end["backups"]) == story.backups
    assert len(end["contents"]) == len([each for each in story.backups if each == "available"])
    assert end["attachments"] == end["uploads"] == 0
    assert tuple(end["images"]) == story.images
    if any(each.startswith("error") for each in (story.status, *story.snapshots, *story.backups)):
        assert end["messages"]
    async with world.service.database.reading() as tx:
        assert await tx.scalar(select(func.count()).where(tasks.tasks.c.finished_at.is_(None))) == 0
        for table in (volumes, snapshots, backups):
            assert await tx.scalar(select(func.count()).where(table.c.status.in_(TRANSIENT))) == 0
        known = {row[0] for row in await tx.tuples(select(volumes.c.id))}
    held = {each for backend in world.backends.values() for each in backend.volumes}
    assert held <= known, "no volume without a row"


async def clear(world: World) -> None:
    """Makes room for the next telling."""
    for backend in world.backends.values():
        backend.is_broken = ""
    world.store.is_broken = world.uploads.is_broken = ""
    for each in await images_of(world):
        assert (await world.image.delete(f"/v2/images/{each['id']}")).status_code == 204
    while listed := (await world.admin.get("/v3/backups/detail?all_tenants=1")).json()["backups"]:
        for each in listed:
            if not each["has_dependent_backups"]:
                assert (await world.admin.delete(f"/v3/backups/{each['id']}")).status_code == 202
        await world.run()
    listed = (await world.admin.get("/v3/volumes?all_tenants=1")).json()["volumes"]
    for each in listed:
        assert (await world.client.delete(f"/v3/volumes/{each['id']}?cascade=true")).status_code == 202
    await world.run()
    for each in (await world.client.get("/v3/messages")).json()["messages"]:
        await world.client.delete(f"/v3/messages/{each['id']}")
    assert all(backend.volumes == {} for backend in world.backends.values())


async def tell(world: World, story: Story, calls: CallPlan | None = None) -> dict[str, Any]:
    """The story without a death; `calls` counts how many change something."""
    volume_id = await story.begin(world)
    await world.run_with_lost_answer(calls or CallPlan(NEVER))
    end = await end_of(world, volume_id)
    await assert_owned(world, story, end)
    await clear(world)
    return end


@pytest.fixture
async def stage(bare: World, name: str) -> World:
    for number in range(BY_NAME[name].backends):
        await bare.add_backend(f"node{number + 1}@fake")
    await bare.add_backup_service()
    return bare


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_death_at_any_step_changes_nothing(stage: World, name: str) -> None:
    story = BY_NAME[name]
    wanted = await tell(stage, story)
    for step in story.steps:
        for point in POINTS:
            volume_id = await story.begin(stage)
            plan = CrashPlan(story.program, step, point)
            await stage.run_with_crash(plan)
            assert plan.happened, f"the story never comes to {step}"
            assert await end_of(stage, volume_id) == wanted, f"{step} {point}"
            await clear(stage)


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_death_after_any_call_inside_a_step_changes_nothing(stage: World, name: str) -> None:
    story, calls = BY_NAME[name], CallPlan(NEVER)
    wanted = await tell(stage, story, calls)
    assert 0 < calls.made < NEVER
    for number in range(1, calls.made + 1):
        volume_id = await story.begin(stage)
        plan = CallPlan(number)
        await stage.run_with_lost_answer(plan)
        assert plan.happened
        assert await end_of(stage, volume_id) == wanted, f"after call {number}"
        await clear(stage)
