"""However much is asked of the image service, what it costs has a bound; what is beyond it is refused in a sentence."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from kilonova.image import images
from kilonova.image.api.queries import QUERY, REPEATED, SORT_KEYS
from kilonova.image.app import ROUTES
from kilonova.kit.http.bounds import MAX_TEXT_BYTES, unbounded_parts
from kilonova.kit.http.edge import MAX_QUERY_BYTES
from tests.frugality import ask, frugal
from tests.image.api.test_images import make, names, patch

USUAL = {
    "sort": "name:asc", "sort_key": "name", "sort_dir": "asc", "limit": "20", "tag": "red", "visibility": "shared",
    "member_status": "accepted", "os_hidden": "false", "protected": "false", "created_at": "gte:2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}  # fmt: skip
"""Parameter → a value as clients send it, where not any text or number is one."""
PROPERTY = "colour"
LISTED = (*REPEATED, "sort", "id", PROPERTY)
"""Parameters that may hold many of something: these are filled to the brim too."""


def usual(name: str) -> str:
    return USUAL.get(name, "7" if name.startswith(("size", "min_", "virtual_size")) else "x")


@pytest.fixture
async def several(client: httpx.AsyncClient) -> list[str]:
    """Names of images that share tags and properties."""
    for number in range(12):
        tags, properties = ["red", f"t{number % 3}"], {PROPERTY: "blue", "shape": f"s{number % 2}"}
        await make(client, name=f"i{number:02}", tags=tags, **properties)
    return [f"i{number:02}" for number in range(12)]


async def refused(client: httpx.AsyncClient, query: Any) -> str:
    answer = await client.get("/v2/images", params=query, headers={"accept": "application/json"})
    assert answer.status_code == 400, answer.text
    assert len(answer.text) < 500
    return answer.text


def test_every_part_of_every_body_has_a_bound() -> None:
    assert unbounded_parts(ROUTES) == []


def queries_of_size(name: str, times: int) -> Iterator[Any]:
    """Ways to say one parameter so many times as much."""
    value = usual(name)
    different = [(name, f"{value}{number}") for number in range(times)]
    yield [(name, value)] * times
    yield different
    yield [*different, ("marker", "nothing")]
    yield [(name, ",".join([value] * times) if name in USUAL else value * times)]
    yield [(name, "in:" + ",".join(text for _, text in different))]
    yield [(f"{name}{number}", value) for number in range(times)]


@pytest.mark.parametrize("name", [*QUERY, PROPERTY])
async def test_a_parameter_of_many_times_its_usual_size_costs_no_more(
    app: Any, client: httpx.AsyncClient, several: list[str], name: str
) -> None:
    headers = {"x-auth-token": client.headers["x-auth-token"]}
    for times in (1, 10, 100, MAX_QUERY_BYTES // 8) if name in LISTED else (1, 10, 100):
        for query in queries_of_size(name, times):
            sent = urlencode(query)[:MAX_QUERY_BYTES]
            async with frugal():
                answer = await ask(app, f"/v2/images?{sent}", headers)
            assert answer.status in (200, 400), answer.content
            assert answer.status == 200 or len(answer.content) < 1000, answer.content


async def test_filters_end_where_no_image_has_as_many(client: httpx.AsyncClient, several: list[str]) -> None:
    tags = [("tag", f"t{number}") for number in range(images.MAX_TAGS)]
    properties = [(f"p{number}", "x") for number in range(images.MAX_PROPERTIES)]
    ids = ",".join(map(str, range(1000)))
    async with frugal():
        for query in (tags, properties, [*tags, *properties], [("id", f"in:{ids}")], [("name", f"in:{ids}")]):
            answer = await client.get("/v2/images", params=query)
            assert (answer.status_code, answer.json()["images"]) == (200, [])
        assert await names(client, urlencode([("tag", "red")] * 1000)) == several[::-1]
    assert "tag takes 128 tags at most, got 129" in await refused(client, [*tags, ("tag", "one more")])
    assert "128 properties as filters at most" in await refused(client, [*properties, ("one more", "x")])
    assert "id takes 1000 values at most, got 1001" in await refused(client, {"id": f"in:{ids},one-more"})


async def test_all_tags_and_properties_that_are_asked_for_have_to_be_there(
    client: httpx.AsyncClient, several: list[str]
) -> None:
    assert await names(client, "tag=red&tag=t1&sort_key=name&sort_dir=asc") == several[1::3]
    assert await names(client, "tag=t1&tag=t2") == []
    assert await names(client, "tag=red&tag=blue") == []
    assert await names(client, "shape=s0&colour=blue&sort=name:asc") == several[::2]
    assert await names(client, "shape=s0&colour=red") == []
    assert await names(client, "tag=t2&shape=s0&colour=blue&sort=name:asc") == ["i02", "i08"]


async def test_sort_keys_named_again_change_nothing(client: httpx.AsyncClient, several: list[str]) -> None:
    keys = [("sort_key", each) for each in ("name", "status", "name", "id")]
    directions = [("sort_dir", each) for each in ("asc", "asc", "desc", "desc")]
    assert await names(client, urlencode([*keys, *directions])) == several
    assert await names(client, "sort=" + ",".join(["name:asc"] * 500)) == several
    marker = (await client.get("/v2/images?sort=name:asc&limit=3")).json()["images"][-1]["id"]
    many = [("sort_key", name) for name in [*SORT_KEYS] * 150]
    async with frugal():
        page = await client.get(f"/v2/images?{urlencode([*many, ('sort_dir', 'asc'), ('marker', marker)])}")
    assert [each["name"] for each in page.json()["images"]] == several[3:]


@pytest.mark.parametrize("end", ["", "_min", "_max"])
@pytest.mark.parametrize(
    ("name", "most"), [("min_disk", 2**31), ("min_ram", 2**31), ("size", 2**63), ("virtual_size", 2**63)]
)
async def test_numbers_are_as_large_as_their_columns(client: httpx.AsyncClient, name: str, most: int, end: str) -> None:
    assert (await client.get(f"/v2/images?{name}{end}={most - 1}")).status_code == 200
    assert f"a whole number from 0 to {most - 1}" in await refused(client, {f"{name}{end}": str(most)})


@pytest.mark.parametrize("name", sorted({*QUERY, PROPERTY} - {*REPEATED}))
async def test_what_counts_once_is_refused_twice(client: httpx.AsyncClient, name: str) -> None:
    told = await refused(client, [(name, usual(name)), (name, usual(name))])
    assert f"{name} may be given once here, not 2 times" in told


@pytest.mark.parametrize("name", ["id", "name", "status", "disk_format", "owner", "checksum", "marker", "tag"])
async def test_what_a_filter_is_compared_with_is_short(client: httpx.AsyncClient, name: str) -> None:
    assert f"{name} has 255 characters at most, got 256" in await refused(client, {name: "x" * 256})
    if name in ("id", "name", "status", "disk_format"):
        for operator in ("in:", "eq:"):
            assert f"{name} has 255 characters" in await refused(client, {name: operator + "x" * 256})
    assert "The name of a property has 255 characters" in await refused(client, {"x" * 256: name})


async def test_a_property_is_as_long_as_every_database_keeps_it(client: httpx.AsyncClient) -> None:
    longest = "x" * MAX_TEXT_BYTES
    url = (await make(client, note=longest, other="é"))["self"]
    assert (await client.get(url)).json()["note"] == longest
    in_bytes = "é" * (MAX_TEXT_BYTES // 2) + "x"
    assert (await patch(client, url, {"op": "replace", "path": "/note", "value": in_bytes})).status_code == 200
    for longer in (longest + "x", in_bytes + "x", "é" * 57_000):
        for answer in (
            await client.post("/v2/images", json={"note": longer}),
            await patch(client, url, {"op": "replace", "path": "/note", "value": longer}),
        ):
            assert answer.status_code in (400, 413), answer.text
            assert "takes 65535 bytes at most in UTF-8" in answer.text or answer.status_code == 413
    assert (await client.get(url)).json()["note"] == in_bytes


async def test_the_properties_of_an_image_end_somewhere_together(client: httpx.AsyncClient) -> None:
    url = (await make(client, a="x" * 65_000))["self"]
    assert (await patch(client, url, {"op": "add", "path": "/b", "value": "x" * 65_000})).status_code == 200
    before = (await client.get(url)).json()
    answer = await patch(client, url, {"op": "add", "path": "/c", "value": "x" * 2000})
    assert answer.status_code == 413
    assert "131072 bytes at most together, not 132003" in answer.text
    assert (await client.get(url)).json() == before


async def test_a_page_ends_where_it_would_fill_the_memory(
    client: httpx.AsyncClient, several: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "BATCH", 5)
    monkeypatch.setattr(images, "MOST_CHARACTERS", 5)
    found, url, pages = [], "/v2/images?sort=name:asc&limit=12", 0
    while url:
        page = (await client.get(url)).json()
        found += [each["name"] for each in page["images"]]
        url, pages = page.get("next"), pages + 1
    assert found == several
    assert pages == 3


@pytest.mark.parametrize(
    "body",
    [{" colour": "x"}, {"colour ": "x"}, {"colour": "x", "colour ": "y"}, {" ": "x"}],
)
async def test_the_name_of_a_property_has_no_space_around_it(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("/v2/images", json=body)
    assert answer.status_code == 400
    assert "neither begins nor ends with a space" in answer.text


async def test_tags_have_no_space_around_them(client: httpx.AsyncClient) -> None:
    image = await make(client, name="i", tags=["red", "red ", " red", "dark blue"])
    assert image["tags"] == ["dark blue", "red"]
    assert (await client.put(f"{image['self']}/tags/green%20")).status_code == 204
    assert (await client.put(f"{image['self']}/tags/%20green")).status_code == 204
    assert (await client.get(image["self"])).json()["tags"] == ["dark blue", "green", "red"]
    assert await names(client, "tag=green") == ["i"]
    assert (await client.delete(f"{image['self']}/tags/green%20%20")).status_code == 204
    answer = await patch(client, image["self"], {"op": "replace", "path": "/tags", "value": ["x", "x "]})
    assert answer.json()["tags"] == ["x"]
