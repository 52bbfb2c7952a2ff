"""/snapshots, and the actions of volumes that are about size, content and status."""

from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE


async def test_a_snapshot_is_made_shown_listed_changed_and_deleted(world: World) -> None:
    volume = await world.make(size=2)
    snapshot = await world.make_snapshot(volume["id"], name="before", metadata={"a": "1"}, force=True)
    assert (snapshot["status"], snapshot["size"], snapshot["metadata"]) == ("available", 2, {"a": "1"})
    assert snapshot["os-extended-snapshot-attributes:progress"] == "100%"
    url = f"/v3/snapshots/{snapshot['id']}"
    changed = body_of(await world.client.put(url, json={"snapshot": {"name": "after", "metadata": {}}}))["snapshot"]
    assert (changed["name"], changed["metadata"]) == ("after", {})
    assert (await world.client.put(url, json={"snapshot": {}})).status_code == 400
    assert (await world.other.get(url)).status_code == 404
    assert (await world.other.delete(url)).status_code == 404
    assert (await world.reader.delete(url)).status_code == 403
    body_of(await world.client.delete(url), 202)
    again = await world.client.delete(url)
    assert again.status_code == 400 and "is deleting" in again.text
    await world.run()
    assert (await world.client.get(url)).status_code == 404
    assert world.backend.volumes[volume["id"]].snapshots == {}


async def test_lists_of_snapshots_are_filtered_sorted_and_paged(world: World) -> None:
    first, second = await world.make(), await world.make()
    for name, volume in (("a", first), ("b", second)):
        world.clock.advance(1)
        await world.make_snapshot(volume["id"], name=name, metadata={"rack": name})

    async def names(query: str, by: Any = None) -> list[str]:
        listed = body_of(await (by or world.client).get(f"/v3/snapshots/detail?{query}"))["snapshots"]
        return [each["name"] for each in listed]

    assert await names("") == ["b", "a"]
    assert await names("sort=name:asc") == ["a", "b"]
    assert await names(f"volume_id={first['id']}") == ["a"]
    assert await names("metadata={'rack':'b'}") == ["b"]
    assert await names("status=error") == []
    assert await names("", world.other) == []
    assert await names("all_tenants=1", world.admin) == ["b", "a"]
    page = body_of(await world.client.get("/v3/snapshots?limit=1&with_count=true"))
    assert page["count"] == 2 and page["snapshots_links"][0]["rel"] == "next"
    assert (await world.client.get("/v3/snapshots?sort=colour")).status_code == 400


async def test_metadata_of_snapshots_are_read_and_written_by_key(world: World) -> None:
    volume = await world.make()
    snapshot = await world.make_snapshot(volume["id"])
    url = f"/v3/snapshots/{snapshot['id']}/metadata"
    assert body_of(await world.client.post(url, json={"metadata": {"a": "1"}}))["metadata"] == {"a": "1"}
    assert body_of(await world.client.put(url, json={"metadata": {"b": "2"}}))["metadata"] == {"b": "2"}
    assert body_of(await world.client.put(f"{url}/b", json={"meta": {"b": "3"}}))["meta"] == {"b": "3"}
    assert body_of(await world.client.get(f"{url}/b"))["meta"] == {"b": "3"}
    assert body_of(await world.client.get(url))["metadata"] == {"b": "3"}
    assert (await world.client.get(f"{url}/c")).status_code == 404
    body_of(await world.client.delete(f"{url}/b"))
    assert (await world.client.delete(f"{url}/b")).status_code == 404


async def test_of_which_volume_no_snapshot_is_made(world: World) -> None:
    async def refused(volume_id: str, status: int, by: Any = None) -> str:
        body = {"snapshot": {"volume_id": volume_id}}
        response = await (by or world.client).post("/v3/snapshots", json=body)
        assert response.status_code == status, response.text
        return response.text

    volume = await world.make()
    await refused(NOWHERE, 404)
    await refused(volume["id"], 404, world.other)
    await refused(volume["id"], 403, world.reader)
    body_of(await world.act(volume["id"], "os-attach", {"instance_uuid": NOWHERE, "mountpoint": "/dev/vdb"}), 202)
    assert "is in use" in await refused(volume["id"], 400)
    body_of(await world.act(volume["id"], "os-detach", {}), 202)
    body_of(await world.client.delete(f"/v3/volumes/{volume['id']}"), 202)
    assert "is deleting" in await refused(volume["id"], 400)


async def test_a_volume_goes_back_to_its_latest_snapshot_alone(world: World) -> None:
    volume, other = await world.make(), await world.make()
    first = await world.make_snapshot(volume["id"])
    world.clock.advance(1)
    second = await world.make_snapshot(volume["id"])
    strange = await world.make_snapshot(other["id"])

    async def refused(snapshot_id: str, status: int, words: str) -> None:
        response = await world.act(volume["id"], "revert", {"snapshot_id": snapshot_id})
        assert response.status_code == status and words in response.text

    await refused(first["id"], 400, f"which is {second['id']}")
    await refused(strange["id"], 400, "is none of volume")
    await refused(NOWHERE, 404, "could not be found")
    world.backend.volumes[volume["id"]].content = "spoilt"
    body_of(await world.act(volume["id"], "revert", {"snapshot_id": second["id"]}), 202)
    assert (await world.shown(volume["id"]))["status"] == "reverting"
    await refused(second["id"], 400, "is restoring")
    await world.run()
    assert (await world.shown(volume["id"]))["status"] == "available"
    assert world.backend.volumes[volume["id"]].content == ""
    body_of(await world.act(volume["id"], "os-extend", {"new_size": 2}), 202)
    await world.run()
    await refused(second["id"], 400, "make a volume of the snapshot")
    older = {"openstack-api-version": "volume 3.39"}
    body = {"revert": {"snapshot_id": second["id"]}}
    answer = await world.client.post(f"/v3/volumes/{volume['id']}/action", json=body, headers=older)
    assert answer.status_code == 404


async def test_a_revert_that_fails_tells_why_and_leaves_the_snapshot(world: World) -> None:
    volume = await world.make()
    snapshot = await world.make_snapshot(volume["id"])
    body_of(await world.act(volume["id"], "revert", {"snapshot_id": snapshot["id"]}), 202)
    world.backend.failures = ["the disk is on fire"]
    await world.run()
    assert (await world.shown(volume["id"]))["status"] == "error"
    assert body_of(await world.client.get(f"/v3/snapshots/{snapshot['id']}"))["snapshot"]["status"] == "available"
    assert await world.messages() == ["the disk is on fire"]


async def test_a_volume_grows_and_never_shrinks(world: World) -> None:
    volume = await world.make(size=2)
    for new_size, words in ((2, "more than 2"), (1, "more than 2"), ("x", "whole number"), (0, "new_size")):
        response = await world.act(volume["id"], "os-extend", {"new_size": new_size})
        assert response.status_code == 400 and words in response.text
    body_of(await world.act(volume["id"], "os-extend", {"new_size": "5"}), 202)
    assert (await world.shown(volume["id"]))["status"] == "extending"
    await world.run()
    shown = await world.shown(volume["id"])
    assert (shown["size"], shown["status"], world.backend.volumes[volume["id"]].size_gib) == (5, "available", 5)


async def test_a_growth_that_fails_gives_its_quota_back(world: World) -> None:
    volume = await world.make(size=2)
    body_of(await world.act(volume["id"], "os-extend", {"new_size": 5}), 202)
    limits = body_of(await world.client.get("/v3/limits"))["limits"]["absolute"]
    assert limits["totalGigabytesUsed"] == 5
    world.backend.failures = ["the disk is on fire"]
    await world.run()
    limits = body_of(await world.client.get("/v3/limits"))["limits"]["absolute"]
    assert limits["totalGigabytesUsed"] == 2
    assert (await world.shown(volume["id"]))["status"] == "error_extending"
    assert await world.messages() == ["the disk is on fire"]


async def test_flags_and_image_metadata_are_set(world: World) -> None:
    volume_id = (await world.make())["id"]
    body_of(await world.act(volume_id, "os-set_bootable", {"bootable": "true"}))
    body_of(await world.act(volume_id, "os-update_readonly_flag", {"readonly": True}), 202)
    shown = await world.shown(volume_id)
    assert (shown["bootable"], shown["metadata"]) == ("true", {"readonly": "True"})
    for action, body in (("os-set_bootable", {"bootable": "maybe"}), ("os-update_readonly_flag", {"readonly": "x"})):
        assert (await world.act(volume_id, action, body)).status_code == 400
    assert body_of(await world.act(volume_id, "os-set_image_metadata", {"metadata": {"a": "1"}})) == {
        "metadata": {"a": "1"}
    }
    assert body_of(await world.act(volume_id, "os-show_image_metadata")) == {"metadata": {"a": "1"}}
    many = {"metadata": {str(n): "v" for n in range(128)}}
    assert (await world.act(volume_id, "os-set_image_metadata", many)).status_code == 400
    body_of(await world.act(volume_id, "os-unset_image_metadata", {"key": "a"}))
    assert (await world.act(volume_id, "os-unset_image_metadata", {"key": "a"})).status_code == 404
    assert "volume_image_metadata" not in await world.shown(volume_id)
    body_of(await world.act(volume_id, "os-reserve"), 202)
    assert (await world.act(volume_id, "os-update_readonly_flag", {"readonly": False})).status_code == 400


async def test_an_administrator_resets_what_no_operation_owns(world: World) -> None:
    volume = await world.make()
    snapshot = await world.make_snapshot(volume["id"])
    assert (await world.act(volume["id"], "os-reset_status", {"status": "error"})).status_code == 403
    body_of(await world.act(volume["id"], "os-reset_status", {"status": "error"}, by=world.admin), 202)
    assert (await world.shown(volume["id"]))["status"] == "error"
    for body in (
        {"status": "golden"},
        {},
        {"attach_status": "loose"},
        {"attach_status": "attached"},
        {"migration_status": "migrating"},
        {"status": "error", "colour": "red"},
        {"status": "error", "migration_status": "migrating"},
    ):
        assert (await world.act(volume["id"], "os-reset_status", body, by=world.admin)).status_code == 400
    assert (await world.shown(volume["id"]))["status"] == "error"
    new = body_of(await world.client.post("/v3/volumes", json={"volume": {"size": 1}}), 202)["volume"]
    busy = await world.act(new["id"], "os-reset_status", {"status": "available"}, by=world.admin)
    assert busy.status_code == 409 and "create_volume" in busy.text
    url = f"/v3/snapshots/{snapshot['id']}/action"
    body_of(await world.admin.post(url, json={"os-reset_status": {"status": "error"}}), 202)
    assert (await world.client.post(url, json={"os-reset_status": {"status": "error"}})).status_code == 403
    for wrong in ({"status": "golden"}, {}):
        assert (await world.admin.post(url, json={"os-reset_status": wrong})).status_code == 400
    assert (await world.client.post(url, json={"os-force_delete": {}})).status_code == 403
    body_of(await world.admin.post(url, json={"os-force_delete": {}}), 202)
    await world.run()
    assert (await world.client.get(f"/v3/snapshots/{snapshot['id']}")).status_code == 404


@pytest.mark.parametrize("action", ["os-migrate_volume", "os-golden"])
async def test_an_action_that_is_not_there_is_refused_after_the_volume_was_looked_for(
    world: World, action: str
) -> None:
    volume = await world.make()
    assert (await world.act(volume["id"], action, {})).status_code == 400
    assert (await world.act(NOWHERE, action, {})).status_code == 404


async def test_a_volume_gets_another_type_where_its_back_end_has_what_that_asks_for(world: World) -> None:
    volume = await world.make()
    types = {}
    for name, specs in (("fake", {"volume_backend_name": "fake"}), ("gold", {"volume_backend_name": "gold"})):
        body = {"volume_type": {"name": name, "extra_specs": specs}}
        types[name] = body_of(await world.admin.post("/v3/types", json=body))["volume_type"]["id"]
    body_of(await world.act(volume["id"], "os-retype", {"new_type": "fake", "migration_policy": "never"}), 202)
    assert (await world.shown(volume["id"]))["volume_type"] == "fake"
    for new_type, status in (("fake", 400), ("gold", 400), (NOWHERE, 404)):
        assert (await world.act(volume["id"], "os-retype", {"new_type": new_type})).status_code == status


@pytest.mark.parametrize("status", ["creating", "deleting", "extending", "reverting"])
async def test_nobody_writes_a_status_that_a_task_has_to_own(world: World, status: str) -> None:
    volume = await world.make()
    snapshot = await world.make_snapshot(volume["id"])
    refusal = await world.act(volume["id"], "os-reset_status", {"status": status}, by=world.admin)
    assert refusal.status_code == 400 and "only while an operation is at work" in refusal.text
    url = f"/v3/snapshots/{snapshot['id']}/action"
    refusal = await world.admin.post(url, json={"os-reset_status": {"status": status}})
    assert refusal.status_code == 400 and "only while an operation is at work" in refusal.text
    assert (await world.shown(volume["id"]))["status"] == "available"


async def test_a_status_does_not_contradict_the_attachments(world: World) -> None:
    volume = await world.make()

    async def reset(expected: int, **body: str) -> str:
        response = await world.act(volume["id"], "os-reset_status", body, by=world.admin)
        assert response.status_code == expected, response.text
        return str(response.text)

    for each in ("in-use", "detaching", "reserved"):
        assert "has no attachments" in await reset(400, status=each)
    await reset(202, status="attaching")
    body_of(await world.act(volume["id"], "os-unreserve"), 202)
    assert (await world.shown(volume["id"]))["status"] == "available"
    body_of(await world.act(volume["id"], "os-attach", {"host_name": "node1", "mountpoint": "/mnt"}), 202)
    assert "has 1 attachments" in await reset(400, status="available")
    await reset(202, status="error")
    await reset(202, status="in-use")
    await reset(202, status="available", attach_status="detached")
    assert (await world.shown(volume["id"]))["attachments"] == []
