"""Metadata, tags and the guest's password of a server."""

import hashlib
import hmac
from typing import Any

from kilonova.compute.metadata.app import make_app as make_metadata_app
from kilonova.kit.testing import asgi_client

SECRET = "between the two"


async def test_metadata_is_added_changed_replaced_and_removed(nova: Any) -> None:
    server = await nova.insert_server(metadata={"role": "front"})
    url = f"/servers/{server.id}/metadata"
    assert await nova.call("GET", url) == {"metadata": {"role": "front"}}
    both = {"metadata": {"role": "back", "team": "red"}}
    assert await nova.call("POST", url, json=both) == both
    assert await nova.call("POST", url, json={"metadata": {}}) == both
    assert await nova.call("GET", f"{url}/team") == {"meta": {"team": "red"}}
    assert await nova.call("PUT", f"{url}/team", json={"meta": {"team": "blue"}}) == {"meta": {"team": "blue"}}
    await nova.call("DELETE", f"{url}/role", 204)
    assert (await nova.call("GET", f"/servers/{server.id}"))["server"]["metadata"] == {"team": "blue"}
    assert await nova.call("PUT", url, json={"metadata": {"x": ""}}) == {"metadata": {"x": ""}}
    assert (await nova.server(server.id)).metadata == {"x": ""}
    await nova.refused("GET", f"{url}/role", 404)
    await nova.refused("DELETE", f"{url}/role", 404)


REFUSED: list[tuple[Any, ...]] = [
    ("PUT", "/role", {"meta": {"other": "x"}}),
    ("PUT", "/role", {"meta": {"role": "x", "other": "x"}}),
    ("PUT", "/role", {"meta": {}}),
    ("PUT", "/role", {"metadata": {"role": "x"}}),
    ("POST", "", {"metadata": {"role": 1}}),
    ("POST", "", {"metadata": {"ro/le": "x"}}),
    ("POST", "", {"metadata": {"": "x"}}),
    ("POST", "", {"metadata": {"role": "x" * 256}}),
    ("PUT", "", {"metadata": {"x" * 256: "x"}}),
    ("PUT", "", {"meta": {}}),
]


async def test_metadata_that_cannot_be_meant_is_400(nova: Any) -> None:
    server = await nova.insert_server(metadata={"role": "front"})
    for method, path, body in REFUSED:
        await nova.refused(method, f"/servers/{server.id}/metadata{path}", 400, json=body)
        assert (await nova.server(server.id)).metadata == {"role": "front"}


CHANGES: list[tuple[str, str, Any]] = [
    ("POST", "/metadata", {"metadata": {"a": "b"}}),
    ("PUT", "/metadata", {"metadata": {"a": "b"}}),
    ("PUT", "/metadata/a", {"meta": {"a": "b"}}),
    ("DELETE", "/metadata/role", None),
    ("PUT", "/tags", {"tags": ["x"]}),
    ("PUT", "/tags/x", None),
    ("DELETE", "/tags/red", None),
    ("DELETE", "/tags", None),
]


async def test_who_and_what_may_not_annotate(nova: Any) -> None:
    server = await nova.insert_server(metadata={"role": "front"}, tags=["red"])
    locked = await nova.insert_server(metadata={"role": "front"}, tags=["red"], locked=True)
    failed = await nova.insert_server(metadata={"role": "front"}, tags=["red"], vm_state="error")
    for method, path, body in CHANGES:
        await nova.refused(method, f"/servers/{server.id}{path}", 404, by="other", json=body)
        await nova.refused(method, f"/servers/{server.id}{path}", 403, by="reader", json=body)
        assert "vm_state error" in await nova.refused(method, f"/servers/{failed.id}{path}", 409, json=body)
        if path.startswith("/metadata"):
            assert "is locked" in await nova.refused(method, f"/servers/{locked.id}{path}", 409, json=body)
    row = await nova.server(server.id)
    assert (row.metadata, row.tags) == ({"role": "front"}, ["red"])
    assert await nova.call("GET", f"/servers/{server.id}/metadata", by="reader") == {"metadata": {"role": "front"}}
    assert await nova.call("GET", f"/servers/{server.id}/tags", by="reader") == {"tags": ["red"]}


async def test_a_server_has_a_limited_number_of_metadata_items(nova: Any) -> None:
    server = await nova.insert_server(metadata={str(n): "" for n in range(127)})
    url = f"/servers/{server.id}/metadata"
    await nova.call("PUT", f"{url}/127", json={"meta": {"127": ""}})
    told = await nova.refused("PUT", f"{url}/128", 403, json={"meta": {"128": ""}})
    assert told == "Maximum number of metadata items exceeds 128"
    too_many = {"metadata": {str(n): "" for n in range(129)}}
    await nova.refused("POST", url, 403, json=too_many)
    await nova.refused("PUT", url, 403, json=too_many)


async def test_tags_are_put_on_found_by_and_taken_off(nova: Any) -> None:
    server = await nova.insert_server()
    await nova.insert_server()
    url = f"/servers/{server.id}/tags"
    assert await nova.call("PUT", url, json={"tags": ["red", "blue", "red"]}) == {"tags": ["blue", "red"]}
    await nova.call("PUT", f"{url}/green", 201)
    await nova.call("PUT", f"{url}/green", 204)
    await nova.call("GET", f"{url}/green", 204)
    assert (await nova.call("GET", f"/servers/{server.id}"))["server"]["tags"] == ["blue", "green", "red"]
    assert [each["id"] for each in (await nova.call("GET", "/servers?tags=green,red"))["servers"]] == [server.id]
    await nova.call("DELETE", f"{url}/green", 204)
    assert "has no tag 'green'" in await nova.refused("DELETE", f"{url}/green", 404)
    await nova.refused("GET", f"{url}/green", 404)
    await nova.call("DELETE", url, 204)
    assert await nova.call("GET", url) == {"tags": []}


async def test_tags_are_short_few_and_known_from_2_26_on(nova: Any) -> None:
    server = await nova.insert_server(tags=[f"t{n}" for n in range(50)])
    url = f"/servers/{server.id}/tags"
    assert "limit 50" in await nova.refused("PUT", f"{url}/one-more", 400)
    await nova.refused("PUT", f"{url}/{'x' * 61}", 400)
    await nova.refused("PUT", f"{url}/a,b", 400)
    for tags in (["a/b"], ["a,b"], [""], ["x" * 61], [1], "x", [f"t{n}" for n in range(51)]):
        await nova.refused("PUT", url, 400, json={"tags": tags})
    await nova.refused("GET", url, 404, version="2.25")


async def test_a_guest_reads_its_metadata_and_leaves_a_password_once(nova: Any) -> None:
    server = await nova.insert_server()
    nova.service.metadata_secret = SECRET
    signature = hmac.new(SECRET.encode(), server.id.encode(), hashlib.sha256).hexdigest()
    headers = {"X-Instance-ID": server.id, "X-Tenant-ID": server.project_id, "X-Instance-ID-Signature": signature}
    await nova.call("POST", f"/servers/{server.id}/metadata", json={"metadata": {"role": "front"}})
    password = f"/servers/{server.id}/os-server-password"
    async with asgi_client(make_metadata_app(nova.service)) as guest:
        answer = await guest.get("/openstack/latest/meta_data.json", headers=headers)
        assert answer.json()["meta"] == {"role": "front"}
        path = "/openstack/latest/password"
        assert (await guest.get(path, headers=headers)).text == ""
        assert (await guest.post("/openstack/latest/user_data", headers=headers, content=b"x")).status_code == 404
        assert (await guest.post(path, content=b"sealed")).status_code == 400
        assert (await guest.post(path, headers=headers, content=b"x" * 1021)).status_code == 400
        assert (await guest.post(path, headers=headers, content=b"\xff")).status_code == 400
        assert await nova.call("GET", password) == {"password": ""}
        assert (await guest.post(path, headers=headers, content=b"sealed")).status_code == 200
        assert (await guest.post(path, headers=headers, content=b"again")).status_code == 409
        assert (await guest.get(path, headers=headers)).text == "sealed"
    assert await nova.call("GET", password) == {"password": "sealed"}
    await nova.refused("GET", password, 404, by="other")
    await nova.refused("DELETE", password, 403, by="reader")
    await nova.call("DELETE", password, 204)
    assert await nova.call("GET", password) == {"password": ""}
