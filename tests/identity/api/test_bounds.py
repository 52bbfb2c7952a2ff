"""However much is asked of identity, what it costs has a bound; what is beyond it is refused in a sentence."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from kilonova.identity.api.listing import TAG_FILTERS
from kilonova.identity.app import ROUTES
from kilonova.kit.http.bounds import MAX_TEXT_BYTES, unbounded_parts
from kilonova.kit.http.edge import MAX_QUERY_BYTES
from tests.frugality import ask, frugal

REPEATED = ("sort_key", "sort_dir")
FLAGS = ("enabled", "is_domain", "effective", "include_names", "include_subtree")
QUERIES = [(route.path, name) for route in ROUTES if route.method == "GET" for name in route.query]


@pytest.fixture
async def admin(identity: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = identity.client
    client.headers["x-auth-token"] = await identity.token("admin")
    return client


@pytest.fixture
async def ids(admin: httpx.AsyncClient) -> dict[str, str]:
    """What stands in paths, and some records beside."""
    for number in range(6):
        body = {"project": {"name": f"p{number}", "tags": ["red", f"t{number}"]}}
        assert (await admin.post("/v3/projects", json=body)).status_code == 201
    group = (await admin.post("/v3/groups", json={"group": {"name": "staff"}})).json()["group"]
    users = (await admin.get("/v3/users")).json()["users"]
    for each in users:
        assert (await admin.put(f"/v3/groups/{group['id']}/users/{each['id']}")).status_code == 204
    projects = (await admin.get("/v3/projects")).json()["projects"]
    return {"user_id": users[0]["id"], "group_id": group["id"], "project_id": projects[0]["id"]}


def queries_of_size(name: str, times: int) -> Iterator[Any]:
    """Ways to say one parameter so many times as much."""
    value = {"sort_key": "id", "sort_dir": "asc", "limit": "2"}.get(name, "true" if name in FLAGS else "x")
    yield [(name, value)] * times
    yield [(name, "_%" * times if "__" in name else value * times)]
    yield [(name, ",".join(f"{value}{number}" for number in range(times)))]


def test_every_part_of_every_body_has_a_bound() -> None:
    assert unbounded_parts(ROUTES) == []


@pytest.mark.parametrize("path", sorted({path for path, _ in QUERIES}))
async def test_a_parameter_of_many_times_its_usual_size_costs_no_more(
    identity: Any, admin: httpx.AsyncClient, ids: dict[str, str], path: str
) -> None:
    headers = {"x-auth-token": admin.headers["x-auth-token"]}
    for name in (name for each, name in QUERIES if each == path):
        # Those that look for a part of a text are read alike: one size is enough.
        sizes = (1, 10, 100) if "__" not in name else (100,)
        for times in (*sizes, MAX_QUERY_BYTES // 8) if name in (*REPEATED, *TAG_FILTERS) else sizes:
            async with frugal():
                for query in queries_of_size(name, times):
                    sent = urlencode(query)[:MAX_QUERY_BYTES]
                    answer = await ask(identity.app, f"{path.format(**ids)}?{sent}", headers)
                    assert answer.status in (200, 400), f"{sent[:100]}: {answer.content!r}"
                    assert answer.status == 200 or len(answer.content) < 1000, answer.content


HIERARCHY = "/v3/projects/{project_id}"


@pytest.mark.parametrize("path", sorted({path for path, _ in QUERIES} - {HIERARCHY}))
async def test_what_a_filter_is_compared_with_is_short(
    admin: httpx.AsyncClient, ids: dict[str, str], path: str
) -> None:
    for name in (name for each, name in QUERIES if each == path and name not in (*TAG_FILTERS, "limit")):
        # SQLite reads no longer pattern than 50,000 bytes, and each of these is escaped.
        for text in ("x" * 256, "_" * 32_000):
            answer = await admin.get(f"{path.format(**ids)}?{name}={text}")
            assert answer.status_code == 400, answer.text
            assert f"{name} has 255 characters at most, got {len(text)}" in answer.text


KINDS = ("project", "domain", "group", "role", "service", "region")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_description_is_as_long_as_every_database_keeps_it(admin: httpx.AsyncClient, kind: str) -> None:
    longest = "é" * (MAX_TEXT_BYTES // 2) + "x"
    fields = {"description": longest} | ({"type": "x"} if kind == "service" else {})
    fields |= {"id": "here"} if kind == "region" else {"name": "thing"}
    made = await admin.post(f"/v3/{kind}s", json={kind: fields})
    assert made.status_code == 201, made.text
    url = f"/v3/{kind}s/{made.json()[kind]['id']}"
    assert (await admin.get(url)).json()[kind]["description"] == longest
    for longer in (longest + "x", "é" * 57_000):
        # In UTF-8: escaped, it would be too long for a body.
        content = f'{{"{kind}": {{"name": "other", "type": "x", "description": "{longer}"}}}}'.encode()
        for method, at in (("POST", f"/v3/{kind}s"), ("PATCH", url)):
            answer = await admin.request(method, at, content=content, headers={"content-type": "application/json"})
            assert answer.status_code == 400, answer.text
            assert "description takes 65535 bytes at most in UTF-8" in answer.text
    assert (await admin.get(url)).json()[kind]["description"] == longest


@pytest.mark.parametrize("wrong", ["", "x" * 65, "a/b", "a b", "é", "x\n"])
async def test_ids_in_bodies_look_like_ids(admin: httpx.AsyncClient, wrong: str) -> None:
    new: dict[str, dict[str, Any]] = {
        "user": {"domain_id": wrong},
        "group": {"domain_id": wrong},
        "project": {"domain_id": wrong},
        "role": {"domain_id": wrong},
        "endpoint": {"service_id": wrong, "interface": "public", "url": "http://x/"},
    }
    for kind, fields in [*new.items(), ("user", {"default_project_id": wrong}), ("project", {"parent_id": wrong})]:
        answer = await admin.post(f"/v3/{kind}s", json={kind: {"name": "thing", **fields}})
        assert answer.status_code == 400, answer.text
        assert "Invalid input" in answer.text
        assert any(f"{name}`." in answer.text for name, value in fields.items() if value == wrong), answer.text


async def test_a_region_s_id_is_as_long_in_a_path_as_in_a_body(admin: httpx.AsyncClient) -> None:
    assert (await admin.put(f"/v3/regions/{'r' * 255}", json={"region": {}})).status_code == 201
    for answer in (
        await admin.put(f"/v3/regions/{'r' * 256}", json={"region": {}}),
        await admin.post("/v3/regions", json={"region": {"id": "r" * 256}}),
    ):
        assert answer.status_code == 400, answer.text
    assert len((await admin.get("/v3/regions")).json()["regions"]) == 2


@pytest.mark.parametrize("tags", [["a,b"], ["a/b"], [""], ["x" * 256], ["red", "red"], [f"t{n}" for n in range(81)]])
async def test_tags_of_a_project_are_the_same_wherever_they_come_from(
    admin: httpx.AsyncClient, tags: list[str]
) -> None:
    made = (await admin.post("/v3/projects", json={"project": {"name": "p", "tags": ["blue"]}})).json()["project"]
    url = f"/v3/projects/{made['id']}"
    for answer in (
        await admin.post("/v3/projects", json={"project": {"name": "q", "tags": tags}}),
        await admin.patch(url, json={"project": {"tags": tags}}),
        await admin.put(f"{url}/tags", json={"tags": tags}),
    ):
        assert answer.status_code == 400, answer.text
    assert (await admin.get(url)).json()["project"] == made
