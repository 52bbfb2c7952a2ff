"""Attachments, and the older actions: who holds a volume, and the status that follows from it."""

from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE

SERVER, ANOTHER = "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11", "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f12"
CONNECTOR = {"host": "node1", "mountpoint": "/dev/vdb", "initiator": "iqn.x"}


async def reserve(world: World, volume_id: str, status: int = 200, by: Any = None, **fields: Any) -> Any:
    body = {"attachment": {"volume_uuid": volume_id, "instance_uuid": SERVER, **fields}}
    return body_of(await (by or world.client).post("/v3/attachments", json=body), status)


async def status_of(world: World, volume_id: str) -> str:
    status: str = (await world.shown(volume_id))["status"]
    return status


async def test_an_attachment_is_reserved_connected_completed_and_removed(world: World) -> None:
    volume_id = (await world.make())["id"]
    made = (await reserve(world, volume_id))["attachment"]
    assert (made["status"], made["instance"], made["connection_info"]) == ("reserved", SERVER, {})
    assert await status_of(world, volume_id) == "reserved"
    url = f"/v3/attachments/{made['id']}"
    early = await world.client.post(f"{url}/action", json={"os-complete": {}})
    assert early.status_code == 400 and "has to be attaching" in early.text
    connected = body_of(await world.client.put(url, json={"attachment": {"connector": CONNECTOR}}))["attachment"]
    assert connected["status"] == "attaching" and await status_of(world, volume_id) == "attaching"
    info = connected["connection_info"]
    assert (info["driver_volume_type"], info["path"]) == ("file", f"/fake/volume-{volume_id}")
    assert (info["access_mode"], info["attachment_id"]) == ("rw", made["id"])
    for _ in range(2):
        body_of(await world.client.post(f"{url}/action", json={"os-complete": {}}), 204)
    late = await world.client.put(url, json={"attachment": {"connector": CONNECTOR}})
    assert late.status_code == 400 and "is complete" in late.text
    shown = await world.shown(volume_id)
    assert (shown["status"], len(shown["attachments"])) == ("in-use", 1)
    assert shown["attachments"][0]["device"] == "/dev/vdb" and shown["attachments"][0]["server_id"] == SERVER
    refusal = await world.client.delete(f"/v3/volumes/{volume_id}")
    assert refusal.status_code == 400 and "has 1 attachments" in refusal.text
    assert body_of(await world.client.delete(url)) == {"attachments": []}
    assert await status_of(world, volume_id) == "available"
    assert (await world.client.delete(url)).status_code == 404


async def test_one_server_at_a_time_unless_the_type_lets_several_share(world: World) -> None:
    specs = {"multiattach": "<is> True"}
    body_of(await world.admin.post("/v3/types", json={"volume_type": {"name": "shared", "extra_specs": specs}}))
    alone = (await world.make())["id"]
    await reserve(world, alone)
    assert "has to be one of available" in str(await reserve(world, alone, 400, instance_uuid=ANOTHER))
    made = await world.make(volume_type="shared")
    assert (made["status"], made["multiattach"]) == ("error", True)
    assert "CapabilitiesFilter leaves 0" in (await world.messages())[0]


async def test_what_is_not_the_callers_cannot_be_attached(world: World) -> None:
    volume_id = (await world.make())["id"]
    await reserve(world, volume_id, 404, world.other)
    await reserve(world, volume_id, 403, world.reader)
    await reserve(world, NOWHERE, 404)
    made = (await reserve(world, volume_id))["attachment"]
    url = f"/v3/attachments/{made['id']}"
    for answer in (
        await world.other.get(url),
        await world.other.put(url, json={"attachment": {"connector": CONNECTOR}}),
        await world.other.delete(url),
        await world.other.post(f"{url}/action", json={"os-complete": {}}),
    ):
        assert answer.status_code == 404
    assert body_of(await world.other.get("/v3/attachments"))["attachments"] == []
    (listed,) = body_of(await world.client.get("/v3/attachments/detail"))["attachments"]
    assert (listed["id"], listed["attach_mode"]) == (made["id"], "rw")
    assert body_of(await world.client.get(f"/v3/attachments?volume_id={NOWHERE}"))["attachments"] == []
    older = {"openstack-api-version": "volume 3.26"}
    assert (await world.client.get("/v3/attachments", headers=older)).status_code == 404


async def test_a_connector_without_anything_is_none(world: World) -> None:
    made = (await reserve(world, (await world.make())["id"], connector={}))["attachment"]
    assert (made["status"], made["connection_info"]) == ("reserved", {})


async def test_what_cannot_be_connected_is_not_taken(world: World) -> None:
    volume_id = (await world.make())["id"]
    del world.backend.volumes[volume_id]
    assert "There is no volume" in str(await reserve(world, volume_id, 400, connector=CONNECTOR))
    assert await status_of(world, volume_id) == "available"
    world.silence()
    assert "does not answer" in str(await reserve(world, volume_id, 503, connector=CONNECTOR))
    assert await status_of(world, volume_id) == "available"


async def test_the_mode_is_the_volumes_where_that_is_for_reading_alone(world: World) -> None:
    volume_id = (await world.make())["id"]
    body_of(await world.act(volume_id, "os-update_readonly_flag", {"readonly": True}), 202)
    made = (await reserve(world, volume_id, connector=CONNECTOR))["attachment"]
    assert (made["attach_mode"], made["connection_info"]["access_mode"]) == ("ro", "ro")
    assert "mode" in str(await reserve(world, volume_id, 400, mode="rx"))


async def test_the_older_actions_go_from_free_to_used_and_back(world: World) -> None:
    volume_id = (await world.make())["id"]

    async def act(action: str, body: Any = None, status: int = 202) -> Any:
        return body_of(await world.act(volume_id, action, body), status)

    assert "reserve it" in str(await act("os-initialize_connection", {"connector": CONNECTOR}, 400))
    await act("os-reserve")
    assert await status_of(world, volume_id) == "attaching"
    assert "has to be one of" in str(await act("os-reserve", status=400))
    await act("os-unreserve")
    assert await status_of(world, volume_id) == "available"
    await act("os-unreserve")
    await act("os-reserve")
    info = (await act("os-initialize_connection", {"connector": CONNECTOR}, 200))["connection_info"]
    assert (info["driver_volume_type"], info["data"]["access_mode"]) == ("file", "rw")
    await act("os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"})
    assert await status_of(world, volume_id) == "in-use"
    await act("os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}, 400)
    await act("os-begin_detaching")
    assert await status_of(world, volume_id) == "detaching"
    await act("os-begin_detaching", status=400)
    await act("os-roll_detaching")
    assert await status_of(world, volume_id) == "in-use"
    await act("os-begin_detaching")
    await act("os-terminate_connection", {"connector": CONNECTOR})
    await act("os-detach", {"attachment_id": NOWHERE}, 404)
    await act("os-detach", {})
    assert await status_of(world, volume_id) == "available"
    await act("os-detach", {})


@pytest.mark.parametrize(
    "body",
    [{"mountpoint": "/dev/vdb"}, {"mountpoint": "/dev/vdb", "instance_uuid": SERVER, "host_name": "node1"},
     {"instance_uuid": SERVER}, {"mountpoint": "/dev/vdb", "instance_uuid": "x"}],
)  # fmt: skip
async def test_an_attach_names_one_holder(world: World, body: dict[str, Any]) -> None:
    volume_id = (await world.make())["id"]
    assert (await world.act(volume_id, "os-attach", body)).status_code == 400
    assert await status_of(world, volume_id) == "available"


async def test_an_administrator_takes_a_volume_back_by_force(world: World) -> None:
    volume_id = (await world.make())["id"]
    body_of(await world.act(volume_id, "os-attach", {"host_name": "node1", "mountpoint": "/mnt"}), 202)
    assert (await world.act(volume_id, "os-force_detach", {})).status_code == 403
    body_of(await world.act(volume_id, "os-force_detach", {}, by=world.admin), 202)
    assert await status_of(world, volume_id) == "available"


async def test_an_administrator_says_that_nobody_has_a_volume(world: World) -> None:
    volume_id = (await world.make())["id"]
    body_of(await world.act(volume_id, "os-attach", {"host_name": "node1", "mountpoint": "/mnt"}), 202)
    body_of(await world.act(volume_id, "os-reset_status", {"attach_status": "detached"}, by=world.admin), 202)
    assert await status_of(world, volume_id) == "available"
    assert (await world.shown(volume_id))["attachments"] == []


async def test_an_error_stays_whoever_lets_go_of_the_volume(world: World) -> None:
    volume_id = (await world.make())["id"]
    made = (await reserve(world, volume_id))["attachment"]
    body_of(await world.act(volume_id, "os-reset_status", {"status": "error"}, by=world.admin), 202)
    body_of(await world.client.delete(f"/v3/attachments/{made['id']}"))
    assert await status_of(world, volume_id) == "error"


async def test_a_volume_in_error_is_free_again_when_it_is_detached_by_force(world: World) -> None:
    volume_id = (await world.make())["id"]
    attach = {"instance_uuid": NOWHERE, "mountpoint": "/dev/vdb"}
    body_of(await world.act(volume_id, "os-attach", attach), 202)
    body_of(await world.act(volume_id, "os-reset_status", {"status": "error"}, by=world.admin), 202)
    body_of(await world.act(volume_id, "os-force_detach", {}, by=world.admin), 202)
    assert (await world.shown(volume_id))["status"] == "available"
