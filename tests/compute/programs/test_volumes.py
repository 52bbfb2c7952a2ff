"""Volumes that a server is given and loses, as its owner, its host and block storage see them."""

import asyncio
from typing import Any

import pytest

from kilonova.compute.operations import OPERATIONS
from kilonova.compute.programs.volume_attachments import ATTACH_VOLUME, VolumeArgs
from kilonova.compute.region import cells
from kilonova.compute.servers import servers
from kilonova.compute.servers import volumes as server_volumes
from kilonova.compute.servers.volumes import ServerVolume, as_kept
from tests.compute.programs.stories import find_host_again, lose_backend, silence

NEWEST = {"openstack-api-version": "compute 2.100"}
ASYNC = {"openstack-api-version": "compute 2.101"}
NEWEST_VOLUMES = {"openstack-api-version": "volume 3.71"}
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


async def make(world: Any, status: int = 202, *, headers: Any = NEWEST, volumes: Any, **fields: Any) -> Any:
    """Returns the answer to POST /servers with these block devices."""
    flavor = {"name": "m1.tiny", "id": "1", "vcpus": 1, "ram": 512, "disk": 1}
    await world.admin_client.post("/v2.1/flavors", json={"flavor": flavor})
    server = {"name": "web", "flavorRef": "1", "networks": "none", "block_device_mapping_v2": volumes, **fields}
    response = await world.client.post("/v2.1/servers", json={"server": server}, headers=headers)
    assert response.status_code == status, response.text
    return response


def root_of(source: str, source_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "source_type": source,
        "destination_type": "volume",
        "uuid": source_id,
        "boot_index": 0,
        "volume_size": 1,
        **fields,
    }


async def bootable_volume(world: Any) -> str:
    volume_id: str = await world.make_volume()
    action = {"os-set_bootable": {"bootable": True}}
    assert (await world.volume_client.post(f"/v3/volumes/{volume_id}/action", json=action)).status_code == 200
    return volume_id


async def running(world: Any, response: Any) -> str:
    server_id: str = response.json()["server"]["id"]
    await world.run_block_storage()
    await world.run()
    server = await world.server(server_id)
    assert (server.vm_state, server.fault) == ("active", None)
    return server_id


async def test_a_server_boots_from_a_volume_and_has_no_disk_beside_it(world: Any) -> None:
    volume_id = await bootable_volume(world)
    server_id = await running(world, await make(world, volumes=[root_of("volume", volume_id)]))
    assert disks_on_host(world, server_id) == {volume_id: "vda"}
    assert len(world.hosts["node1"].servers[server_id].disks) == 1
    shown = (await world.client.get(f"/v2.1/servers/{server_id}", headers=NEWEST)).json()["server"]
    assert shown["image"] == ""
    assert (await of_block_storage(world, volume_id))["status"] == "in-use"
    claims = await world.compute.placement._claims_of(server_id)
    (held,) = claims.allocations.values()
    assert "DISK_GB" not in held.resources
    assert "root device" in await refusal(await world.client.delete(url(server_id, volume_id)), 400)
    for action in ({"createImage": {"name": "copy"}}, {"rebuild": {"imageRef": NOWHERE}}, {"rescue": None}):
        answer = await world.client.post(f"/v2.1/servers/{server_id}/action", json=action)
        assert "boots from a volume" in await refusal(answer, 409)
    await world.destroy(server_id)
    await world.run()
    assert (await of_block_storage(world, volume_id))["status"] == "available"


async def test_volumes_are_made_for_a_server_of_an_image_of_a_snapshot_and_of_nothing(world: Any) -> None:
    image_id, snapped = await world.upload_image(), await bootable_volume(world)
    made = await world.volume_client.post("/v3/snapshots", json={"snapshot": {"volume_id": snapped}})
    await world.run_block_storage()
    blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 2, "boot_index": -1}
    devices = [
        root_of("image", image_id, delete_on_termination=True, tag="system"),
        root_of("snapshot", made.json()["snapshot"]["id"], boot_index=-1, delete_on_termination=True),
        {**blank, "delete_on_termination": True, "device_name": "/dev/vdf"},
    ]
    server_id = await running(world, await make(world, volumes=devices))
    assert sorted(disks_on_host(world, server_id).values()) == ["vda", "vdb", "vdf"]
    sizes = [(await of_block_storage(world, each))["size"] for each in disks_on_host(world, server_id)]
    assert sorted(sizes) == [1, 1, 2]
    await world.destroy(server_id)
    await world.run()
    await world.run_block_storage()
    assert await world.volumes() == {snapped: "available"}


async def test_each_of_several_servers_gets_volumes_of_its_own(world: Any) -> None:
    image_id = await world.upload_image()
    await make(world, volumes=[root_of("image", image_id)], min_count=2, max_count=3)
    await world.run_block_storage()
    await world.run()
    assert len(await world.volumes()) == 3
    assert sorted(status for status, _server in await world.attachments()) == ["attached"] * 3


async def test_a_volume_beside_a_disk_made_from_an_image(world: Any) -> None:
    volume_id = await world.make_volume()
    device = {"source_type": "volume", "destination_type": "volume", "uuid": volume_id}
    server_id = await running(world, await make(world, volumes=[device], imageRef=await world.upload_image()))
    assert disks_on_host(world, server_id) == {volume_id: "vdb"}


async def test_a_server_whose_volumes_cannot_be_had_is_not_made_and_leaves_none(world: Any) -> None:
    volume_id, image_id = await world.make_volume(), await world.upload_image()
    blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 1}
    with_image = {"imageRef": image_id}
    refusals: tuple[tuple[int, str, Any, dict[str, Any]], ...] = (
        (400, "not bootable", [root_of("volume", volume_id)], {}),
        (400, NOWHERE, [root_of("volume", NOWHERE)], {}),
        (400, NOWHERE, [root_of("image", NOWHERE)], {}),
        (400, NOWHERE, [root_of("snapshot", NOWHERE)], {}),
        (400, NOWHERE, [{**blank}, root_of("volume", NOWHERE, boot_index=-1)], with_image),
        (400, "names both", [root_of("image", image_id)], with_image),
        (400, "volume_size", [root_of("image", image_id, volume_size=None)], {}),
        (400, "volume_size", [root_of("image", image_id, volume_size=-1)], {}),
        (400, "blank", [root_of("blank", image_id)], {}),
        (400, "boot_index is -1", [{**blank, "boot_index": 0}], {}),
        (400, "uuid", [root_of("volume", "none")], {}),
        (400, "source_type", [root_of("tape", volume_id)], {}),
        (400, "no_device", [root_of("image", image_id, no_device=True)], {}),
        (400, "device_type", [root_of("image", image_id, device_type="cdrom")], {}),
        (400, "guest_format", [{**blank, "guest_format": "ext4"}], with_image),
        (400, "disk_bus", [root_of("image", image_id, disk_bus="floppy")], {}),
        (400, "volume_type", [root_of("volume", volume_id, volume_type="gold")], {}),
        (400, "gold", [{**blank, "volume_type": "gold"}], with_image),
        (400, "several have", [root_of("image", image_id), root_of("image", image_id)], {}),
        (400, "twice", [root_of("volume", volume_id, boot_index=-1)] * 2, with_image),
        (400, "/dev/vda", [{**blank, "device_name": "/dev/vda"}], with_image),
        (400, "20 volumes", [blank] * 21, with_image),
        (400, "Several servers", [root_of("volume", volume_id, boot_index=-1)], {**with_image, "min_count": 2}),
        (403, "volumes", [blank] * 11, with_image),
    )
    for status, sentence, devices, fields in refusals:
        told = await refusal(await make(world, status, volumes=devices, **fields), status)
        assert sentence in told, (sentence, told)
    await world.run_block_storage()
    assert await world.volumes() == {volume_id: "available"}
    assert (await world.leftovers())["servers"] == []


async def test_a_volume_that_comes_to_nothing_fails_its_server_with_the_reason(world: Any) -> None:
    image_id = await world.upload_image()
    response = await make(world, volumes=[root_of("image", image_id, delete_on_termination=True)])
    server_id = response.json()["server"]["id"]
    (volume_id,) = await world.volumes()
    async with world.block_storage.database.transaction() as tx:
        from kilonova.block_storage import volumes as stored

        await stored.set_status(tx, await stored.find(tx, volume_id, None), "error", world.clock.now())
    await world.run()
    server = await world.server(server_id)
    assert server.vm_state == "error"
    assert volume_id in server.fault["message"]
    assert "error" in server.fault["message"]


async def test_a_guest_is_held_to_the_limits_of_a_volumes_type(world: Any, identity: Any) -> None:
    admin = await identity.client_for(world.volume_client._transport.app, "admin")
    specs = {"name": "slow", "consumer": "front-end", "total_iops_sec": "100", "read_bytes_sec_per_gb": "1000"}
    made = (await admin.post("/v3/qos-specs", json={"qos_specs": specs})).json()["qos_specs"]
    kind = (await admin.post("/v3/types", json={"volume_type": {"name": "slow"}})).json()["volume_type"]
    bound = await admin.get(f"/v3/qos-specs/{made['id']}/associate?vol_type_id={kind['id']}")
    assert bound.status_code == 202, bound.text
    await admin.aclose()
    server_id, volume_id = await built(world), await world.make_volume(size=2, volume_type="slow")
    assert (await ask(world, server_id, volume_id)).status_code == 200
    await world.run()
    (disk,) = (each for each in world.hosts["node1"].servers[server_id].disks.values() if each.is_volume)
    assert disk.limits == {"total_iops_sec": 100, "read_bytes_sec": 2000}


async def test_only_compute_takes_a_volume_from_a_guest(world: Any) -> None:
    server_id = await built(world)
    shown = await attached(world, server_id)
    client, volume_id = world.volume_client, shown["volumeId"]
    (held,) = (await of_block_storage(world, volume_id))["attachments"]
    told = await refusal(await client.delete(f"/v3/attachments/{held['attachment_id']}", headers=NEWEST_VOLUMES), 409)
    assert server_id in told
    answer = await client.post(f"/v3/volumes/{volume_id}/action", json={"os-detach": {}})
    assert server_id in await refusal(answer, 409)
    assert (await of_block_storage(world, volume_id))["status"] == "in-use"
    assert disks_on_host(world, server_id) == {volume_id: "vdb"}


async def test_a_volume_that_became_anothers_meanwhile_is_not_had(world: Any, identity: Any) -> None:
    server_id, volume_id = await built(world), await world.make_volume()
    client = world.volume_client
    other = await identity.client_for(client._transport.app, "other")
    # Between the commit of the request and its task.
    async with cells.writing(world.compute, server_id) as (_cell, tx):
        server = await servers.find(tx, server_id)
        entry = ServerVolume(id=volume_id, owner_id=world.project_id, bdm_id=NOWHERE, device="vdb", bus="virtio")
        task = ATTACH_VOLUME.new_task(server_id, VolumeArgs(volume_id=volume_id))
        await servers.begin(tx, server, OPERATIONS["attach_volume"], task, world.clock.now())
        await servers.change(tx, server_id, world.clock.now(), volumes=as_kept([entry]))
    offered = (await client.post("/v3/os-volume-transfer", json={"transfer": {"volume_id": volume_id}})).json()
    accept = {"accept": {"auth_key": offered["transfer"]["auth_key"]}}
    accepted = await other.post(f"/v3/os-volume-transfer/{offered['transfer']['id']}/accept", json=accept)
    assert accepted.status_code == 202, accepted.text
    await world.run()
    (failed, *_) = await world.tasks_of(server_id)
    assert (failed.outcome, volume_id in failed.error) == ("failed", True)
    assert (await other.get(f"/v3/volumes/{volume_id}")).json()["volume"]["status"] == "available"
    assert (await world.server(server_id)).volumes == []
    await other.aclose()
