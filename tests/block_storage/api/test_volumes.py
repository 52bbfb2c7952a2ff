"""/volumes: making them of each source, showing, listing, changing and deleting them."""

import hashlib
import json
from typing import Any

import pytest

from tests.block_storage.conftest import World
from tests.conftest import body_of
from tests.references import NOWHERE


async def refused(world: World, status: int, words: str, **fields: Any) -> None:
    response = await world.client.post("/v3/volumes", json={"volume": {"size": 1, **fields}})
    assert response.status_code == status, response.text
    assert words in response.text


async def make_image(world: World, content: bytes = b"x" * 512, **fields: Any) -> str:
    told = {"name": "tiny", "disk_format": "raw", "container_format": "bare", **fields}
    image_id: str = body_of(await world.image.post("/v2/images", json=told), 201)["id"]
    headers = {"content-type": "application/octet-stream"}
    body_of(await world.image.put(f"/v2/images/{image_id}/file", content=content, headers=headers), 204)
    return image_id


async def test_an_empty_volume_is_made_on_a_back_end(world: World) -> None:
    response = await world.client.post(
        "/v3/volumes", json={"volume": {"size": 2, "name": "data", "description": "d", "metadata": {"a": "b"}}}
    )
    new = body_of(response, 202)["volume"]
    assert (new["status"], new["size"], new["name"], new["attachments"]) == ("creating", 2, "data", [])
    await world.run()
    made = await world.shown(new["id"])
    assert (made["status"], made["bootable"], made["metadata"]) == ("available", "false", {"a": "b"})
    assert made["os-vol-host-attr:host"] == "node1@fake#fake"
    assert made["volume_type"] == "__DEFAULT__"
    assert made["links"][0]["href"].endswith(f"/v3/{world.project_id}/volumes/{new['id']}")
    assert list(world.backend.volumes) == [new["id"]]
    mine = body_of(await world.client.get(f"/v3/volumes/{new['id']}"))["volume"]
    assert "os-vol-host-attr:host" not in mine


async def test_old_names_of_fields_and_sizes_in_text_are_taken(world: World) -> None:
    made = await world.make(size="3", display_name="old", display_description="fashioned")
    assert (made["size"], made["name"], made["description"]) == (3, "old", "fashioned")


async def test_a_volume_is_made_of_an_image_and_tells_of_it(world: World) -> None:
    image_id = await make_image(world, hw_disk_bus="scsi")
    made = await world.make(imageRef=image_id)
    assert (made["status"], made["bootable"]) == ("available", "true")
    told = made["volume_image_metadata"]
    assert (told["image_id"], told["image_name"], told["hw_disk_bus"]) == (image_id, "tiny", "scsi")
    assert told["checksum"] == hashlib.md5(b"x" * 512, usedforsecurity=False).hexdigest()
    assert world.backend.volumes[made["id"]].content == f"image {image_id}"


async def test_an_image_that_cannot_be_used_is_named(world: World) -> None:
    await refused(world, 400, f"Image {NOWHERE} cannot be used", imageRef=NOWHERE)
    large = await make_image(world, min_disk=5)
    await refused(world, 400, "less than the 5 GiB", imageRef=large)
    queued = body_of(await world.image.post("/v2/images", json={"name": "q"}), 201)["id"]
    await refused(world, 400, "is queued", imageRef=queued)
    assert world.backend.volumes == {}


async def test_a_volume_is_made_of_another_one_and_of_a_snapshot(world: World) -> None:
    first = await world.make(size=2)
    world.backend.volumes[first["id"]].content = "letters"
    snapshot = await world.make_snapshot(first["id"])
    world.backend.volumes[first["id"]].content = "more letters"
    copy = await world.make(source_volid=first["id"], size=None)
    restored = await world.make(snapshot_id=snapshot["id"], size=3)
    assert [world.backend.volumes[each["id"]].content for each in (copy, restored)] == ["more letters", "letters"]
    assert (copy["size"], copy["source_volid"]) == (2, first["id"])
    assert (restored["size"], restored["snapshot_id"]) == (3, snapshot["id"])
    await refused(world, 400, "less than the 2 GiB", source_volid=first["id"])
    await refused(world, 400, "one source", source_volid=first["id"], snapshot_id=snapshot["id"])


async def test_a_source_that_is_not_the_callers_is_none(world: World) -> None:
    theirs = await world.make(world.other)
    await refused(world, 404, theirs["id"], source_volid=theirs["id"])
    await refused(world, 404, NOWHERE, source_volid=NOWHERE)
    await refused(world, 404, NOWHERE, snapshot_id=NOWHERE)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"size": 0}, 400, "size"),
        ({"size": "many"}, 400, "size must be a whole number"),
        ({"size": None}, 400, "size is required"),
        ({"size": 1 << 40}, 400, "size"),
        ({"name": "x" * 256}, 400, "name"),
        ({"metadata": {"k": "v" * 256}}, 400, "metadata"),
        ({"metadata": {str(n): "v" for n in range(129)}}, 400, "metadata"),
        ({"volume_type": "golden"}, 404, "golden"),
        ({"availability_zone": "moon"}, 400, "moon"),
        ({"backup_id": NOWHERE}, 404, "Backup"),
        ({"group_id": NOWHERE}, 400, "groups"),
        ({"source_replica": NOWHERE}, 400, "replicated"),
        ({"multiattach": True}, 400, "type"),
        ({"multiattach": "maybe"}, 400, "multiattach"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_and_leaves_nothing(
    world: World, fields: dict[str, Any], status: int, words: str
) -> None:
    await refused(world, status, words, **fields)
    assert body_of(await world.client.get("/v3/volumes"))["volumes"] == []


async def test_hints_keep_volumes_together_and_apart(bare: World) -> None:
    for name in ("node1@fake", "node2@fake"):
        await bare.add_backend(name)
    first = await bare.make()

    async def placed(hint: str) -> Any:
        body = {"volume": {"size": 1}, "OS-SCH-HNT:scheduler_hints": {hint: [first["id"]]}}
        made = body_of(await bare.client.post("/v3/volumes", json=body), 202)["volume"]["id"]
        await bare.run()
        return (await bare.shown(made))["os-vol-host-attr:host"]

    assert await placed("same_host") == first["os-vol-host-attr:host"]
    assert await placed("different_host") != first["os-vol-host-attr:host"]
    theirs = await bare.make(bare.other)
    body = {"volume": {"size": 1}, "scheduler_hints": {"same_host": theirs["id"]}}
    made = body_of(await bare.client.post("/v3/volumes", json=body), 202)["volume"]["id"]
    await bare.run()
    assert (await bare.shown(made))["status"] == "error"
    for hints in ({"query": "x"}, {"same_host": ["no id"]}, {"same_host": [NOWHERE] * 65}):
        response = await bare.client.post("/v3/volumes", json={"volume": {"size": 1}, "scheduler_hints": hints})
        assert response.status_code == 400, response.text


async def test_a_volume_without_a_place_is_an_error_with_its_reason(bare: World) -> None:
    made = await bare.make()
    assert made["status"] == "error"
    (message,) = body_of(await bare.client.get("/v3/messages"))["messages"]
    assert message["user_message"].startswith("No back end can take the volume: 0 pools")
    assert (message["event_id"], message["resource_uuid"]) == ("VOLUME_VOLUME_001_003", made["id"])
    assert body_of(await bare.client.get(f"/v3/messages/{message['id']}"))["message"] == message
    assert (await bare.other.get(f"/v3/messages/{message['id']}")).status_code == 404
    assert (await bare.reader.delete(f"/v3/messages/{message['id']}")).status_code == 403
    body_of(await bare.client.delete(f"/v3/messages/{message['id']}"), 204)
    assert (await bare.client.get(f"/v3/messages/{message['id']}")).status_code == 404
    body_of(await bare.client.delete(f"/v3/volumes/{made['id']}"), 202)
    await bare.run()
    assert await bare.shown(made["id"]) == {}


async def test_a_back_end_that_fails_is_left_for_another_one(bare: World) -> None:
    first, second = await bare.add_backend("node1@fake"), await bare.add_backend("node2@fake")
    first.failures = second.failures = ["the disk is on fire"]
    made = await bare.make()
    assert made["status"] == "available"
    assert sorted([len(first.volumes), len(second.volumes)]) == [0, 1]


async def test_a_back_end_that_always_fails_leaves_an_error_and_nothing_else(world: World) -> None:
    world.backend.failures = ["the disk is on fire"]
    made = await world.make()
    assert (made["status"], made["os-vol-host-attr:host"]) == ("error", None)
    assert await world.messages() == ["the disk is on fire"]
    assert world.backend.volumes == {}


async def test_lists_are_filtered_sorted_and_paged(world: World) -> None:
    for name, size in (("a", 1), ("b", 3), ("c", 2)):
        await world.make(name=name, size=size, metadata={"rack": name})
    await world.make(world.other, name="theirs")

    async def names(query: str, by: Any = None) -> list[str]:
        listed = body_of(await (by or world.client).get(f"/v3/volumes/detail?{query}"))["volumes"]
        return [each["name"] for each in listed]

    assert await names("") == ["c", "b", "a"]
    assert await names("sort=size:asc") == ["a", "c", "b"]
    assert await names("sort_key=name&sort_dir=asc") == ["a", "b", "c"]
    assert await names("name=b") == ["b"]
    assert await names("name~=B") == ["b"]
    assert await names("status=error") == []
    assert await names("bootable=true") == []
    assert await names("metadata={'rack': 'a'}") == ["a"]
    assert await names('metadata={"rack": "z"}') == []
    assert await names("limit=0") == []
    assert await names("all_tenants=1") == ["c", "b", "a"]
    assert sorted(await names("all_tenants=1", world.admin)) == ["a", "b", "c", "theirs"]
    assert await names(f"all_tenants=1&project_id={world.project_id}&name=a", world.admin) == ["a"]
    assert await names("", world.admin) == []
    first = body_of(await world.client.get("/v3/volumes?limit=2&with_count=true"))
    assert [each["name"] for each in first["volumes"]] == ["c", "b"] and first["count"] == 3
    assert list(first["volumes"][0]) == ["id", "name", "links"]
    (link,) = first["volumes_links"]
    following = body_of(await world.client.get(link["href"].partition("local")[2] or link["href"]))
    assert [each["name"] for each in following["volumes"]] == ["a"] and "volumes_links" not in following


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "sort=colour", "sort=name:up", "sort=name&sort_key=name",
     "metadata=x", "bootable=maybe", "all_tenants=maybe", "with_count=maybe", "created_at=yesterday", "size=x"],
)  # fmt: skip
async def test_lists_refuse_what_they_cannot_read(world: World, query: str) -> None:
    response = await world.client.get(f"/v3/volumes?{query}")
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("plural", ["volumes", "volumes/detail", "snapshots", "attachments", "messages"])
async def test_a_list_that_has_no_such_marker_says_so(world: World, plural: str) -> None:
    response = await world.client.get(f"/v3/{plural}?marker={NOWHERE}")
    assert response.status_code == 404, response.text
    assert NOWHERE in response.text


def speaking(version: str) -> dict[str, str]:
    return {"openstack-api-version": f"volume {version}"}


@pytest.mark.parametrize(
    ("path", "query", "since"),
    [
        ("volumes", f"group_id={NOWHERE}", "3.10"),
        ("volumes", "name~=nothing", "3.34"),
        ("volumes", "status~=nothing", "3.34"),
        ("volumes", "availability_zone~=nothing", "3.34"),
        ("volumes", "created_at=lt:2000-01-01", "3.60"),
        ("volumes", "updated_at=lt:2000-01-01", "3.60"),
        ("volumes", "consumes_quota=false", "3.65"),
        ("snapshots", "metadata={'a': 'b'}", "3.22"),
        ("snapshots", "name~=nothing", "3.34"),
        ("snapshots", "status~=nothing", "3.34"),
        ("snapshots", "created_at=lt:2000-01-01", "3.60"),
        ("snapshots", "updated_at=lt:2000-01-01", "3.60"),
        ("snapshots", "consumes_quota=false", "3.65"),
        ("types", "extra_specs={'multiattach': '<is> True'}", "3.52"),
    ],
)
async def test_a_filter_belongs_to_the_versions_that_have_it(world: World, path: str, query: str, since: str) -> None:
    made = await world.make(name="a")
    await world.make_snapshot(made["id"])

    async def listed(version: str) -> Any:
        return await world.client.get(f"/v3/{path}?{query}", headers=speaking(version))

    before = f"3.{int(since[2:]) - 1}"
    assert next(iter(body_of(await listed(since)).values())) == []
    assert next(iter(body_of(await listed("3.0")).values()))
    older = await listed(before)
    if int(since[2:]) <= 31:
        assert next(iter(body_of(older).values()))
    else:
        assert older.status_code == 400 and "Invalid filters" in older.text


async def test_volumes_are_found_by_the_metadata_of_their_image(world: World) -> None:
    odd = {"a": "1", "quo'ted": 'x"y', "$.path[0]": "%"}
    first, second = await world.make(), await world.make()
    for volume, items in ((first, odd), (second, {"a": "1"})):
        body_of(await world.act(volume["id"], "os-set_image_metadata", {"metadata": items}))

    async def found(version: str = "3.71", **items: str) -> set[str]:
        answer = await world.client.get(
            "/v3/volumes", params={"glance_metadata": json.dumps(items)}, headers=speaking(version)
        )
        return {each["id"] for each in body_of(answer)["volumes"]}

    both = {first["id"], second["id"]}
    assert await found(a="1") == both
    assert await found(**odd) == {first["id"]}
    for key, value in odd.items():
        assert first["id"] in await found(**{key: value})
        assert await found(**{key: "other"}) == set()
    assert await found(b="1") == set()
    assert await found("3.3", b="1") == both
    assert (await world.client.get("/v3/volumes?glance_metadata=x")).status_code == 400
    counted = await world.client.get("/v3/volumes?with_count=1&glance_metadata={'$.path[0]': '%25'}")
    assert body_of(counted)["count"] == 1


async def test_what_is_no_filter_is_refused_from_the_version_that_says_so(world: World) -> None:
    await world.make(name="a")
    for path in ("volumes", "volumes/detail", "snapshots", "types", "attachments", "messages"):
        refusal = await world.client.get(f"/v3/{path}?colour=red", headers=speaking("3.31"))
        assert refusal.status_code == 400 and "Invalid filters colour; possible are " in refusal.text
        body_of(await world.client.get(f"/v3/{path}?colour=red", headers=speaking("3.30")))
    many = "&".join(f"{number}=x" for number in range(500))
    assert len((await world.client.get(f"/v3/volumes?{many}")).text) < 2000


async def test_volumes_have_no_groups_and_do_not_migrate(world: World) -> None:
    await world.make()
    for query in (f"group_id={NOWHERE}", "migration_status=success"):
        assert body_of(await world.client.get(f"/v3/volumes?{query}"))["volumes"] == []
    assert len(body_of(await world.client.get("/v3/volumes?consumes_quota=true"))["volumes"]) == 1
    assert (await world.client.get("/v3/volumes?consumes_quota=maybe")).status_code == 400


async def test_hosts_are_no_filter_of_users(world: World) -> None:
    assert (await world.client.get("/v3/volumes?host=node1@fake%23fake")).status_code == 403
    await world.make()
    listed = await world.admin.get("/v3/volumes?all_tenants=1&host=node1@fake%23fake")
    assert len(body_of(listed)["volumes"]) == 1


async def test_names_and_metadata_are_changed(world: World) -> None:
    made = await world.make(name="a", description="d", metadata={"x": "1"})
    url = f"/v3/volumes/{made['id']}"
    changed = body_of(await world.client.put(url, json={"volume": {"name": "b"}}))["volume"]
    assert (changed["name"], changed["description"], changed["metadata"]) == ("b", "d", {"x": "1"})
    changed = body_of(await world.client.put(url, json={"volume": {"description": None, "metadata": {}}}))["volume"]
    assert (changed["name"], changed["description"], changed["metadata"]) == ("b", None, {})
    for body in ({"volume": {}}, {"volume": {"size": 2}}, {}):
        assert (await world.client.put(url, json=body)).status_code == 400
    assert (await world.other.put(url, json={"volume": {"name": "c"}})).status_code == 404
    assert (await world.reader.put(url, json={"volume": {"name": "c"}})).status_code == 403


async def test_metadata_are_read_and_written_by_key(world: World) -> None:
    made = await world.make(metadata={"a": "1"})
    url = f"/v3/volumes/{made['id']}/metadata"
    assert body_of(await world.client.post(url, json={"metadata": {"b": "2"}}))["metadata"] == {"a": "1", "b": "2"}
    assert body_of(await world.client.put(url, json={"metadata": {"c": "3"}}))["metadata"] == {"c": "3"}
    assert body_of(await world.client.put(f"{url}/c", json={"meta": {"c": "4"}}))["meta"] == {"c": "4"}
    assert body_of(await world.client.get(f"{url}/c"))["meta"] == {"c": "4"}
    assert (await world.client.put(f"{url}/d", json={"meta": {"c": "4"}})).status_code == 400
    body_of(await world.client.delete(f"{url}/c"))
    for answer in (await world.client.get(f"{url}/c"), await world.client.delete(f"{url}/c")):
        assert answer.status_code == 404
    many = {"metadata": {str(n): "v" for n in range(128)}}
    body_of(await world.client.post(url, json=many))
    assert (await world.client.post(url, json={"metadata": {"more": "v"}})).status_code == 400
    assert (await world.other.get(url)).status_code == 404


async def test_a_volume_is_deleted_with_its_data(world: World) -> None:
    made = await world.make()
    assert (await world.other.delete(f"/v3/volumes/{made['id']}")).status_code == 404
    assert (await world.reader.delete(f"/v3/volumes/{made['id']}")).status_code == 403
    body_of(await world.client.delete(f"/v3/volumes/{made['id']}"), 202)
    assert (await world.shown(made["id"]))["status"] == "deleting"
    again = await world.client.delete(f"/v3/volumes/{made['id']}")
    assert again.status_code == 400 and "is deleting" in again.text
    await world.run()
    assert (await world.client.get(f"/v3/volumes/{made['id']}")).status_code == 404
    assert world.backend.volumes == {}


async def test_a_volume_with_snapshots_goes_with_them_or_not_at_all(world: World) -> None:
    made = await world.make()
    for _ in range(2):
        await world.make_snapshot(made["id"])
    url = f"/v3/volumes/{made['id']}"
    refusal = await world.client.delete(url)
    assert refusal.status_code == 400 and "has 2 snapshots" in refusal.text
    assert (await world.client.delete(f"{url}?cascade=maybe")).status_code == 400
    body_of(await world.client.delete(f"{url}?cascade=true"), 202)
    await world.run()
    assert body_of(await world.client.get("/v3/snapshots"))["snapshots"] == []
    assert await world.shown(made["id"]) == {} and world.backend.volumes == {}


async def test_what_is_being_copied_stays(world: World) -> None:
    made = await world.make()
    snapshot = await world.make_snapshot(made["id"])
    body_of(await world.client.post("/v3/volumes", json={"volume": {"snapshot_id": snapshot["id"]}}), 202)
    for answer in (
        await world.client.delete(f"/v3/volumes/{made['id']}?cascade=true"),
        await world.client.delete(f"/v3/snapshots/{snapshot['id']}"),
        await world.act(made["id"], "os-extend", {"new_size": 2}),
        await world.act(made["id"], "os-reserve"),
    ):
        assert answer.status_code == 400 and "is being copied to" in answer.text
    await world.run()
    body_of(await world.client.delete(f"/v3/volumes/{made['id']}?cascade=true"), 202)


async def test_a_delete_that_fails_can_be_asked_for_again(world: World) -> None:
    made = await world.make()
    world.backend.failures = ["the disk is on fire"]
    body_of(await world.client.delete(f"/v3/volumes/{made['id']}"), 202)
    await world.run()
    assert (await world.shown(made["id"]))["status"] == "error_deleting"
    assert await world.messages() == ["the disk is on fire"]
    body_of(await world.client.delete(f"/v3/volumes/{made['id']}"), 202)
    await world.run()
    assert await world.shown(made["id"]) == {}


async def test_an_agent_that_is_away_is_waited_for_and_named_in_the_end(world: World) -> None:
    made = await world.make()
    world.silence()
    body_of(await world.client.delete(f"/v3/volumes/{made['id']}"), 202)
    await world.run()
    assert (await world.shown(made["id"]))["status"] == "error_deleting"
    assert await world.messages() == ["cinder-volume on host node1@fake does not answer"]


async def test_a_forced_delete_wins_over_what_runs(world: World) -> None:
    new = body_of(await world.client.post("/v3/volumes", json={"volume": {"size": 1}}), 202)["volume"]
    assert (await world.client.delete(f"/v3/volumes/{new['id']}")).status_code == 400
    assert (await world.act(new["id"], "os-force_delete")).status_code == 403
    body_of(await world.act(new["id"], "os-force_delete", by=world.admin), 202)
    await world.run()
    assert await world.shown(new["id"]) == {} and world.backend.volumes == {}
    second = body_of(await world.client.post("/v3/volumes", json={"volume": {"size": 1}}), 202)["volume"]
    assert (await world.client.delete(f"/v3/volumes/{second['id']}?force=true")).status_code == 403
    body_of(await world.admin.delete(f"/v3/volumes/{second['id']}?force=true"), 202)


async def test_the_summary_counts_what_one_may_see(world: World) -> None:
    await world.make(size=2, metadata={"a": "1"})
    await world.make(size=3, metadata={"a": "2"})
    await world.make(world.other)
    mine = body_of(await world.client.get("/v3/volumes/summary"))["volume-summary"]
    assert mine == {"total_count": 2, "total_size": 5, "metadata": {"a": ["1", "2"]}}
    everything = body_of(await world.admin.get("/v3/volumes/summary?all_tenants=1"))["volume-summary"]
    assert everything["total_count"] == 3
    older = await world.client.get("/v3/volumes/summary", headers={"openstack-api-version": "volume 3.12"})
    assert body_of(older)["volume-summary"] == {"total_count": 2, "total_size": 5}


async def test_older_versions_show_what_they_know(world: World) -> None:
    made = await world.make()
    shown = body_of(
        await world.client.get(f"/v3/volumes/{made['id']}", headers={"openstack-api-version": "volume 3.0"})
    )["volume"]
    newer = {"group_id", "service_uuid", "shared_targets", "volume_type_id", "consumes_quota"}
    assert not newer & shown.keys() and newer <= made.keys()
    too_new = await world.client.get("/v3/volumes", headers={"openstack-api-version": "volume 3.99"})
    assert too_new.status_code == 406


async def test_paths_may_name_the_callers_project_and_no_other(world: World) -> None:
    made = await world.make()
    assert body_of(await world.client.get(f"/v3/{world.project_id}/volumes/{made['id']}"))["volume"]["id"] == made["id"]
    refusal = await world.other.get(f"/v3/{world.project_id}/volumes")
    assert refusal.status_code == 400 and "doesn't match" in refusal.text
