"""Another flavor, another host: the ways there, on, and back, as users and administrators see them; refusals."""

from datetime import timedelta
from typing import Any

import pytest

from kilonova.compute.hosts import hosts
from kilonova.compute.region import mappings
from kilonova.compute.servers import overdue, servers
from kilonova.compute.servers.options import ServerOptions
from kilonova.compute.topics import AGENT_BINARY
from tests.compute.programs.stories import (
    LARGER,
    api,
    confirm,
    delete_softly,
    lose_host,
    make_larger_flavor,
    migrate,
    resize,
    resize_away,
)

HEADERS = {"openstack-api-version": "compute 2.90"}


async def built(world: Any, **changes: Any) -> Any:
    server = await world.insert_server(**changes)
    await world.run()
    return server


async def shown(world: Any, server_id: str) -> Any:
    found = await world.admin_client.get(f"/v2.1/servers/{server_id}", headers=HEADERS)
    return found.json()["server"]


async def act(world: Any, server_id: str, body: Any, *, as_admin: bool = False, version: str = "2.90") -> Any:
    client = world.admin_client if as_admin else world.client
    headers = {"openstack-api-version": f"compute {version}"}
    return await client.post(f"/v2.1/servers/{server_id}/action", json=body, headers=headers)


async def migrations(world: Any) -> list[dict[str, Any]]:
    found = await world.admin_client.get("/v2.1/os-migrations", headers=HEADERS)
    return list(found.json()["migrations"])


async def usage(world: Any) -> tuple[int, int]:
    async with world.compute.reading() as tx:
        found = await mappings.usage_of_project(tx, world.project_id)
    return found["cores"], found["ram"]


def data_of(world: Any, host: str, server_id: str) -> Any:
    return world.hosts[host].servers[server_id]


async def test_a_resize_to_another_host_takes_disks_and_ports_along_and_leaves_what_was(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    source = (await world.server(server.id)).host
    target = next(name for name in world.hosts if name != source)
    data_of(world, source, server.id).data = "written before"
    await resize_away(world, server.id)
    before = await shown(world, server.id)
    assert (before["status"], before["OS-EXT-STS:task_state"]) == ("RESIZE", "resize_prep")
    assert await usage(world) == (2, 1024)
    listed = (await world.client.get("/v2.1/servers?status=RESIZE", headers=HEADERS)).json()["servers"]
    assert [each["id"] for each in listed] == [server.id]
    await world.run()

    after = await shown(world, server.id)
    assert (after["status"], after["OS-EXT-SRV-ATTR:host"], after["flavor"]["vcpus"]) == ("VERIFY_RESIZE", target, 2)
    assert after["OS-EXT-STS:vm_state"] == "resized"
    assert data_of(world, target, server.id).data == "written before"
    assert (data_of(world, source, server.id).power, data_of(world, target, server.id).power) == ("stopped", "running")
    (port,) = await world.compute.network.list_ports(device_id=server.id)
    assert (port.host, port.status) == (target, "ACTIVE")
    (listed,) = await migrations(world)
    assert (listed["migration_type"], listed["status"]) == ("resize", "finished")
    assert len({listed["old_instance_type_id"], listed["new_instance_type_id"]}) == 2, "numbers, which differ"
    await world.tick()
    assert server.id in world.hosts[source].servers, "the source keeps what the server may come back to"

    await confirm(world, server.id)
    await world.run()
    assert (await shown(world, server.id))["status"] == "ACTIVE"
    assert await world.allocations() == [(target, server.id)]
    assert (await world.leftovers())["domains"] == [(target, server.id)]
    assert [each["status"] for each in await migrations(world)] == ["confirmed"]
    assert await usage(world) == (2, 1024)


@pytest.mark.parametrize("ask", [resize, resize_away], ids=["in place", "to another host"])
async def test_who_goes_back_gets_the_disks_and_the_flavor_as_they_were(two_hosts: Any, ask: Any) -> None:
    world = two_hosts
    server = await built(world)
    source = (await world.server(server.id)).host
    if ask is resize:
        other = next(name for name in world.hosts if name != source)
        async with world.compute.here.transaction() as tx:
            host = await hosts.find(tx, AGENT_BINARY, other)
            assert host is not None
            await hosts.change(tx, host, world.clock.now(), disabled=True)
    data_of(world, source, server.id).data = "before"
    await ask(world, server.id)
    await world.run()
    host = (await world.server(server.id)).host
    assert (host == source) == (ask is resize)
    assert data_of(world, host, server.id).data == "before"
    data_of(world, host, server.id).data = "after"
    await api("revertResize")(world, server.id)
    assert (await shown(world, server.id))["status"] == "REVERT_RESIZE"
    await world.run()
    found = await shown(world, server.id)
    assert (found["status"], found["OS-EXT-SRV-ATTR:host"], found["flavor"]["vcpus"]) == ("ACTIVE", source, 1)
    guest = data_of(world, source, server.id)
    assert (guest.data, guest.former_data, guest.power) == ("before", None, "running")
    assert await world.allocations() == [(source, server.id)]
    assert await usage(world) == (1, 512)
    assert [each["status"] for each in await migrations(world)] == ["reverted"]
    # And it can be asked for again.
    await ask(world, server.id)
    await world.run()
    assert (await shown(world, server.id))["status"] == "VERIFY_RESIZE"


async def test_an_administrator_names_the_host_since_2_56(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world, requested_host="node1")
    assert (await act(world, server.id, {"migrate": None})).status_code == 403
    for version, host, status in (
        ("2.56", "nowhere", 400), ("2.56", "node1", 400), ("2.56", "a b", 400), ("2.56", "node2", 202)
    ):  # fmt: skip
        answer = await act(world, server.id, {"migrate": {"host": host}}, as_admin=True, version=version)
        assert answer.status_code == status, answer.text
    await world.run()
    assert (await world.server(server.id)).host == "node2"
    (listed,) = await migrations(world)
    assert (listed["migration_type"], listed["dest_compute"]) == ("migration", "node2")


async def test_a_resize_is_confirmed_by_itself_after_a_while(world: Any) -> None:
    server = await built(world)
    await resize(world, server.id)
    await world.run()
    world.compute.options = ServerOptions(resize_confirm_seconds=60)
    await overdue.look(world.compute.here)
    await world.run()
    assert (await shown(world, server.id))["status"] == "VERIFY_RESIZE"
    world.clock.advance(timedelta(seconds=61).total_seconds())
    await overdue.look(world.compute.here)
    await world.run()
    assert (await shown(world, server.id))["status"] == "ACTIVE"
    assert [each["status"] for each in await migrations(world)] == ["confirmed"]


async def test_a_server_that_was_resized_deleted_and_restored_stays_as_it_is(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    await resize_away(world, server.id)
    await world.run()
    await delete_softly(world, server.id)
    await world.run()
    await overdue.look(world.compute.here)
    await world.run()
    assert [each["status"] for each in await migrations(world)] == ["finished"]
    await api("restore")(world, server.id)
    await world.run()
    await overdue.look(world.compute.here)
    await world.run()
    host = (await world.server(server.id)).host
    assert (await shown(world, server.id))["status"] == "ACTIVE"
    assert await world.allocations() == [(host, server.id)]
    assert (await world.leftovers())["domains"] == [(host, server.id)]


async def test_one_that_cannot_go_back_yet_can_be_asked_again(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    await resize_away(world, server.id)
    await world.run()
    target = (await world.server(server.id)).host
    world.silence(target)
    await api("revertResize")(world, server.id)
    await world.run()
    assert (await shown(world, server.id))["status"] == "VERIFY_RESIZE"
    (task, *_others) = await world.tasks_of(server.id)
    assert "does not say that it has no guest any more" in task.error
    await lose_host(world, server.id)
    await api("revertResize")(world, server.id)
    await world.run()
    found = await shown(world, server.id)
    assert (found["status"], found["OS-EXT-SRV-ATTR:host"] != target) == ("ACTIVE", True)


async def test_a_flavor_that_cannot_be_is_refused(world: Any) -> None:
    server = await built(world)
    await make_larger_flavor(world)
    small = {**LARGER, "id": "small", "name": "small", "disk": 0}
    other = {**LARGER, "id": "private", "name": "private", "os-flavor-access:is_public": False}
    own = {"name": "m1.tiny", "id": "1", "vcpus": 1, "ram": 512, "disk": 1}
    for each in (small, other, own):
        assert (await world.admin_client.post("/v2.1/flavors", json={"flavor": each})).status_code == 200
    for reference, told in (
        ("nothing", "could not be found"),
        ("private", "could not be found"),
        ("1", "another one"),
        ("small", "zero disk"),
        ("", "flavorRef"),
        (None, "flavorRef"),
        ("x" * 300, "flavorRef"),
    ):
        answer = await act(world, server.id, {"resize": {"flavorRef": reference}})
        assert answer.status_code == 400, answer.text
        assert told in answer.json()["badRequest"]["message"], answer.text
    for body in ({}, {"flavorRef": "larger", "colour": "red"}, {"flavorRef": "larger", "OS-DCF:diskConfig": "maybe"}):
        assert (await act(world, server.id, {"resize": body})).status_code == 400, body
    assert await migrations(world) == []
    assert await usage(world) == (1, 512)


async def test_disks_only_become_larger(world: Any) -> None:
    server = await built(world)
    await resize(world, server.id)
    await world.run()
    await confirm(world, server.id)
    await world.run()
    flavor = {"name": "m1.one", "id": "one", "vcpus": 1, "ram": 512, "disk": 1}
    assert (await world.admin_client.post("/v2.1/flavors", json={"flavor": flavor})).status_code == 200
    answer = await act(world, server.id, {"resize": {"flavorRef": "one"}})
    assert (answer.status_code, "disks can only become larger" in answer.text) == (400, True)


async def test_a_quota_holds_for_what_a_resize_adds(world: Any) -> None:
    server = await built(world)
    await make_larger_flavor(world)
    limits = {"quota_set": {"cores": 1}}
    answer = await world.admin_client.put(f"/v2.1/os-quota-sets/{world.project_id}", json=limits)
    assert answer.status_code == 200, answer.text
    refused = await act(world, server.id, {"resize": {"flavorRef": "larger"}})
    assert (refused.status_code, "Quota exceeded for cores" in refused.text) == (403, True)
    assert (await shown(world, server.id))["status"] == "ACTIVE"
    assert await migrations(world) == []
    assert [each.program for each in await world.tasks_of(server.id)] == ["build"]


async def test_the_wrong_state_and_a_silent_host_are_refused(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world)
    await make_larger_flavor(world)
    for action in ("confirmResize", "revertResize"):
        answer = await act(world, server.id, {action: None})
        assert (answer.status_code, "vm_state active" in answer.text) == (409, True)
        assert (await act(world, "f" * 8 + "-0000-4000-8000-" + "0" * 12, {action: None})).status_code == 404
    await api("pause")(world, server.id)
    await world.run()
    assert (await act(world, server.id, {"resize": {"flavorRef": "larger"}})).status_code == 409
    assert (await act(world, server.id, {"migrate": None}, as_admin=True)).status_code == 409
    await api("unpause")(world, server.id)
    await world.run()
    async with world.compute.here.transaction() as tx:
        await servers.change(tx, server.id, world.clock.now(), vm_state="resized")
    for action in ("confirmResize", "revertResize"):
        answer = await act(world, server.id, {action: None})
        assert (answer.status_code, "has not been resized" in answer.text) == (400, True)
    async with world.compute.here.transaction() as tx:
        await servers.change(tx, server.id, world.clock.now(), vm_state="active")
    await lose_host(world, server.id)
    for body, as_admin in (({"resize": {"flavorRef": "larger"}}, False), ({"migrate": None}, True)):
        answer = await act(world, server.id, body, as_admin=as_admin)
        assert (answer.status_code, "does not answer" in answer.text) == (409, True)


async def test_a_server_with_a_tpm_gets_its_flavor_where_it_is_and_is_not_migrated_cold(two_hosts: Any) -> None:
    world = two_hosts
    server = await built(world, image_properties={"hw_tpm_version": "2.0"})
    source = (await world.server(server.id)).host
    answer = await act(world, server.id, {"migrate": None}, as_admin=True)
    assert (answer.status_code, "TPM" in answer.text) == (400, True)
    await make_larger_flavor(world)
    world.compute.options = ServerOptions(may_resize_in_place=False)
    answer = await act(world, server.id, {"resize": {"flavorRef": "larger"}})
    assert (answer.status_code, "TPM" in answer.text) == (400, True)
    world.compute.options = ServerOptions()
    await resize(world, server.id)
    await world.run()
    assert (await world.server(server.id)).host == source
    await migrate_is_refused_while_resized(world, server.id)


async def migrate_is_refused_while_resized(world: Any, server_id: str) -> None:
    answer = await act(world, server_id, {"migrate": None}, as_admin=True)
    assert (answer.status_code, "vm_state resized" in answer.text) == (409, True)


async def test_members_of_a_group_stay_apart_when_they_move(two_hosts: Any) -> None:
    world = two_hosts
    body = {"server_group": {"name": "apart", "policies": ["anti-affinity"]}}
    group = (await world.client.post("/v2.1/os-server-groups", json=body)).json()["server_group"]["id"]
    first, _second = await built(world, group_id=group), await built(world, group_id=group)
    await migrate(world, first.id)
    await world.run()
    assert (await shown(world, first.id))["status"] == "ACTIVE"
    (task, *_others) = await world.tasks_of(first.id)
    assert task.error.startswith("No valid host was found.")
