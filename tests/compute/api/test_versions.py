"""The version documents, negotiation, and what every request is held to."""

from typing import Any


async def test_the_version_documents_need_no_token(nova: Any, identity: Any) -> None:
    client = await nova.api("demo")
    del client.headers["x-auth-token"]
    listed = nova.body_of(await client.get("/"))["versions"]
    (current,) = [each for each in listed if each["status"] == "CURRENT"]
    assert (current["id"], current["min_version"], current["version"]) == ("v2.1", "2.1", "2.104")
    for path in ("/v2.1", "/v2.1/"):
        version = nova.body_of(await client.get(path))["version"]
        assert (version["min_version"], version["version"]) == ("2.1", "2.104")
        assert version["links"][0] == {"rel": "self", "href": "http://service.local/v2.1/"}
        assert version["media-types"][0]["base"] == "application/json"


async def test_the_first_version_is_2_1_whatever_the_headers_ask_for(nova: Any) -> None:
    client = await nova.api("demo")
    first = nova.body_of(await client.get("/"))["versions"][0]
    assert (first["id"], first["status"], first["version"], first["min_version"]) == ("v2.0", "SUPPORTED", "", "")
    for path in ("/v2", "/v2/"):
        shown = nova.body_of(await client.get(path))["version"]
        assert (shown["id"], shown["links"][0]) == ("v2.0", first["links"][0])
    response = await client.get("/v2/flavors/detail", headers={"openstack-api-version": "compute 2.79"})
    assert (response.status_code, response.headers["x-openstack-nova-api-version"]) == (200, "2.1")
    assert (await client.get("/v2/nothing")).status_code == 404


async def test_a_request_is_told_its_id_under_both_names_and_a_path_is_taken_as_it_is(nova: Any) -> None:
    client = await nova.api("demo")
    for path, status in (("/v2.1/flavors", 200), ("/v2.1/flavors/", 404), ("/v2.1/os-simple-tenant-usage/", 404)):
        response = await client.get(path)
        assert response.status_code == status
        assert response.headers["x-compute-request-id"] == response.headers["x-openstack-request-id"]


async def test_without_a_version_the_oldest_is_spoken(nova: Any) -> None:
    response = await (await nova.api("demo")).get("/v2.1/flavors")
    assert response.headers["openstack-api-version"] == "compute 2.1"
    assert response.headers["x-openstack-nova-api-version"] == "2.1"
    assert "OpenStack-API-Version" in response.headers["vary"]


ASKED: list[tuple[dict[str, str], str]] = [
    ({"openstack-api-version": "compute 2.79"}, "2.79"),
    ({"openstack-api-version": "compute latest"}, "2.104"),
    ({"openstack-api-version": "volume 3.1, compute 2.20"}, "2.20"),
    ({"openstack-api-version": "volume 3.1"}, "2.1"),
    ({"x-openstack-nova-api-version": "2.15"}, "2.15"),
]


async def test_the_version_asked_for_is_spoken(nova: Any) -> None:
    client = await nova.api("demo")
    for headers, spoken in ASKED:
        response = await client.get("/v2.1/flavors", headers=headers)
        assert (response.status_code, response.headers["x-openstack-nova-api-version"]) == (200, spoken)


UNSERVED = [("2.105", 406), ("2.0", 406), ("3.1", 406), ("2", 400), ("2.01", 400), ("newest", 400)]


async def test_a_version_that_is_not_served_is_refused(nova: Any) -> None:
    for asked, status in UNSERVED:
        assert asked in await nova.refused("GET", "/flavors", status, version=asked)


async def test_no_token_is_401_and_says_where_to_get_one(nova: Any) -> None:
    client = await nova.api("demo")
    for token in (None, "gAAAAAnonsense"):
        client.headers.pop("x-auth-token", None)
        if token is not None:
            client.headers["x-auth-token"] = token
        response = await client.get("/v2.1/servers")
        assert response.status_code == 401
        assert "unauthorized" in response.json()


async def test_a_body_over_its_limit_is_413_and_what_is_no_json_is_400(nova: Any) -> None:
    client = await nova.api("admin")
    response = await client.post("/v2.1/flavors", content=b"{" + b" " * 114_688)
    assert response.status_code == 413
    assert response.json()["overLimit"]["code"] == 413
    for content in (b"", b"{", b"[]", b"\xff"):
        response = await client.post("/v2.1/flavors", content=content)
        assert response.status_code == 400, content
        assert response.json()["badRequest"]["message"]


async def test_what_is_not_there_is_404_and_a_wrong_method_is_405(nova: Any) -> None:
    assert "could not be found" in await nova.refused("GET", "/nothing", 404)
    response = await (await nova.api("demo")).delete("/v2.1/flavors")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert response.json()["badMethod"]["code"] == 405


async def test_every_answer_has_a_request_id(nova: Any) -> None:
    response = await (await nova.api("demo")).get("/v2.1/nothing")
    assert response.headers["x-openstack-request-id"].startswith("req-")
