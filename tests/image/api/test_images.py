"""Images' records: made, seen, listed, changed, deleted; by their owners, by others, by administrators."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
FORMATS = {"disk_format": "raw", "container_format": "bare"}


async def make(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post("/v2/images", json=fields)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def patch(client: httpx.AsyncClient, url: str, *operations: dict[str, Any]) -> httpx.Response:
    return await client.patch(url, json=operations, headers=PATCH)


async def names(client: httpx.AsyncClient, query: str = "") -> list[str]:
    response = await client.get(f"/v2/images?{query}")
    assert response.status_code == 200, response.text
    return [image["name"] for image in response.json()["images"]]


async def test_the_version_documents_need_no_token(app: Any, identity: Any) -> None:
    async with await identity.client_for(app, None) as stranger:
        choices = await stranger.get("/")
        assert choices.status_code == 300
        versions = choices.json()["versions"]
        assert versions[0] == {
            "id": "v2.17",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": "http://service.local/v2/"}],
        }
        assert versions[-1]["id"] == "v2.0"
        assert (await stranger.get("/versions")).json() == choices.json()
        assert (await stranger.get("/v2/images")).status_code == 401


async def test_an_image_is_missing_created_shown_and_deleted(client: httpx.AsyncClient, identity: Any) -> None:
    missing = await client.get(f"/v2/images/{uuid4()}")
    assert missing.status_code == 404
    assert missing.headers["content-type"].startswith("text/html")
    assert "was not found" in missing.text
    created = await client.post("/v2/images", json={"name": "i", **FORMATS, "tags": ["b", "a"], "os_type": "linux"})
    image = created.json()
    url = f"/v2/images/{image['id']}"
    assert created.headers["location"] == f"http://service.local{url}"
    expected = {
        "name": "i",
        "status": "queued",
        "visibility": "shared",
        "protected": False,
        "os_hidden": False,
        "owner": await identity.project_id("demo"),
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "tags": ["a", "b"],
        "self": url,
        "file": f"{url}/file",
        "schema": "/v2/schemas/image",
        "os_type": "linux",
    }
    assert {**image, **expected} == image
    assert set(image) - set(expected) == {"id", "created_at", "updated_at"}
    assert (await client.get(url)).json() == image
    assert (await client.get(f"{url}/tasks")).json() == {"tasks": []}
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"disk_format": "floppy"}, 400, "ami, ari, aki, vhd, vhdx, vmdk, raw, qcow2, vdi, iso, ploop"),
        ({"container_format": "box"}, 400, "ami, ari, aki, bare, ovf, ova, docker, compressed"),
        ({"visibility": "secret"}, 400, "Invalid enum value"),
        ({"name": "x" * 256}, 400, "length"),
        ({"id": "not-one"}, 400, "id"),
        ({"min_disk": -1}, 400, "min_disk"),
        ({"min_ram": "much"}, 400, "min_ram"),
        ({"protected": "yes"}, 400, "protected"),
        ({"tags": "a"}, 400, "tags"),
        ({"tags": [f"t{n}" for n in range(129)]}, 413, "at most 128 tags"),
        ({"os_type": 5}, 400, "os_type"),
        ({"x" * 256: "y"}, 400, "255"),
        ({f"p{n}": "v" for n in range(129)}, 413, "at most 128 properties"),
        ({"status": "active"}, 403, "read-only"),
        ({"checksum": "0"}, 403, "read-only"),
        ({"locations": []}, 403, "reserved"),
        ({"os_glance_anything": "x"}, 403, "reserved"),
        ({"visibility": "public"}, 403, "publicize_image"),
        ({"owner": "someone-else"}, 403, "someone-else"),
        ([], 400, "Expected `object`"),
    ],
)
async def test_a_bad_image_is_refused(client: httpx.AsyncClient, body: Any, status: int, sentence: str) -> None:
    response = await client.post("/v2/images", json=body)
    assert response.status_code == status
    assert sentence in response.text.replace("&#x27;", "'")
    assert await names(client) == []


async def test_an_id_is_given_once(client: httpx.AsyncClient) -> None:
    image_id = str(uuid4())
    assert (await make(client, id=image_id))["id"] == image_id
    assert (await client.post("/v2/images", json={"id": image_id})).status_code == 409


async def test_the_id_of_a_deleted_image_stays_taken(
    client: httpx.AsyncClient, other: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    image = await make(client, **FORMATS, visibility="community")
    assert (await client.delete(image["self"])).status_code == 204
    for each in (client, other, admin):
        again = await each.post("/v2/images", json={"id": image["id"], **FORMATS, "visibility": "community"})
        assert again.status_code == 409
        assert "was deleted; its identifier stays taken" in again.text
    assert (await client.get(image["self"])).status_code == 404


async def test_readers_make_nothing(app: Any, identity: Any) -> None:
    async with await identity.client_for(app, "reader") as reader:
        assert (await reader.post("/v2/images", json={"name": "i"})).status_code == 403
        assert await names(reader) == []


async def test_others_do_not_learn_of_a_private_image(
    client: httpx.AsyncClient, other: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    url = (await make(client, name="mine", visibility="private"))["self"]
    assert (await other.get(url)).status_code == 404
    assert (await other.delete(url)).status_code == 404
    assert (await patch(other, url, {"op": "replace", "path": "/name", "value": "x"})).status_code == 404
    assert (await other.get(f"{url}/file")).status_code == 404
    upload = await other.put(f"{url}/file", content=b"x", headers={"content-type": "application/octet-stream"})
    assert upload.status_code == 404
    assert await names(other) == []
    assert await names(admin) == ["mine"]
    assert (await admin.get(url)).status_code == 200


async def test_public_and_community_images_are_for_everyone_to_read(
    client: httpx.AsyncClient, other: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    public = (await make(admin, name="public", visibility="public"))["self"]
    community = (await make(client, name="community", visibility="community"))["self"]
    assert await names(other) == ["public"]
    assert await names(other, "visibility=community") == ["community"]
    assert await names(other, "visibility=all&sort=name:asc") == ["community", "public"]
    assert await names(client, "sort=name:asc") == ["community", "public"]
    for url in (public, community):
        assert (await other.get(url)).status_code == 200
        assert (await other.delete(url)).status_code == 403
        assert (await patch(other, url, {"op": "add", "path": "/a", "value": "b"})).status_code == 403
    assert (
        await patch(client, community, {"op": "replace", "path": "/visibility", "value": "public"})
    ).status_code == 403
    assert (
        await patch(admin, community, {"op": "replace", "path": "/visibility", "value": "public"})
    ).status_code == 200


async def test_a_patch_adds_replaces_and_removes(client: httpx.AsyncClient) -> None:
    url = (await make(client, name="old", colour="red", size_note="big"))["self"]
    response = await patch(
        client,
        url,
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "replace", "path": "/disk_format", "value": "qcow2"},
        {"op": "replace", "path": "/tags", "value": ["x", "x", "y"]},
        {"op": "replace", "path": "/min_disk", "value": 2},
        {"op": "add", "path": "/hw~1path~0", "value": "v"},
        {"op": "replace", "path": "/colour", "value": "blue"},
        {"op": "remove", "path": "/size_note"},
    )
    assert response.status_code == 200, response.text
    changed = response.json()
    assert (changed["name"], changed["disk_format"], changed["min_disk"]) == ("new", "qcow2", 2)
    assert (changed["tags"], changed["hw/path~"], changed["colour"]) == (["x", "y"], "v", "blue")
    assert "size_note" not in changed
    assert (await client.get(url)).json() == changed
    assert (await patch(client, url)).json() == changed


async def test_a_patch_of_the_older_draft_is_understood(client: httpx.AsyncClient) -> None:
    url = (await make(client, name="old", colour="red"))["self"]
    older = {"content-type": "application/openstack-images-v2.0-json-patch"}
    body = [{"replace": "/name", "value": "new"}, {"add": "/shape", "value": "round"}, {"remove": "/colour"}]
    changed = (await client.patch(url, json=body, headers=older)).json()
    assert (changed["name"], changed["shape"], "colour" in changed) == ("new", "round", False)
    again = [{"add": "/shape", "value": "square"}]
    assert (await client.patch(url, json=again, headers=older)).status_code == 409
    both = [{"add": "/a", "remove": "/b", "value": ""}]
    assert (await client.patch(url, json=both, headers=older)).status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        (["x"], 400),
        ([{"op": "move", "path": "/name"}], 400),
        ([{"op": "add", "path": "/name"}], 400),
        ([{"op": "add", "value": "x"}], 400),
        ([{"op": "add", "path": "name", "value": "x"}], 400),
        ([{"op": "add", "path": "/", "value": "x"}], 400),
        ([{"op": "add", "path": "/a/b", "value": "x"}], 400),
        ([{"op": "add", "path": "/a~2", "value": "x"}], 400),
        ([{"op": "add", "path": "/a", "value": 1}], 400),
        ([{"op": "replace", "path": "/disk_format", "value": "floppy"}], 400),
        ([{"op": "replace", "path": "/min_ram", "value": -1}], 400),
        ([{"op": "replace", "path": "/status", "value": "active"}], 403),
        ([{"op": "replace", "path": "/id", "value": str(uuid4())}], 403),
        ([{"op": "add", "path": "/locations", "value": []}], 403),
        ([{"op": "replace", "path": "/owner", "value": "me"}], 403),
        ([{"op": "replace", "path": "/visibility", "value": "public"}], 403),
        ([{"op": "remove", "path": "/name"}], 403),
        ([{"op": "remove", "path": "/nothing"}], 409),
        ([{"op": "replace", "path": "/nothing", "value": "x"}], 409),
        ([{"op": "add", "path": f"/p{n}", "value": "x"} for n in range(129)], 413),
    ],
)
async def test_a_bad_patch_is_refused_and_changes_nothing(client: httpx.AsyncClient, body: Any, status: int) -> None:
    image = await make(client, name="i")
    response = await client.patch(image["self"], json=body, headers=PATCH)
    assert response.status_code == status, response.text
    assert (await client.get(image["self"])).json() == image


async def test_a_patch_of_another_type_is_415(client: httpx.AsyncClient) -> None:
    url = (await make(client, name="i"))["self"]
    response = await client.patch(url, json=[])
    assert response.status_code == 415
    assert "application/openstack-images-v2.1-json-patch" in response.headers["accept-patch"]


async def test_a_protected_image_is_not_deleted(client: httpx.AsyncClient) -> None:
    url = (await make(client, protected=True))["self"]
    assert (await client.delete(url)).status_code == 403
    assert (await patch(client, url, {"op": "replace", "path": "/protected", "value": False})).status_code == 200
    assert (await client.delete(url)).status_code == 204


async def test_an_administrator_gives_an_image_away(admin: httpx.AsyncClient, other: Any, identity: Any) -> None:
    url = (await make(admin, name="gift", visibility="private"))["self"]
    project_id = await identity.project_id("other")
    given = await patch(admin, url, {"op": "replace", "path": "/owner", "value": project_id})
    assert given.json()["owner"] == project_id
    assert await names(other) == ["gift"]
    assert (await make(admin, owner=project_id))["owner"] == project_id


async def test_tags_are_added_and_removed_one_by_one(client: httpx.AsyncClient) -> None:
    url = (await make(client, name="i"))["self"]
    assert (await client.put(f"{url}/tags/a")).status_code == 204
    assert (await client.put(f"{url}/tags/a")).status_code == 204
    assert (await client.put(f"{url}/tags/b")).status_code == 204
    assert (await client.get(url)).json()["tags"] == ["a", "b"]
    assert (await client.put(f"{url}/tags/{'x' * 256}")).status_code == 400
    assert (await client.delete(f"{url}/tags/a")).status_code == 204
    assert (await client.delete(f"{url}/tags/a")).status_code == 404
    for n in range(127):
        await client.put(f"{url}/tags/t{n}")
    assert (await client.put(f"{url}/tags/last")).status_code == 413


async def test_lists_come_in_pages_and_in_order(client: httpx.AsyncClient) -> None:
    for name in "bcad":
        await make(client, name=name, min_ram=ord(name))
    assert await names(client) == ["d", "a", "c", "b"]
    assert await names(client, "sort=name:asc") == ["a", "b", "c", "d"]
    assert await names(client, "sort_key=name&sort_dir=desc") == ["d", "c", "b", "a"]
    assert await names(client, "sort_key=status&sort_key=name&sort_dir=asc") == ["a", "b", "c", "d"]
    url, seen = "/v2/images?limit=3&sort=name:asc&status=queued", []
    while url:
        page = (await client.get(url)).json()
        assert page["first"] == "/v2/images?limit=3&sort=name%3Aasc&status=queued"
        assert page["schema"] == "/v2/schemas/images"
        seen.append([image["name"] for image in page["images"]])
        url = page.get("next")
    assert seen == [["a", "b", "c"], ["d"]]
    assert (await client.get("/v2/images?limit=0")).json()["images"] == []


async def test_an_image_without_an_id_is_not_found(client: httpx.AsyncClient) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        assert (await client.request(method, "/v2/images/")).status_code == 404


async def test_nobody_goes_on_from_an_image_that_he_does_not_see(
    client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    theirs = await make(other, name="m", visibility="private")
    for name in ("a", "z"):
        await make(client, name=name)
    hidden = await client.get(f"/v2/images?sort=name:asc&marker={theirs['id']}")
    missing = await client.get("/v2/images?sort=name:asc&marker=5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11")
    assert (hidden.status_code, missing.status_code) == (400, 400)
    assert hidden.text.replace(theirs["id"], "") == missing.text.replace("5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11", "")
    assert await names(other, f"sort=name:asc&marker={theirs['id']}") == []


async def test_lists_are_narrowed_by_every_filter(client: httpx.AsyncClient) -> None:
    first = await make(client, name="one, two", **FORMATS, tags=["x", "y"], os_type="linux", min_ram=512)
    await make(client, name="b", disk_format="qcow2", protected=True, tags=["x"], os_hidden=True)
    await make(client, name="c", disk_format="iso", tags=["x"])
    assert await names(client, "os_hidden=true") == ["b"]
    assert await names(client, "protected=true&os_hidden=true") == ["b"]
    assert await names(client, "tag=x&tag=y") == ["one, two"]
    assert await names(client, "os_type=linux") == ["one, two"]
    assert await names(client, "os_type=windows") == []
    assert await names(client, "name=c") == ["c"]
    assert await names(client, 'name=in:"one, two",b') == ["one, two"]
    assert await names(client, "disk_format=in:raw,iso&sort=name:asc") == ["c", "one, two"]
    assert await names(client, "disk_format=eq:iso") == ["c"]
    assert await names(client, f"id={first['id']}") == ["one, two"]
    assert await names(client, f"owner={first['owner']}&min_ram=512") == ["one, two"]
    assert await names(client, "min_ram_min=1&min_ram_max=600") == ["one, two"]
    assert await names(client, "size_min=1") == []
    assert await names(client, "checksum=0&os_hash_value=0") == []
    assert await names(client, "created_at=gte:2020-01-01T00:00:00Z&name=c") == ["c"]
    assert await names(client, "created_at=lt:2020-01-01T00:00:00Z") == []
    assert await names(client, "updated_at=neq:2020-01-01T00:00:00&name=c") == ["c"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "marker=nothing",
        "sort=colour",
        "sort=name:up",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
        "visibility=secret",
        "member_status=maybe",
        "protected=maybe",
        "os_hidden=maybe",
        "size_min=big",
        "created_at=gte:yesterday",
        "name=gt:a",
        'name=in:"a',
        "changes-since=2020-01-01",
    ],
)
async def test_a_bad_query_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/v2/images?{query}")).status_code == 400


async def test_the_service_describes_itself(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    schema = (await client.get("/v2/schemas/image")).json()
    assert schema["name"] == "image"
    assert "qcow2" in schema["properties"]["disk_format"]["enum"]
    for name in ("images", "member", "members", "task", "tasks"):
        assert (await client.get(f"/v2/schemas/{name}")).json()["name"] == name
    assert (await client.get("/v2/schemas/nothing")).status_code == 404
    assert (await client.get("/v2/info/import")).json()["import-methods"]["value"] == []
    assert (await client.get("/v2/info/stores")).json()["stores"][0]["id"] == "file"
    assert (await client.get("/v2/info/stores/detail")).status_code == 403
    assert (await admin.get("/v2/info/stores/detail")).json()["stores"][0]["type"] == "file"
    usage = (await client.get("/v2/info/usage")).json()["usage"]
    assert usage == {
        "image_count_total": {"usage": 0, "limit": 1000},
        "image_size_total": {"usage": 0, "limit": 256000},
    }
    assert (await client.get("/v2/tasks")).json()["tasks"] == []


async def test_tasks_are_described_and_not_made(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    listed = (await client.get("/v2/tasks")).json()
    assert listed["tasks"] == []
    assert (await client.get(listed["schema"])).json()["name"] == "tasks"
    refused = await admin.post("/v2/tasks", json={"type": "import", "input": {}})
    assert refused.status_code == 400
    assert "Tasks cannot be made here yet" in refused.text
    assert (await client.post("/v2/tasks", json={"type": "import"})).status_code == 403
    assert (await client.get("/v2/tasks/x")).status_code == 404
    assert (await admin.delete("/v2/tasks/x")).status_code == 404


async def test_metadata_definitions_are_described_and_not_kept(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Horizon asks for them on every launch of a server."""
    listed = (await client.get("/v2/metadefs/namespaces?limit=20&resource_types=OS::Nova::Server")).json()
    assert listed["namespaces"] == []
    assert "next" not in listed
    assert (await client.get(listed["schema"])).json()["name"] == "namespaces"
    for name in ("namespace", "resource_type", "resource_types"):
        assert (await client.get(f"/v2/schemas/metadefs/{name}")).json()["name"] == name
    assert (await client.get("/v2/schemas/metadefs/nothing")).status_code == 404
    assert (await client.get("/v2/metadefs/resource_types")).json() == {"resource_types": []}
    refused = await admin.post("/v2/metadefs/namespaces", json={"namespace": "OS::Compute::Own"})
    assert refused.status_code == 400
    assert "Metadata definitions cannot be kept here yet" in refused.text
    assert (await client.post("/v2/metadefs/namespaces", json={"namespace": "own"})).status_code == 403
    assert (await client.get("/v2/metadefs/namespaces/OS::Compute::Own")).status_code == 404
    assert (await admin.delete("/v2/metadefs/namespaces/OS::Compute::Own")).status_code == 404


async def test_every_document_that_is_named_is_there(client: httpx.AsyncClient) -> None:
    image = await make(client, **FORMATS)
    member = (await client.post(f"{image['self']}/members", json={"member": "p"})).json()
    members = (await client.get(f"{image['self']}/members")).json()
    for shown in (
        image,
        member,
        members,
        (await client.get("/v2/images")).json(),
        (await client.get("/v2/tasks")).json(),
    ):
        assert (await client.get(shown["schema"])).status_code == 200
        for link in ("self", "file", "first"):
            if link in shown:
                assert (await client.get(shown[link])).status_code in (200, 204)
