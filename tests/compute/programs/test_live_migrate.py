"""A live migration as its administrator sees it: asked for, listed, hastened, aborted, and what is refused."""

from typing import Any

import pytest
from msgspec import structs

from kilonova.compute.agent.spec import PowerState
from kilonova.compute.operations import OPERATIONS
from kilonova.compute.programs import PROGRAMS
from kilonova.compute.servers import servers
from kilonova.kit.tasks.programs import step_name
from tests.compute.programs.stories import (
    cancel_migration,
    cut_wires,
    go_half_way,
    live_migrate,
    reset_state,
    run_to,
    silence_hosts_of,
)

HEADERS = {"openstack-api-version": "compute 2.90"}


async def admin(world: Any, method: str, path: str, version: str = "2.90", **sent: Any) -> Any:
    headers = {"openstack-api-version": f"compute {version}"}
    return await world.admin_client.request(method, f"/v2.1{path}", headers=headers, **sent)


async def migrations(world: Any, query: str = "", version: str = "2.90") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await admin(world, "GET", f"/os-migrations{query}", version)).json()["migrations"]
    return found


async def shown(world: Any, server_id: str) -> Any:
    return (await admin(world, "GET", f"/servers/{server_id}")).json()["server"]


async def test_a_guest_moves_with_its_ports_and_its_claim(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    (claimed,) = await world.allocations()
    source = (await world.server(server.id)).host
    target = next(name for name in world.hosts if name != source)
    await live_migrate(world, server.id)
    before = await shown(world, server.id)
    assert (before["status"], before["OS-EXT-STS:task_state"]) == ("MIGRATING", "migrating")
    listed = (await admin(world, "GET", "/servers?status=MIGRATING&all_tenants=1")).json()["servers"]
    assert [each["id"] for each in listed] == [server.id]
    await world.run()

    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", target)
    assert claimed == (source, server.id)
    assert await world.allocations() == [(target, server.id)]
    assert (await world.leftovers())["domains"] == [(target, server.id)]
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert (port.host, port.status) == (target, "ACTIVE")
    assert [each.host for each in await world.compute.network.list_bindings(port.id)] == [target]
    (listed,) = await migrations(world)
    assert (listed["status"], listed["migration_type"]) == ("completed", "live-migration")
    assert (listed["source_compute"], listed["dest_compute"]) == (source, target)
    assert (listed["instance_uuid"], "links" in listed) == (server.id, False)
    assert listed["user_id"] and listed["project_id"]
    flavors = {listed["old_instance_type_id"], listed["new_instance_type_id"]}
    assert [type(each) for each in flavors] == [int], "one flavor, as the number that clients take"
    actions = await world.client.get(f"/v2.1/servers/{server.id}/os-instance-actions", headers=HEADERS)
    assert actions.json()["instanceActions"][0]["action"] == "live-migration"


async def test_a_guest_that_cannot_leave_goes_on_where_it_was(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    source = (await world.server(server.id)).host
    await cut_wires("node1", "node2")(world, server.id)
    await live_migrate(world, server.id)
    await world.run()
    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"], "fault" in after) == ("ACTIVE", source, False)
    assert await world.allocations() == [(source, server.id)]
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert [each.host for each in await world.compute.network.list_bindings(port.id)] == [source]
    assert [each["status"] for each in await migrations(world)] == ["error"]
    (task, *_others) = await world.tasks_of(server.id)
    assert (task.outcome, task.error) == ("failed", "the wire was cut")


async def lose_last_word(world: Any, server_id: str, left: PowerState, arrived: PowerState) -> tuple[str, str]:
    """The hypervisor of the source dies in the middle of a migration; `left` and `arrived`: the guest's power as the
    source has it afterwards, and as the target has it. Returns both hosts' names.
    """
    await go_half_way(world, server_id)
    source = (await world.server(server_id)).host
    target = next(name for name in world.hosts if name != source)
    here, there = (world.hosts[name].servers[server_id] for name in (source, target))
    if arrived != "absent":
        there.disks, there.interfaces = dict(there.defined_disks), dict(there.defined_interfaces)
    there.power, there.boots, here.power = arrived, here.boots, left
    world.hosts[source].delay_seconds = 0.0
    world.hosts[source].migration_failures = ["libvirt: internal error: client socket is closed."]
    return source, target


@pytest.mark.parametrize("left", ["stopped", "crashed", "paused", "absent"])
async def test_a_guest_that_runs_there_is_not_started_here_as_well(two_hosts: Any, left: PowerState) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    _source, target = await lose_last_word(world, server.id, left, "running")
    await world.run()
    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", target)
    assert (await world.leftovers())["domains"] == [(target, server.id)]
    assert world.hosts[target].servers[server.id].boots == 1, "it goes on, and did not boot again"
    assert await world.allocations() == [(target, server.id)]
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert [each.host for each in await world.compute.network.list_bindings(port.id)] == [target]
    assert [each["status"] for each in await migrations(world)] == ["completed"]


@pytest.mark.parametrize("left", ["stopped", "crashed"])
async def test_a_guest_that_ended_on_the_way_is_started_where_it_was(two_hosts: Any, left: PowerState) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    source, _target = await lose_last_word(world, server.id, left, "absent")
    await world.run()
    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", source)
    assert (await world.leftovers())["domains"] == [(source, server.id)]
    assert await world.allocations() == [(source, server.id)]


async def test_a_guest_is_not_started_here_while_the_other_host_may_have_it(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    source, target = await lose_last_word(world, server.id, "stopped", "running")
    await silence_hosts_of("target")(world, server.id)
    await run_to("bring_home")(world, server.id)
    for _ in range(3):
        world.clock.advance(10)
        await world.tick()
    assert world.hosts[source].servers[server.id].power == "stopped"
    world.end_silence()
    await world.run()
    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", target)
    assert (await world.leftovers())["domains"] == [(target, server.id)]


@pytest.mark.parametrize("state", ["active", "error"])
async def test_one_that_is_reset_leaves_nothing_on_either_host(two_hosts: Any, state: str) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    source = (await world.server(server.id)).host
    await go_half_way(world, server.id)
    await reset_state(state)(world, server.id)
    # Said twice, it goes on going back.
    await reset_state(state)(world, server.id)
    await world.run()
    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-STS:task_state"]) == (state.upper(), None)
    assert after["OS-EXT-SRV-ATTR:host"] == source
    assert (await world.leftovers())["domains"] == [(source, server.id)]
    assert await world.allocations() == [(source, server.id)]
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert [each.host for each in await world.compute.network.list_bindings(port.id)] == [source]
    assert [each["status"] for each in await migrations(world)] == ["error"]
    (task, *_others) = await world.tasks_of(server.id)
    assert (task.outcome, task.error) == ("failed", f"the state was reset to {state}")


async def test_a_reset_is_refused_when_the_task_has_just_gone_on(
    two_hosts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    await go_half_way(world, server.id)
    (known, *_others) = await world.tasks_of(server.id)

    async def read_before(_tx: Any, _server_id: str) -> Any:
        return structs.replace(known, epoch=known.epoch - 1)

    monkeypatch.setattr(servers.tasks, "active", read_before)
    body = {"os-resetState": {"state": "active"}}
    answer = await admin(world, "POST", f"/servers/{server.id}/action", json=body)
    assert answer.status_code == 409 and "migrating" in answer.text


async def test_one_under_way_is_shown_hastened_and_aborted(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    await go_half_way(world, server.id)
    url = f"/servers/{server.id}/migrations"
    (listed,) = (await admin(world, "GET", url)).json()["migrations"]
    assert listed["status"] == "running"
    assert listed["memory_total_bytes"] == 512 << 20
    assert "uuid" not in (await admin(world, "GET", url, "2.58")).json()["migrations"][0]
    (in_list,) = await migrations(world)
    assert in_list["links"][0]["href"].endswith(f"{url}/{listed['id']}")
    assert (await admin(world, "GET", f"{url}/{listed['uuid']}")).json()["migration"]["id"] == listed["id"]

    hastened = await admin(world, "POST", f"{url}/{listed['id']}/action", json={"force_complete": None})
    assert hastened.status_code == 202
    wrong = await admin(world, "POST", f"{url}/{listed['id']}/action", json={"stop": None})
    assert wrong.status_code == 400
    assert (await admin(world, "GET", f"{url}/99")).status_code == 404
    assert (await admin(world, "DELETE", f"{url}/99")).status_code == 404
    assert (await admin(world, "GET", f"{url}/{listed['id']}", "2.22")).status_code == 404
    assert (await admin(world, "DELETE", f"{url}/{listed['id']}", "2.23")).status_code == 404
    assert (await world.client.delete(f"/v2.1{url}/{listed['id']}", headers=HEADERS)).status_code == 403

    await cancel_migration(world, server.id)
    await world.run()
    assert (await shown(world, server.id))["status"] == "ACTIVE"
    assert [each["status"] for each in await migrations(world)] == ["cancelled"]
    assert (await admin(world, "DELETE", f"{url}/{listed['id']}")).status_code == 404


async def test_before_it_runs_it_is_aborted_since_2_65_only(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    await live_migrate(world, server.id)
    (listed,) = await migrations(world)
    url = f"/servers/{server.id}/migrations/{listed['id']}"
    assert (await admin(world, "DELETE", url, "2.64")).status_code == 400
    assert (await admin(world, "POST", f"{url}/action", json={"force_complete": None})).status_code == 400
    assert (await admin(world, "DELETE", url, "2.65")).status_code == 202
    await world.run()
    assert [each["status"] for each in await migrations(world)] == ["cancelled"]


async def test_the_list_is_narrowed_and_comes_in_pages(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    for _ in range(3):
        world.clock.advance(60)
        await live_migrate(world, server.id)
        await world.run()
    numbers = [each["id"] for each in await migrations(world)]
    assert numbers == [3, 2, 1]
    newest, *older = await migrations(world)
    page = (await admin(world, "GET", "/os-migrations?limit=1")).json()
    assert [each["id"] for each in page["migrations"]] == [3]
    assert page["migrations_links"][0]["href"].endswith(f"limit=1&marker={newest['uuid']}")
    assert [each["id"] for each in await migrations(world, f"?marker={newest['uuid']}")] == [2, 1]
    for query, found in (
        ("host=node1", numbers),
        ("source_compute=node1", [each["id"] for each in (newest, *older) if each["source_compute"] == "node1"]),
        ("host=node9", []),
        ("status=completed", numbers),
        ("status=error", []),
        ("migration_type=resize", []),
        ("hidden=1", []),
        ("hidden=0", numbers),
        (f"instance_uuid={server.id}", numbers),
        ("user_id=nobody", []),
        (f"changes-since={newest['updated_at']}Z", [3]),
        (f"changes-before={older[1]['updated_at']}Z", [1]),
    ):
        assert [each["id"] for each in await migrations(world, f"?{query}")] == found, query
    for query in ("limit=x", "marker=nothing", "colour=red", "changes-since=x", "hidden=perhaps"):
        assert (await admin(world, "GET", f"/os-migrations?{query}")).status_code == 400, query
    assert "uuid" not in (await migrations(world, "", "2.58"))[0]
    assert "migration_type" not in (await migrations(world, "", "2.22"))[0]


@pytest.mark.parametrize(
    ("version", "body", "told"),
    [
        ("2.90", {"host": "nowhere", "block_migration": "auto"}, "nowhere could not be found"),
        ("2.90", {"host": "node1", "block_migration": "auto"}, "only be moved to another one"),
        ("2.90", {"host": None, "block_migration": False}, "block_migration true or auto"),
        ("2.90", {"host": None, "block_migration": "perhaps"}, "block_migration"),
        ("2.90", {"host": None}, "block_migration"),
        ("2.90", {"block_migration": "auto"}, "host"),
        ("2.90", {"host": "a b", "block_migration": "auto"}, "host"),
        ("2.90", {"host": "x" * 256, "block_migration": "auto"}, "host"),
        ("2.90", {"host": None, "block_migration": "auto", "force": False}, "force"),
        ("2.67", {"host": "node2", "block_migration": "auto", "force": True}, "force"),
        ("2.24", {"host": None, "block_migration": True, "disk_over_commit": True}, "disk_over_commit"),
        ("2.24", {"host": None, "block_migration": True}, "disk_over_commit"),
        ("2.25", {"host": None, "block_migration": True, "disk_over_commit": False}, "disk_over_commit"),
    ],
)
async def test_what_makes_no_sense_is_refused(two_hosts: Any, version: str, body: Any, told: str) -> None:
    world = two_hosts
    server = await world.insert_server(requested_host="node1")
    await world.run()
    answer = await admin(world, "POST", f"/servers/{server.id}/action", version, json={"os-migrateLive": body})
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["badRequest"]["message"]
    assert await migrations(world) == []


async def test_it_is_for_administrators_of_running_servers_on_hosts_that_answer(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server(requested_host="node1")
    await world.run()
    url, body = f"/servers/{server.id}/action", {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    assert (await world.client.post(f"/v2.1{url}", json=body, headers=HEADERS)).status_code == 403
    services = (await admin(world, "GET", "/os-services?host=node2")).json()["services"]
    down = {"forced_down": True}
    assert (await admin(world, "PUT", f"/os-services/{services[0]['id']}", json=down)).status_code == 200
    to_down = {"os-migrateLive": {"host": "node2", "block_migration": "auto"}}
    refused = await admin(world, "POST", url, json=to_down)
    assert (refused.status_code, "does not answer" in refused.text) == (400, True)
    await world.client.post(f"/v2.1{url}", json={"os-stop": None})
    await world.run()
    refused = await admin(world, "POST", url, json=body)
    assert (refused.status_code, "vm_state stopped" in refused.text) == (409, True)


async def test_what_placement_does_not_know_is_the_reason_of_the_failure(two_hosts: Any) -> None:
    world = two_hosts
    server = await world.insert_server()
    await world.run()
    async with world.compute.database.transaction() as tx:
        row = await servers.find(tx, server.id)
        flavor = {**row.flavor, "extra_specs": {"trait:CUSTOM_NOBODY_HAS": "required"}}
        await servers.change(tx, server.id, world.clock.now(), flavor=flavor)
    await live_migrate(world, server.id)
    await world.run()
    (task, *_others) = await world.tasks_of(server.id)
    assert task.outcome == "failed" and "CUSTOM_NOBODY_HAS" in task.error
    assert (await shown(world, server.id))["status"] == "ACTIVE"


def test_what_a_reset_turns_back_goes_the_way_that_its_program_has() -> None:
    turned = [each for each in OPERATIONS.values() if each.way_back]
    assert {each.program for each in turned} == {"live_migrate", "resize", "cold_migrate"}
    for each in turned:
        program = PROGRAMS[each.program]
        assert program.roll_back is not None
        assert (step_name(program.roll_back), program.roll_back_seconds) == (each.way_back, each.way_back_seconds)
