"""What listeners are told of servers, from the API's commit to the broker; and that nothing waits for them."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from kilonova.compute.notifications import notifier as notifying
from kilonova.compute.notifications.notices import SERVERS_CHANGED
from kilonova.compute.notifications.servers import EVENTS
from kilonova.compute.operations import OPERATIONS
from tests.compute.programs.listening import CHOSEN, ERROR, INFO, Listening, data


@pytest.fixture
def listening(world: Any) -> Iterator[Listening]:
    yield Listening(world)


def test_every_operation_has_its_events() -> None:
    assert OPERATIONS.keys() == EVENTS.keys()


async def test_a_server_is_told_of_from_its_beginning_to_its_end(listening: Listening) -> None:
    world = listening.world
    server = await world.insert_server()
    (start,) = await listening.heard()
    assert (start["event_type"], start["priority"]) == ("instance.create.start", "INFO")
    assert start["payload"]["nova_object.name"] == "InstanceCreatePayload"
    assert start["payload"]["nova_object.namespace"] == "nova"
    assert (data(start)["state"], data(start)["task_state"]) == ("building", "scheduling")
    assert (data(start)["uuid"], data(start)["host"], data(start)["fault"]) == (server.id, None, None)
    await world.run()
    *chosen, end = await listening.heard()
    assert [each["event_type"] for each in chosen] == CHOSEN
    assert (end["event_type"], end["publisher_id"]) == ("instance.create.end", "nova-compute:node1")
    assert (data(end)["state"], data(end)["power_state"], data(end)["task_state"]) == ("active", "running", None)
    (address,) = data(end)["ip_addresses"]
    assert address["nova_object.data"]["version"] == 4
    assert data(end)["flavor"]["nova_object.data"]["memory_mb"] == 512
    await listening.act(server.id, {"os-stop": None})
    await world.run()
    assert await listening.events() == ["instance.power_off.start", "instance.power_off.end"]
    await world.destroy(server.id)
    await world.run()
    told = await listening.heard()
    assert [each["event_type"] for each in told] == ["instance.delete.start", "instance.delete.end"]
    assert data(told[-1])["state"] == "deleted"
    assert data(told[-1])["deleted_at"] == data(told[-1])["terminated_at"] is not None


async def test_who_asked_is_told(listening: Listening) -> None:
    server = await listening.world.insert_server()
    await listening.world.run()
    await listening.heard()
    await listening.act(server.id, {"pause": None})
    (start,) = await listening.heard()
    assert data(start)["action_initiator_project"] == listening.world.project_id
    assert data(start)["request_id"] == start["_context_request_id"] != ""
    assert start["_unique_id"] and start["message_id"] and start["timestamp"]


async def test_a_failure_is_told_as_an_error_with_its_reason(listening: Listening) -> None:
    listening.world.hosts["node1"].fail_next_spawn("qemu is out of order")
    await listening.world.insert_server()
    await listening.world.run()
    await listening.notifier.drain()
    topic, message = listening.recorder.sent[-1]
    assert (topic, message["event_type"], message["priority"]) == (ERROR, "instance.create.error", "ERROR")
    fault = data(message)["fault"]["nova_object.data"]
    assert "qemu is out of order" in fault["exception_message"]
    assert data(message)["state"] == "error"
    assert listening.recorder.sent[0][0] == INFO


async def test_an_operation_that_gave_way_to_another_has_no_end(listening: Listening) -> None:
    server = await listening.world.insert_server()
    await listening.world.destroy(server.id)
    await listening.world.run()
    events = await listening.events()
    assert events == ["instance.create.start", "instance.delete.start", "instance.delete.end"]


async def test_changes_of_what_a_server_is_called_are_updates(listening: Listening) -> None:
    world = listening.world
    server = await world.insert_server()
    await world.run()
    await listening.heard()
    response = await world.client.put(f"/v2.1/servers/{server.id}", json={"server": {"name": "db"}})
    assert response.status_code == 200
    (update,) = await listening.heard()
    assert update["event_type"] == "instance.update"
    assert update["payload"]["nova_object.name"] == "InstanceUpdatePayload"
    assert data(update)["display_name"] == "db"
    await listening.act(server.id, {"lock": None})
    (locked,) = await listening.heard()
    assert (locked["event_type"], data(locked)["locked"]) == ("instance.lock", True)
    await listening.act(server.id, {"unlock": None})
    assert await listening.events() == ["instance.unlock"]


async def test_changes_of_state_are_told_where_that_is_wanted(world: Any) -> None:
    listening = Listening(world, on_states="vm_state")
    server = await world.insert_server()
    await world.run()
    updates = [each for each in await listening.heard() if each["event_type"] == "instance.update"]
    states = [data(each)["state_update"]["nova_object.data"] for each in updates]
    assert [(each["old_state"], each["state"]) for each in states] == [("building", "active")]
    thorough = Listening(world, on_states="vm_and_task_state")
    await thorough.act(server.id, {"os-stop": None})
    first, update = await thorough.heard()
    assert (first["event_type"], update["event_type"]) == ("instance.power_off.start", "instance.update")
    assert data(update)["state_update"]["nova_object.data"]["new_task_state"] == "powering-off"


async def test_a_broker_that_is_away_delays_nothing_and_order_is_kept(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "FIRST_PAUSE_SECONDS", 0.001)
    listening.recorder.refusals = 3
    server = await listening.world.insert_server()
    await listening.world.run()
    response = await listening.world.client.get(f"/v2.1/servers/{server.id}")
    assert response.json()["server"]["status"] == "ACTIVE"
    assert await listening.events() == ["instance.create.start", *CHOSEN, "instance.create.end"]


async def test_no_more_is_kept_for_a_broker_than_there_is_room_for(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "MOST_KEPT", 1)
    server = await listening.world.insert_server()
    await listening.world.run()
    assert await listening.events() == ["instance.create.start"]
    await listening.act(server.id, {"os-stop": None})
    assert await listening.events() == ["instance.power_off.start"]


async def test_it_is_published_while_the_process_runs(listening: Listening) -> None:
    running = asyncio.create_task(listening.notifier.run())
    await listening.world.insert_server()
    async with asyncio.timeout(5):
        while not listening.recorder.sent:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_notice_that_cannot_be_made_keeps_no_other_back(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await listening.world.insert_server()
    monkeypatch.setattr(notifying, "action_payload", lambda *_more: 1 // 0)
    assert await listening.events() == []
    monkeypatch.undo()
    await listening.world.run()
    assert await listening.events() == [*CHOSEN, "instance.create.end"]
    assert server.id


async def test_nobody_hears_anything_where_nothing_was_asked_for(world: Any) -> None:
    assert world.compute.listener is None
    assert SERVERS_CHANGED not in world.compute.database._acts
