"""Building and destroying servers on a cloud in process; `test_crash_stories.py` does it with deaths in it."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from kilonova.compute.programs import placing
from kilonova.compute.servers import timeline
from kilonova.compute.servers.leftovers import sweep
from kilonova.compute.topics import AGENT_BINARY
from kilonova.kit.agents import Liveness
from kilonova.kit.http.client import RemoteMissing
from kilonova.kit.testing import CrashPlan
from kilonova.kit.testing.crash import POINTS
from kilonova.network.client import NetworkClient
from tests.compute.programs.conftest import NOTHING_LEFT

BUILD_STEPS = ["schedule", "ports", "spawn", "wait_active"]


async def assert_active_and_nothing_else(world: Any, server_id: str) -> None:
    server = await world.server(server_id)
    assert (server.vm_state, server.power_state, server.fault) == ("active", 1, None)
    assert server.host is not None
    assert server.launched_at is not None
    await world.tick()
    assert await world.leftovers() == {
        "console_tokens": [],
        "ports": [(server_id, server.host)],
        "domains": [(server.host, server_id)],
        "allocations": [(server.host, server_id)],
        "takings": [],
        "attachments": [],
        "servers": [server_id],
        "taps": [(server.host, server_id)],
    }
    assert [port["fixed_ips"] for port in server.ports] != [[]]
    assert world.hosts[server.host].servers[server_id].boots == 1


async def assert_nothing_is_left(world: Any) -> None:
    await world.tick()
    assert await world.leftovers() == NOTHING_LEFT


async def test_a_server_is_built(world: Any) -> None:
    server = await world.insert_server()
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


class _Absent:
    """A network service that this cloud has not got."""

    async def request(self, *_: Any, **__: Any) -> Any:
        raise RemoteMissing("network", 503, "is not in the catalog")


async def test_a_cloud_without_a_network_service_builds_and_destroys_servers_without_ports(world: Any) -> None:
    world.compute.network = NetworkClient(_Absent())  # type: ignore[arg-type]
    server = await world.insert_server(networks=[])
    runner = world.make_runner(CrashPlan("build", "ports", POINTS[-1]))
    with pytest.raises(BaseException, match="build"):
        await runner.run_task(await runner.claim_one())
    await world.run()
    assert (await world.server(server.id)).vm_state == "active"
    await world.destroy(server.id)
    await world.run()
    await assert_nothing_is_left(world)
    await sweep(world.compute, world.clock.now() - timedelta(hours=1), world.clock.now())


async def test_a_server_with_a_network_waits_for_the_network_service(world: Any) -> None:
    world.compute.network, real = NetworkClient(_Absent()), world.compute.network  # type: ignore[arg-type]
    server = await world.insert_server()
    runner = world.make_runner()
    await runner.run_task(await runner.claim_one())
    (task,) = await world.tasks_of(server.id)
    assert task.step == "ports" and "is not in the catalog" in task.error
    world.compute.network = real
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


@pytest.fixture
def unregistered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While there is something in it no host has registered yet."""
    absent = [True]
    look = placing.look

    async def look_at_nothing(compute: Any, server_id: str, excluded_hosts: tuple[str, ...]) -> Any:
        view = await look(compute, server_id, excluded_hosts)
        return structs.replace(view, cells=[]) if absent else view

    monkeypatch.setattr(placing, "look", look_at_nothing)
    return absent


async def test_a_server_waits_for_the_first_host_of_a_cloud_that_has_just_started(
    world: Any, unregistered: list[bool]
) -> None:
    server = await world.insert_server()
    runner = world.make_runner()
    await runner.run_task(await runner.claim_one())
    assert [task.error for task in await world.tasks_of(server.id)] == [
        "no compute host has registered yet, or one has not answered yet"
    ]
    unregistered.clear()
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


async def test_a_server_does_not_wait_for_a_first_host_for_ever(world: Any, unregistered: list[bool]) -> None:
    server = await world.insert_server()
    before = world.clock.now()
    await world.run()
    failed = await world.server(server.id)
    assert failed.vm_state == "error" and "No compute host has registered yet" in failed.fault["message"]
    assert 45 < (world.clock.now() - before).total_seconds() < 90


async def test_a_server_waits_for_hosts_to_answer_a_server_side_that_has_just_started(world: Any) -> None:
    world.compute.here.liveness = Liveness(world.compute.bus, world.clock)
    server = await world.insert_server()
    runner = world.make_runner()
    await runner.run_task(await runner.claim_one())
    assert (await world.server(server.id)).vm_state == "building"
    world.compute.here.liveness.heard("nova-compute", "node1")
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


@pytest.mark.parametrize("step", BUILD_STEPS)
@pytest.mark.parametrize("point", POINTS)
async def test_delete_wins_over_a_build_that_died_anywhere(world: Any, step: str, point: Any) -> None:
    server = await world.insert_server()
    runner = world.make_runner(CrashPlan("build", step, point))
    with pytest.raises(BaseException, match="build"):
        while True:
            await world.tick()
            task = await runner.claim_one()
            if task is None:
                world.clock.advance(1)
            else:
                await runner.run_task(task)
    await world.destroy(server.id)
    await world.run()
    await assert_nothing_is_left(world)


async def test_what_the_host_did_when_is_known_afterwards_of_the_last_host(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    world.hosts["node1"].fail_next_spawn("qemu is out of order")
    await world.run()
    (task,) = await world.tasks_of(server.id)
    assert [each.event for each in timeline.moments(task)] == ["compute_fetch_image", "compute_start_domain"]
    fetched, started = timeline.moments(task)
    assert fetched.started_at <= fetched.finished_at <= started.finished_at


async def test_a_failing_host_is_left_for_another_one(two_hosts: Any) -> None:
    world = two_hosts
    for metal in world.hosts.values():
        metal.fail_next_spawn("qemu is out of order")
        break
    server = await world.insert_server()
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


async def test_a_host_is_not_left_while_its_agent_may_be_about_to_answer(world: Any) -> None:
    server = await world.insert_server()
    world.silence()
    runner = world.make_runner()
    await runner.run_task(await runner.claim_one())
    world.compute.here.liveness = Liveness(world.compute.bus, world.clock)
    for _ in range(8):
        world.clock.advance(5)
        await runner.run_task(await runner.claim_one())
    (task,) = await world.tasks_of(server.id)
    assert (task.step, task.error) == ("spawn", "nova-compute on host node1 does not answer")
    world.end_silence()
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


async def test_when_every_host_fails_the_server_is_in_error_and_holds_nothing(world: Any) -> None:
    world.hosts["node1"].fail_next_spawn("qemu is out of order")
    server = await world.insert_server()
    await world.run()
    found = await world.server(server.id)
    assert found.vm_state == "error"
    assert "No valid host was found" in found.fault["message"]
    assert "qemu is out of order" in found.fault["message"]
    await world.tick()
    assert await world.leftovers() == {**NOTHING_LEFT, "servers": [server.id]}


async def test_a_server_that_fits_nowhere_names_the_nearest_miss(world: Any) -> None:
    server = await world.insert_server(memory_mib=1 << 30)
    await world.run()
    fault = (await world.server(server.id)).fault
    assert "1 host considered" in fault["message"]
    assert f"{1 << 30} MEMORY_MB wanted" in fault["message"]
    assert "node1" not in fault["message"]
    assert "node1" in fault["details"]


async def test_a_zone_without_hosts_is_named_in_the_account(world: Any) -> None:
    server = await world.insert_server(requested_zone="mars")
    await world.run()
    assert "AvailabilityZoneFilter left 0" in (await world.server(server.id)).fault["message"]


@pytest.mark.parametrize(("hint", "vm_state"), [("different_host", "active"), ("same_host", "error")])
async def test_a_hint_that_names_no_server_is_an_answer_not_a_wait(world: Any, hint: str, vm_state: str) -> None:
    server = await world.insert_server(scheduler_hints={hint: "11111111-2222-3333-4444-555555555555"})
    await world.run()
    assert (await world.server(server.id)).vm_state == vm_state


async def test_a_disabled_host_is_not_chosen(two_hosts: Any) -> None:
    world = two_hosts
    response = await world.client.get("/v2.1/os-services", headers={"X-OpenStack-Nova-API-Version": "2.53"})
    assert response.status_code == 403
    from kilonova.compute.hosts import hosts

    async with world.compute.database.transaction() as tx:
        row = await hosts.find(tx, "nova-compute", "node1")
        await hosts.change(tx, row, world.clock.now(), disabled=True, disabled_reason="tests")
    server = await world.insert_server()
    await world.run()
    assert (await world.server(server.id)).host == "node2"


async def test_a_server_without_networks_has_no_ports(world: Any) -> None:
    server = await world.insert_server(networks=[])
    await world.run()
    found = await world.server(server.id)
    assert (found.vm_state, found.ports, found.security_groups) == ("active", [], [])


async def test_a_server_is_in_no_security_group_where_the_network_wants_none(world: Any) -> None:
    url = f"/v2.0/networks/{world.network_id}"
    body = {"network": {"port_security_enabled": False}}
    assert (await world.network_client.put(url, json=body)).status_code == 200
    open_server = await world.insert_server()
    await world.run()
    assert (await world.server(open_server.id)).security_groups == []
    body["network"]["port_security_enabled"] = True
    assert (await world.network_client.put(url, json=body)).status_code == 200
    guarded = await world.insert_server()
    await world.run()
    assert (await world.server(guarded.id)).security_groups == ["default"]


async def test_a_users_own_port_is_given_back_not_deleted(world: Any) -> None:
    response = await world.network_client.post("/v2.0/ports", json={"port": {"network_id": world.network_id}})
    port_id = response.json()["port"]["id"]
    server = await world.insert_server(networks=[{"port_id": port_id}])
    await world.run()
    assert (await world.compute.network.show_port(port_id)).device_id == server.id
    await world.destroy(server.id)
    await world.run()
    port = await world.compute.network.show_port(port_id)
    assert (port.device_id, port.host) == ("", "")


async def test_destroying_while_the_host_is_silent_ends_and_the_host_cleans_up_when_it_returns(world: Any) -> None:
    server = await world.insert_server()
    await world.run()
    silent = [agent for agent in world.agents if agent.info.binary == "nova-compute"]
    world.agents = [agent for agent in world.agents if agent not in silent]
    world.compute.bus._servers.pop("nova-compute.node1")
    await world.destroy(server.id)
    await world.run()
    assert (await world.leftovers())["servers"] == []
    assert server.id in world.hosts["node1"].servers
    for agent in silent:
        await agent.pass_once()
    await assert_nothing_is_left(world)


async def test_a_server_is_active_only_when_both_agents_have_done_their_part(world: Any) -> None:
    """The hypervisor makes the tap, and the network's agent plugs it: neither alone makes the port come up."""
    agents, world.agents = world.agents, [each for each in world.agents if each.info.binary == AGENT_BINARY]
    server = await world.insert_server()
    runner = world.make_runner()
    for _ in range(30):
        await world.tick()
        if (task := await runner.claim_one()) is not None:
            await runner.run_task(task)
        world.clock.advance(1)
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert (world.hosts["node1"].servers[server.id].power, port.status) == ("running", "DOWN")
    assert world.devices["node1"].taps == {f"tap{port.id[:11]}"}
    (task,) = await world.tasks_of(server.id)
    assert (task.step, (await world.server(server.id)).vm_state) == ("wait_active", "building")
    world.agents, world.always_looks = agents, True
    await world.run()
    await assert_active_and_nothing_else(world, server.id)


async def test_a_port_is_not_up_before_its_guest_is_there(world: Any) -> None:
    world.hosts["node1"].delay_seconds = 3600
    server = await world.insert_server()
    runner = world.make_runner()
    for _ in range(10):
        await world.tick()
        if (task := await runner.claim_one()) is not None:
            await runner.run_task(task)
        world.clock.advance(1)
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert (port.host, port.status) == ("node1", "DOWN")
    assert [each.id for each in world.network_drivers["node1"].state.ports.values()] == [port.id]
    assert world.devices["node1"].taps == set()
