"""Aggregates: made, filled, zones of some, deleted."""

from typing import Any

URL = "/os-aggregates"
MANAGE = {"by": "admin"}


async def make(nova: Any, name: str, zone: str | None = None) -> str:
    body = {"aggregate": {"name": name, "availability_zone": zone}}
    made = (await nova.call("POST", URL, json=body, **MANAGE))["aggregate"]
    assert not {"hosts", "metadata"} & set(made)
    return f"{URL}/{made['id']}"


async def act(nova: Any, url: str, status: int = 200, **action: Any) -> Any:
    return await nova.call("POST", f"{url}/action", status, json=action, **MANAGE)


async def zone_of(nova: Any, host: str) -> str:
    (service,) = (await nova.call("GET", f"/os-services?host={host}", **MANAGE))["services"]
    zone: str = service["zone"]
    return zone


async def test_an_aggregate_is_made_filled_changed_emptied_and_deleted(nova: Any) -> None:
    await nova.register_host()
    url = await make(nova, "fast")
    shown = (await act(nova, url, add_host={"host": "node1"}))["aggregate"]
    assert (shown["name"], shown["hosts"], shown["availability_zone"]) == ("fast", ["node1"], None)
    shown = (await act(nova, url, set_metadata={"metadata": {"ssd": "true", "rack": "7"}}))["aggregate"]
    assert shown["metadata"] == {"ssd": "true", "rack": "7"}
    shown = (await act(nova, url, set_metadata={"metadata": {"rack": None}}))["aggregate"]
    assert shown["metadata"] == {"ssd": "true"}
    shown = (await nova.call("PUT", url, json={"aggregate": {"name": "faster"}}, **MANAGE))["aggregate"]
    assert (shown["name"], shown["deleted"]) == ("faster", False)
    assert (await nova.call("GET", url, **MANAGE))["aggregate"] == shown
    assert (await nova.call("GET", URL, **MANAGE))["aggregates"] == [shown]
    older = (await nova.call("GET", URL, by="admin", version="2.40"))["aggregates"][0]
    assert set(shown) - set(older) == {"uuid"}
    assert "not empty" in await nova.refused("DELETE", url, 409, **MANAGE)
    assert (await act(nova, url, remove_host={"host": "node1"}))["aggregate"]["hosts"] == []
    await nova.call("DELETE", url, **MANAGE)
    await nova.refused("GET", url, 404, **MANAGE)


async def test_an_aggregates_zone_is_its_hosts_zone(nova: Any) -> None:
    for host in ("node1", "node2"):
        await nova.register_host(host)
    url = await make(nova, "west", "west")
    await act(nova, url, add_host={"host": "node1"})
    assert [await zone_of(nova, host) for host in ("node1", "node2")] == ["west", "nova"]
    zones = (await nova.call("GET", "/os-availability-zone"))["availabilityZoneInfo"]
    assert {each["zoneName"] for each in zones} == {"west", "nova"}
    await nova.call("PUT", url, json={"aggregate": {"availability_zone": "far-west"}}, **MANAGE)
    assert await zone_of(nova, "node1") == "far-west"
    await act(nova, url, set_metadata={"metadata": {"availability_zone": None}})
    assert await zone_of(nova, "node1") == "nova"
    await act(nova, url, set_metadata={"metadata": {"availability_zone": "west"}})
    await nova.register_host("node1")
    assert await zone_of(nova, "node1") == "west"
    await act(nova, url, remove_host={"host": "node1"})
    assert await zone_of(nova, "node1") == "nova"


async def test_a_host_that_comes_with_a_zone_makes_or_joins_its_aggregate(nova: Any) -> None:
    assert (await nova.call("GET", URL, **MANAGE))["aggregates"] == []
    for host, zone in (("node1", ""), ("node2", "west"), ("node3", "west"), ("node3", "west")):
        await nova.register_host(host, zone=zone)
    (west,) = (await nova.call("GET", URL, **MANAGE))["aggregates"]
    assert (west["name"], west["availability_zone"]) == ("west", "west")
    assert (west["hosts"], west["metadata"]) == (["node2", "node3"], {"availability_zone": "west"})


async def test_a_host_is_in_one_zone_and_its_servers_keep_theirs(nova: Any) -> None:
    await nova.register_host()
    await nova.register_host("node2")
    west, east, fast = await make(nova, "w", "west"), await make(nova, "e", "east"), await make(nova, "fast")
    await act(nova, west, add_host={"host": "node1"})
    await act(nova, fast, add_host={"host": "node1"})

    async def refused(url: str, **action: Any) -> str:
        told: str = await nova.refused("POST", f"{url}/action", 409, json=action, **MANAGE)
        return told

    assert "it is in west already" in await refused(east, add_host={"host": "node1"})
    assert "it is in west already" in await refused(fast, set_metadata={"metadata": {"availability_zone": "east"}})
    assert "has host node1 already" in await refused(west, add_host={"host": "node1"})
    await nova.insert_server(host="node1")
    await nova.insert_server(host="node2")
    for url, action in (
        (west, {"remove_host": {"host": "node1"}}),
        (west, {"set_metadata": {"metadata": {"availability_zone": None}}}),
        (west, {"set_metadata": {"metadata": {"availability_zone": "east"}}}),
        (east, {"add_host": {"host": "node2"}}),
    ):
        assert "contain instances in this zone" in await refused(url, **action)
    await act(nova, fast, remove_host={"host": "node1"})
    assert [await zone_of(nova, host) for host in ("node1", "node2")] == ["west", "nova"]


REFUSED: list[tuple[Any, ...]] = [
    ("POST", "", {"aggregate": {"name": ""}}, 400),
    ("POST", "", {"aggregate": {"name": "x", "availability_zone": "a:b"}}, 400),
    ("POST", "", {"aggregate": {"name": "x", "hosts": []}}, 400),
    ("POST", "", {"aggregate": {"name": "one"}}, 409),
    ("PUT", "/1", {"aggregate": {}}, 400),
    ("PUT", "/1", {"aggregate": {"name": "two"}}, 409),
    ("PUT", "/9", {"aggregate": {"name": "x"}}, 404),
    ("GET", "/9", None, 404),
    ("GET", "/one", None, 404),
    ("DELETE", "/9", None, 404),
    ("POST", "/1/action", {"add_host": {"host": "nowhere"}}, 404),
    ("POST", "/1/action", {"remove_host": {"host": "nowhere"}}, 404),
    ("POST", "/1/action", {"add_host": {"host": ""}}, 400),
    ("POST", "/1/action", {"set_metadata": {"metadata": {"availability_zone": ""}}}, 400),
    ("POST", "/1/action", {"set_metadata": {"metadata": {"a": 1}}}, 400),
    ("POST", "/9/action", {"set_metadata": {"metadata": {}}}, 404),
]


async def test_what_cannot_be_meant_is_refused(nova: Any) -> None:
    await make(nova, "one")
    await make(nova, "two")
    for method, path, body, status in REFUSED:
        await nova.refused(method, URL + path, status, json=body, **MANAGE)


async def test_aggregates_are_for_administrators(nova: Any) -> None:
    await make(nova, "one")
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"aggregate": {"name": "x"}}),
        ("GET", "/1", None),
        ("PUT", "/1", {"aggregate": {"name": "x"}}),
        ("DELETE", "/1", None),
        ("POST", "/1/action", {"add_host": {"host": "node1"}}),
        ("POST", "/1/action", {"remove_host": {"host": "node1"}}),
        ("POST", "/1/action", {"set_metadata": {"metadata": {}}}),
    ):
        await nova.refused(method, URL + path, 403, json=body)


async def test_hosts_of_an_aggregate_fetch_images_ahead(nova: Any) -> None:
    asked: list[tuple[str, list[str]]] = []
    for name in ("node1", "node2", "node3"):

        async def cache(payload: Any, host: str = name) -> None:
            asked.append((host, [each["id"] for each in payload["images"]]))

        await nova.register_host(name)
        nova.service.bus.serve(f"nova-compute.{name}", {"cache_images": cache})
    number = (await nova.call("POST", "/os-aggregates", by="admin", json={"aggregate": {"name": "all"}}))["aggregate"][
        "id"
    ]
    url = f"/os-aggregates/{number}"
    for name in ("node1", "node2"):
        await nova.call("POST", f"{url}/action", by="admin", json={"add_host": {"host": name}})
    image_id = await nova.image()
    body = {"cache": [{"id": image_id}]}
    await nova.refused("POST", f"{url}/images", 403, json=body)
    await nova.refused("POST", f"{url}/images", 404, by="admin", version="2.80", json=body)
    await nova.call("POST", f"{url}/images", 202, by="admin", version="2.81", json=body)
    assert sorted(asked) == [("node1", [image_id]), ("node2", [image_id])]
    await nova.refused("POST", "/os-aggregates/77/images", 404, by="admin", json=body)
    missing = "0b6c9f0e-0000-4000-8000-000000000000"
    for bad in ([], [{"id": "cirros"}], [{"id": missing}], [{"id": image_id}] * 2, [{"id": image_id, "why": "x"}]):
        await nova.refused("POST", f"{url}/images", 400, by="admin", json={"cache": bad})
