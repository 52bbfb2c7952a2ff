"""Images made of servers: what they hold, who is told what when none comes about, and which backups stay."""

from typing import Any

import pytest

from tests.compute.programs.stories import IMAGE, api, backup, fail_copies, silence, tidy


async def built(world: Any) -> str:
    server = await world.insert_server()
    await world.run()
    return str(server.id)


async def test_an_image_of_a_server_can_be_booted(world: Any) -> None:
    server_id = await built(world)
    await IMAGE(world, server_id)
    await world.run()
    (image,) = await world.images()
    assert (image.status, image.disk_format, image.container_format) == ("active", "qcow2", "bare")
    assert image.size == 1 << 16
    assert world.hosts["node1"].servers[server_id].copies == {}
    shown = (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", None)


@pytest.mark.parametrize("ask", [IMAGE, backup("copy")])
async def test_the_record_of_the_action_says_why_there_is_no_image(world: Any, ask: Any) -> None:
    server_id = await built(world)
    await fail_copies()(world, server_id)
    await ask(world, server_id)
    await world.run()
    assert await world.images() == []
    (task, _build) = await world.tasks_of(server_id)
    assert (task.outcome, task.error) == ("failed", "The disk is full.")
    shown = (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]
    assert shown["status"] == "ACTIVE" and "fault" not in shown


async def test_a_host_that_died_has_nothing_of_the_copy_once_it_is_back_and_used(world: Any) -> None:
    server_id = await built(world)
    await IMAGE(world, server_id)
    await world.make_runner().run_task(await world.make_runner().claim_one())
    await world.tick()
    metal = world.hosts["node1"].servers[server_id]
    assert metal.copies
    await silence(world, server_id)
    await world.run()
    assert await world.images() == []
    await tidy(world, server_id)
    await api("os-stop")(world, server_id)
    await world.run()
    assert metal.copies == {}


async def test_only_the_newest_backups_of_a_type_stay(world: Any) -> None:
    server_id = await built(world)
    for name in ("first", "second", "third"):
        world.clock.advance(1)
        await backup(name, 2)(world, server_id)
        await world.run()
    assert [each.name for each in await world.images()] == ["second", "third"]
    await api("createBackup", {"name": "weekly", "backup_type": "weekly", "rotation": 1})(world, server_id)
    await world.run()
    assert sorted(each.name for each in await world.images()) == ["second", "third", "weekly"]
    await backup("none", 0)(world, server_id)
    await world.run()
    assert [each.name for each in await world.images()] == ["weekly"]


async def test_a_delete_takes_an_image_with_it_that_has_no_data_yet(world: Any) -> None:
    server_id = await built(world)
    await IMAGE(world, server_id)
    assert [each.status for each in await world.images()] == ["queued"]
    await world.destroy(server_id)
    await world.run()
    assert await world.images() == []
