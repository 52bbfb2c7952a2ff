"""Volumes that a server is given and loses, as its owner, its host and block storage see them."""

import asyncio
from typing import Any

import pytest

from kilonova.compute.servers import volumes as server_volumes
from tests.compute.programs.stories import find_host_again, lose_backend, silence

NEWEST = {"openstack-api-version": "compute 2.100"}
ASYNC = {"openstack-api-version": "compute 2.101"}
NOWHERE = "11111111-2222-3333-4444-555555555555"


def url(server_id: str, volume_id: str = "") -> str:
    return f"/v2.1/servers/{server_id}/os-volume_attachments" + (f"/{volume_id}" if volume_id else "")


async def built(world: Any) -> str:
    server = await world.insert_server()
    await world.run()
    return str(server.id)


async def ask(world: Any, server_id: str, volume_id: str, headers: Any = NEWEST, **wanted: Any) -> Any:
    body = {"volumeAttachment": {"volumeId": volume_id, **wanted}}
    return await world.client.post(url(server_id), json=body, headers=headers)


async def attached(world: Any, server_id: str, **wanted: Any) -> dict[str, Any]:
    volume_id = await world.make_volume()
    response = await ask(world, server_id, volume_id, **wanted)
    assert response.status_code == 200, response.text
    await world.run()
    shown: dict[str, Any] = response.json()["volumeAttachment"]
    return shown


async def refusal(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    ((_kind, fault),) = response.json().items()
    return str(fault["message"])


async def of_block_storage(world: Any, volume_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await world.volume_client.get(f"/v3/volumes/{volume_id}")).json()["volume"]
    return shown


def disks_on_host(world: Any, server_id: str) -> dict[str, str]:
    """Volume id → device, of the volumes that the guest has."""
    guest = world.hosts["node1"].servers[server_id]
    return {serial: disk.place.device for serial, disk in guest.disks.items() if disk.is_volume}


async def test_a_volume_joins_a_guest_and_leaves_it(world: Any) -> None:
    server_id = await built(world)
    shown = await attached(world, server_id, tag="data")
    volume_id = shown["volumeId"]
    assert (shown["serverId"], shown["device"], shown["tag"]) == (server_id, "/dev/vdb", "data")
    assert disks_on_host(world, server_id) == {volume_id: "vdb"}
    volume = await of_block_storage(world, volume_id)
    assert volume["status"] == "in-use"
    assert [(each["server_id"], each["device"]) for each in volume["attachments"]] == [(server_id, "/dev/vdb")]
    listed = (await world.client.get(url(server_id), headers=NEWEST)).json()["volumeAttachments"]
    assert [(each["volumeId"], each["attachment_id"]) for each in listed] == [
        (volume_id, volume["attachments"][0]["attachment_id"])
    ]
    server = (await world.client.get(f"/v2.1/servers/{server_id}", headers=NEWEST)).json()["server"]
    assert server["os-extended-volumes:volumes_attached"] == [{"id": volume_id, "delete_on_termination": False}]
    spec = world.hosts["node1"].servers[server_id].spec
    assert [(each.tag, each.serial) for each in spec.metadata_document.devices] == [("data", volume_id)]
    response = await world.client.delete(url(server_id, volume_id))
    assert response.status_code == 202
    await world.run()
    assert disks_on_host(world, server_id) == {}
    assert (await of_block_storage(world, volume_id))["status"] == "available"
    assert (await world.client.get(url(server_id))).json() == {"volumeAttachments": []}


async def test_attachments_are_shown_as_each_version_knows_them(world: Any) -> None:
    server_id = await built(world)
    volume_id = (await attached(world, server_id))["volumeId"]
    oldest = {"id": volume_id, "serverId": server_id, "volumeId": volume_id, "device": "/dev/vdb"}
    for version, wanted in (
        ("2.69", oldest),
        ("2.70", {**oldest, "tag": None}),
        ("2.79", {**oldest, "tag": None, "delete_on_termination": False}),
    ):
        headers = {"openstack-api-version": f"compute {version}"}
        shown = (await world.client.get(url(server_id, volume_id), headers=headers)).json()["volumeAttachment"]
        assert shown == wanted, version
    newest = (await world.client.get(url(server_id, volume_id), headers=NEWEST)).json()["volumeAttachment"]
    assert newest.keys() == {
        "serverId",
        "volumeId",
        "device",
        "tag",
        "delete_on_termination",
        "attachment_id",
        "bdm_uuid",
    }
    server = (await world.client.get(f"/v2.1/servers/{server_id}")).json()["server"]
    assert server["os-extended-volumes:volumes_attached"] == [{"id": volume_id}]


async def test_an_attachment_of_the_newest_kind_is_answered_without_a_body(world: Any) -> None:
    server_id = await built(world)
    response = await ask(world, server_id, await world.make_volume(), ASYNC)
    assert (response.status_code, response.content) == (202, b"")


async def test_devices_are_named_in_order_and_by_wish(world: Any) -> None:
    server_id = await built(world)
    assert (await attached(world, server_id, device="/dev/vdd"))["device"] == "/dev/vdd"
    assert (await attached(world, server_id))["device"] == "/dev/vdb"
    assert (await attached(world, server_id, device="/dev/sdb"))["device"] == "/dev/vdc"
    taken = await ask(world, server_id, await world.make_volume(), device="/dev/vdd")
    assert "/dev/vdd" in await refusal(taken, 409)


async def test_whether_a_volume_is_deleted_with_its_server_is_said_and_changed(world: Any) -> None:
    server_id = await built(world)
    kept, doomed = await attached(world, server_id), await attached(world, server_id, delete_on_termination=True)
    other = await attached(world, server_id)
    for volume, goes in ((kept, False), (other, True)):
        body = {"volumeAttachment": {"volumeId": volume["volumeId"], "delete_on_termination": goes}}
        response = await world.client.put(url(server_id, volume["volumeId"]), json=body, headers=NEWEST)
        assert response.status_code == 202, response.text
    await world.destroy(server_id)
    await world.run()
    await world.run_block_storage()
    assert await world.volumes() == {kept["volumeId"]: "available"}
    assert doomed["delete_on_termination"] is True


async def test_what_else_of_an_attachment_is_to_change_is_refused(world: Any) -> None:
    server_id, other_id = await built(world), await world.make_volume()
    volume_id = (await attached(world, server_id))["volumeId"]

    async def change(version: str = "2.85", of: str = volume_id, **fields: Any) -> Any:
        headers = {"openstack-api-version": f"compute {version}"}
        body = {"volumeAttachment": {"volumeId": volume_id, **fields}}
        return await world.client.put(url(server_id, of), json=body, headers=headers)

    assert "swapped" in await refusal(await change(volumeId=other_id), 400)
    assert "delete_on_termination" in await refusal(await change(), 400)
    assert "delete_on_termination" in await refusal(await change("2.84", delete_on_termination=True), 400)
    assert "tag" in await refusal(await change(delete_on_termination=True, tag="other"), 400)
    assert "device" in await refusal(await change(delete_on_termination=True, device="/dev/vdz"), 400)
    assert "serverId" in await refusal(await change(delete_on_termination=True, serverId=NOWHERE), 400)
    assert NOWHERE in await refusal(await change(of=NOWHERE, volumeId=NOWHERE, delete_on_termination=True), 404)


async def test_a_volume_that_cannot_be_had_is_refused_and_nothing_stays(world: Any) -> None:
    server_id, second_id = await built(world), await built(world)
    volume_id = (await attached(world, server_id))["volumeId"]
    assert NOWHERE in await refusal(await ask(world, server_id, NOWHERE), 404)
    assert "already" in await refusal(await ask(world, server_id, volume_id), 400)
    assert "in-use" in await refusal(await ask(world, second_id, volume_id), 400)
    assert "volumeId" in await refusal(await ask(world, server_id, "no uuid"), 400)
    foreign = await world.admin_client.get(url(server_id, NOWHERE))
    assert NOWHERE in await refusal(foreign, 404)
    assert (await world.server(second_id)).volumes is None


async def test_of_two_servers_that_ask_for_one_volume_at_once_one_has_it(world: Any) -> None:
    first, second = await built(world), await built(world)
    volume_id = await world.make_volume()
    answers = await asyncio.gather(ask(world, first, volume_id), ask(world, second, volume_id))
    assert sorted(each.status_code for each in answers) == [200, 400]
    await world.run()
    having = [each for each in (first, second) if (await world.server(each)).volumes]
    assert len(having) == 1
    assert await world.attachments() == [("attached", having[0])]


async def test_a_back_end_that_is_away_leaves_the_volume_free(world: Any) -> None:
    server_id, volume_id = await built(world), await world.make_volume()
    await lose_backend(world, server_id)
    # Each pass of the host's agent would have the task look again, and time stand still.
    world.agents = []
    assert (await ask(world, server_id, volume_id)).status_code == 200
    await world.run()
    (task, *_) = await world.tasks_of(server_id)
    assert (task.program, task.outcome) == ("attach_volume", "failed")
    assert "back end" in task.error
    assert (await of_block_storage(world, volume_id))["status"] == "available"
    assert (await world.server(server_id)).volumes == []


async def test_a_volume_that_a_silent_host_may_have_stays_with_its_server(world: Any) -> None:
    server_id, volume_id = await built(world), await world.make_volume()
    await silence(world, server_id)
    assert (await ask(world, server_id, volume_id)).status_code == 200
    await world.run()
    assert (await of_block_storage(world, volume_id))["status"] == "in-use"
    await find_host_again(world, server_id)
    await world.client.delete(url(server_id, volume_id))
    await world.run()
    assert (await of_block_storage(world, volume_id))["status"] == "available"


async def test_a_readonly_volume_is_readonly_for_the_guest(world: Any) -> None:
    server_id, volume_id = await built(world), await world.make_volume()
    action = {"os-update_readonly_flag": {"readonly": True}}
    assert (await world.volume_client.post(f"/v3/volumes/{volume_id}/action", json=action)).status_code == 202
    assert (await ask(world, server_id, volume_id)).status_code == 200
    await world.run()
    (disk,) = (each for each in world.hosts["node1"].servers[server_id].disks.values() if each.is_volume)
    assert disk.is_readonly


@pytest.mark.parametrize(
    ("action", "argument"),
    [
        ("shelve", None),
        ("migrate", None),
        ("resize", {"flavorRef": "larger"}),
        ("os-migrateLive", {"host": None, "block_migration": "auto"}),
    ],
)
async def test_a_server_does_not_leave_its_host_without_its_volumes(world: Any, action: str, argument: Any) -> None:
    server_id = await built(world)
    volume_id = (await attached(world, server_id))["volumeId"]
    larger = {"name": "m1.larger", "id": "larger", "vcpus": 2, "ram": 1024, "disk": 2}
    await world.admin_client.post("/v2.1/flavors", json={"flavor": larger})
    headers = {"openstack-api-version": "compute 2.90"}
    answer = await world.admin_client.post(
        f"/v2.1/servers/{server_id}/action", json={action: argument}, headers=headers
    )
    assert volume_id in await refusal(answer, 409)


async def test_a_guest_that_starts_anew_has_its_volumes(world: Any) -> None:
    server_id = await built(world)
    await world.client.post(f"/v2.1/servers/{server_id}/action", json={"os-stop": None})
    await world.run()
    volume_id = (await attached(world, server_id))["volumeId"]
    assert (await of_block_storage(world, volume_id))["status"] == "in-use"
    await world.client.post(f"/v2.1/servers/{server_id}/action", json={"os-start": None})
    await world.run()
    assert disks_on_host(world, server_id) == {volume_id: "vdb"}


async def test_a_server_has_so_many_volumes_and_no_more(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = await built(world)
    monkeypatch.setattr(server_volumes, "MOST_VOLUMES", 1)
    await attached(world, server_id)
    assert "1 volumes at most" in await refusal(await ask(world, server_id, await world.make_volume()), 400)
