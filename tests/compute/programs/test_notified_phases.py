"""What listeners are told between the beginning of an operation and its end: decisions, phases of moves, failures."""

from collections.abc import Iterator
from typing import Any

import pytest

from kilonova.compute.notifications.servers import PHASES, WAYS_BACK
from kilonova.compute.programs import PROGRAMS
from kilonova.kit.tasks import step_name
from tests.compute.programs.listening import CHOSEN, ERROR, INFO, Listening, data
from tests.compute.programs.stories import (
    cancel_migration,
    confirm,
    cut_wires,
    fail_on_target,
    go_half_way,
    live_migrate,
    lose_host,
    migrate,
    resize_away,
)

BEFORE_A_RESIZE = ["instance.resize_prep.start", *CHOSEN, "instance.resize_prep.end"]
RESIZED = [
    *BEFORE_A_RESIZE,
    "instance.resize.start",
    "instance.resize.end",
    "instance.resize_finish.start",
    "instance.resize_finish.end",
]
MOVED_LIVE = [
    "instance.live_migration_pre.start",
    *CHOSEN,
    "instance.live_migration_pre.end",
    "instance.live_migration_post.start",
    "instance.live_migration_post_dest.start",
    "instance.live_migration_post_dest.end",
    "instance.live_migration_post.end",
]


@pytest.fixture
def listening(two_hosts: Any) -> Iterator[Listening]:
    yield Listening(two_hosts)


async def built(listening: Listening) -> Any:
    """A server that runs; what was told of its beginning is not heard again."""
    server = await listening.world.insert_server()
    await listening.world.run()
    await listening.heard()
    return await listening.world.server(server.id)


def test_phases_are_told_between_steps_that_there_are() -> None:
    for name, phases in PHASES.items():
        steps = {step_name(each) for each in PROGRAMS[name].steps}
        for passed in phases:
            assert set(passed) <= steps, (name, passed)
    assert all(PROGRAMS[name].roll_back is not None for name in WAYS_BACK)


async def test_the_scheduler_tells_what_it_was_asked(listening: Listening) -> None:
    world = listening.world
    await world.insert_server(requested_host="node2", scheduler_hints={"colour": "red"})
    await world.run()
    told = {each["event_type"]: each for each in await listening.heard()}
    start, end = (told[name] for name in CHOSEN)
    assert (start["publisher_id"], start["priority"]) == ("nova-scheduler:controller", "INFO")
    assert start["payload"]["nova_object.name"] == "RequestSpecPayload"
    assert start["payload"] == end["payload"]
    asked = data(start)
    assert (asked["force_hosts"], asked["ignore_hosts"], asked["requested_destination"]) == ("node2", None, None)
    assert asked["flavor"]["nova_object.data"]["memory_mb"] == 512
    assert asked["image"]["nova_object.data"]["disk_format"] == "qcow2"
    assert (asked["scheduler_hints"], asked["instance_group"], asked["retry"]) == ({"colour": ["red"]}, None, None)


async def test_a_decision_that_finds_no_host_has_no_end(listening: Listening) -> None:
    await listening.world.insert_server(memory_mib=1 << 30)
    await listening.world.run()
    assert await listening.events() == ["instance.create.start", CHOSEN[0], "instance.create.error"]


async def test_a_server_that_was_refused_by_a_host_is_decided_about_again(listening: Listening) -> None:
    world = listening.world
    await world.insert_server(requested_host="node1")
    await world.run()
    await listening.heard()
    for metal in world.hosts.values():
        metal.fail_next_spawn("qemu is out of order")
    await world.insert_server()
    await world.run()
    told = await listening.heard()
    decisions = [each for each in told if each["event_type"] == CHOSEN[0]]
    retries = [data(each)["retry"]["nova_object.data"]["num_attempts"] for each in decisions]
    assert retries[-1] == 3


async def test_a_resize_is_told_phase_by_phase_and_its_preparation_names_the_flavor(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await resize_away(world, server.id)
    await world.run()
    told = [each for each in await listening.heard() if each["event_type"] != "flavor.create"]
    assert [each["event_type"] for each in told] == RESIZED
    prepared = told[0]
    assert prepared["payload"]["nova_object.name"] == "InstanceActionResizePrepPayload"
    assert data(prepared)["new_flavor"]["nova_object.data"]["vcpus"] == 2
    asked = data(told[1])
    assert asked["flavor"]["nova_object.data"]["vcpus"] == 2
    await confirm(world, server.id)
    await world.run()
    assert await listening.events() == ["instance.resize_confirm.start", "instance.resize_confirm.end"]


async def test_a_cold_migration_is_told_as_a_resize_is(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await migrate(world, server.id)
    await world.run()
    told = await listening.heard()
    assert [each["event_type"] for each in told] == RESIZED
    assert data(told[1])["ignore_hosts"] == [server.host]
    assert data(told[0])["new_flavor"] == data(told[0])["flavor"]
    await listening.act(server.id, {"revertResize": None})
    await world.run()
    assert await listening.events() == ["instance.resize_revert.start", "instance.resize_revert.end"]


async def test_a_resize_that_fails_says_at_which_step(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await fail_on_target(world, server.id)
    await migrate(world, server.id)
    await world.run()
    await listening.notifier.drain()
    exceptions = [each for each in listening.recorder.sent if each[1]["event_type"] == "compute.exception"]
    ((topic, message),) = exceptions
    assert (topic, message["payload"]["nova_object.name"]) == (ERROR, "ExceptionPayload")
    assert data(message)["function_name"] in ("bring_disks", "change_over", "start_changed")
    assert "out of order" in data(message)["exception_message"]
    assert [each["event_type"] for each in listening.recorder.take()][-1] == "instance.resize.error"


async def test_a_live_migration_is_told_phase_by_phase(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await live_migrate(world, server.id)
    await world.run()
    told = await listening.heard()
    assert [each["event_type"] for each in told] == MOVED_LIVE
    assert data(told[1])["ignore_hosts"] == [server.host]
    assert data(told[-1])["host"] != server.host


async def test_a_live_migration_that_fails_is_told_as_going_back(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await cut_wires("node1", "node2")(world, server.id)
    await live_migrate(world, server.id)
    await world.run()
    assert await listening.events() == [
        *MOVED_LIVE[:4],
        "compute.exception",
        "instance.live_migration_rollback.start",
        "instance.live_migration_rollback.end",
    ]


async def test_who_hastens_and_who_aborts_a_live_migration_is_told(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await go_half_way(world, server.id)
    await listening.heard()
    headers = {"openstack-api-version": "compute 2.90"}
    url = f"/v2.1/servers/{server.id}/migrations"
    (found,) = (await world.admin_client.get(url, headers=headers)).json()["migrations"]
    body = {"force_complete": None}
    answer = await world.admin_client.post(f"{url}/{found['id']}/action", json=body, headers=headers)
    assert answer.status_code == 202
    hastened = "instance.live_migration_force_complete"
    assert await listening.events() == [f"{hastened}.start", f"{hastened}.end"]
    await cancel_migration(world, server.id)
    await world.run()
    aborted = "instance.live_migration_abort"
    back = "instance.live_migration_rollback"
    told = await listening.events()
    assert told == [f"{aborted}.start", f"{aborted}.end", f"{back}.start", f"{back}.end"]


async def test_an_evacuation_and_an_unshelving_tell_of_the_decision(listening: Listening) -> None:
    world, server = listening.world, await built(listening)
    await lose_host(world, server.id)
    await listening.heard()
    headers = {"openstack-api-version": "compute 2.90"}
    url = f"/v2.1/servers/{server.id}/action"
    answer = await world.admin_client.post(url, json={"evacuate": {}}, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    await world.run()
    told = [each for each in await listening.events() if not each.startswith("service.")]
    assert told == ["instance.rebuild.start", *CHOSEN, "instance.rebuild.end"]
    await listening.act(server.id, {"shelve": None})
    await world.run()
    await listening.heard()
    await listening.act(server.id, {"unshelve": None})
    await world.run()
    told = await listening.events()
    assert told == ["instance.unshelve.start", *CHOSEN, "instance.unshelve.end"]


async def test_what_goes_well_is_no_error(listening: Listening) -> None:
    server = await built(listening)
    await live_migrate(listening.world, server.id)
    await listening.world.run()
    await listening.notifier.drain()
    assert {topic for topic, _message in listening.recorder.sent} == {INFO}
