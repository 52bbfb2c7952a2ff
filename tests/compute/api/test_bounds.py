"""However much a request asks for, what it costs has a bound: what is beyond is refused before anything is made."""

import asyncio
import time
import tracemalloc
from typing import Any

import pytest

from kilonova.compute.app import ROUTES
from kilonova.compute.servers import requests
from kilonova.compute.tables import servers
from kilonova.kit.http.bounds import unbounded_parts

MANY = 10**400
PATIENCE_SECONDS = 1.0
"""Of processor time, for one request: others use this machine too."""
MOST_BYTES = 20 << 20


@pytest.fixture
async def ready(nova: Any) -> Any:
    await nova.flavor(id="1")
    await nova.register_host()
    nova.base = {"name": "web", "flavorRef": "1", "imageRef": await nova.image(), "networks": "none"}
    return nova


async def frugal(work: Any) -> None:
    """Waits for the work, which must take little time and memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        await work
        taken, (_now, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < PATIENCE_SECONDS * 4, taken
    assert peak < MOST_BYTES, peak


def test_each_part_of_a_body_has_a_bound() -> None:
    assert unbounded_parts(ROUTES) == []


@pytest.mark.parametrize("name", ["min_count", "max_count"])
@pytest.mark.parametrize("value", [MANY, str(MANY), -MANY, 1 << 31, "1" * 5000, 0, 1.5])
async def test_how_many_servers_is_a_number_of_a_few_digits(ready: Any, name: str, value: Any) -> None:
    # json.dumps refuses what Python would not read again: the digits are written by hand.
    await frugal(ready.refused("POST", "/servers", 400, json={"server": {**ready.base, name: value}}))


async def test_the_quota_is_looked_at_before_a_row_is_made(ready: Any, monkeypatch: Any) -> None:
    made: list[int] = []
    real = requests.make_servers

    def counted(*arguments: Any) -> Any:
        rows = real(*arguments)
        made.append(len(rows))
        return rows

    monkeypatch.setattr(requests, "make_servers", counted)
    many = {"server": {**ready.base, "min_count": 100_000, "max_count": 2_000_000_000}}
    assert "Quota exceeded for cores" in await ready.refused("POST", "/servers", 403, json=many)
    assert made == []
    as_many_as_possible = {"server": {**ready.base, "max_count": 2_000_000_000}}
    await frugal(ready.call("POST", "/servers", 202, json=as_many_as_possible))
    assert made == [10]


async def test_without_a_quota_one_request_makes_some_hundred(ready: Any, monkeypatch: Any) -> None:
    project_id = (await ready.who("demo")).project_id
    unlimited = {"quota_set": {"instances": -1, "cores": -1, "ram": -1}}
    await ready.call("PUT", f"/os-quota-sets/{project_id}", by="admin", json=unlimited)
    many = {"server": {**ready.base, "min_count": 501}}
    assert "500 servers at most" in await ready.refused("POST", "/servers", 400, json=many)
    monkeypatch.setattr("kilonova.compute.servers.creation.MOST_AT_ONCE", 20)
    await ready.call("POST", "/servers", 202, json={"server": {**ready.base, "max_count": 100_000}})
    async with ready.service.database.reading() as tx:
        assert len(await tx.tuples(servers.select())) == 20


LISTS: dict[str, Any] = {
    "networks": {"uuid": "0b6c9f0e-0000-4000-8000-000000000000"},
    "security_groups": {"name": "default"},
    "block_device_mapping_v2": {"source_type": "image"},
}


@pytest.mark.parametrize("name", LISTS)
async def test_lists_of_a_server_end_somewhere(ready: Any, name: str) -> None:
    told = await ready.refused("POST", "/servers", 400, json={"server": {**ready.base, name: [LISTS[name]] * 65}})
    assert f"$.server.{name}" in told


async def test_what_is_written_about_a_server_ends_somewhere(ready: Any) -> None:
    for change in (
        {"tags": [str(number) for number in range(51)]},
        {"metadata": {str(number): "" for number in range(1025)}},
        {"user_data": "QUFB" * 20_000},
        {"adminPass": "x" * 256},
        {"description": "x" * 256},
        {"accessIPv4": "1" * 65},
        {"flavorRef": "x" * 5000},
        {"imageRef": "x" * 5000},
    ):
        await ready.refused("POST", "/servers", 400, json={"server": {**ready.base, **change}})
    hints = {"different_host": ["0b6c9f0e-0000-4000-8000-000000000000"] * 65}
    body = {"server": ready.base, "os:scheduler_hints": hints}
    assert "64 servers at most" in await ready.refused("POST", "/servers", 400, json=body)


QUERIES = {
    "sort_key": "sort_key=display_name",
    "status": "status={}",
    "tags": "tags={}",
    "not-tags-any": "not-tags-any={}",
    "limit": "limit={}",
}


@pytest.mark.parametrize("times", [1, 10, 100, 1000])
@pytest.mark.parametrize("name", QUERIES)
async def test_a_parameter_that_is_repeated_costs_no_more(nova: Any, name: str, times: int) -> None:
    await asyncio.gather(*(nova.insert_server() for _ in range(5)))
    query = "&".join(QUERIES[name].format(number) for number in range(times))
    caller = await nova.api("demo")
    for url in ("/v2.1/servers", "/v2.1/servers/detail"):
        answer = await caller.get(f"{url}?{query}", headers={"openstack-api-version": "compute 2.60"})
        assert answer.status_code in (200, 400), answer.text
        began = time.process_time()
        await caller.get(f"{url}?{query}", headers={"openstack-api-version": "compute 2.60"})
        assert time.process_time() - began < PATIENCE_SECONDS


@pytest.mark.parametrize("name", ["tags", "tags-any", "not-tags", "not-tags-any"])
async def test_filters_by_tags_end_somewhere(nova: Any, name: str) -> None:
    tags = ",".join(str(number) for number in range(51))
    assert "50 tags at most" in await nova.refused("GET", f"/servers?{name}={tags}", 400)
    statuses = "&".join(f"status=x{number}" for number in range(33))
    assert "32 statuses at most" in await nova.refused("GET", f"/servers?{statuses}", 400)


async def test_extra_specs_of_a_flavor_end_somewhere(nova: Any) -> None:
    flavor = await nova.flavor()
    url = f"/flavors/{flavor['id']}/os-extra_specs"
    for start in (0, 128):
        specs = {f"key{number}": "x" for number in range(start, start + 128)}
        await nova.call("POST", url, by="admin", json={"extra_specs": specs})
    assert "256 extra specs" in await nova.refused("PUT", f"{url}/more", 403, by="admin", json={"more": "x"})
    await nova.call("PUT", f"{url}/key0", by="admin", json={"key0": "y"})


async def test_a_block_device_that_is_not_the_root_disk_as_it_is_is_refused(ready: Any) -> None:
    root = {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": ready.base["imageRef"]}
    as_it_is = {"device_name": "/dev/vda", "device_type": "disk", "delete_on_termination": True, "guest_format": None}
    server = {**ready.base, "block_device_mapping_v2": [{**root, **as_it_is}]}
    await ready.call("POST", "/servers", 202, json={"server": server})
    for change, part in (
        ({"delete_on_termination": False}, "deleted with its server"),
        ({"volume_size": 10}, "volume_size 10 cannot be chosen"),
        ({"device_name": "vdb"}, "device_name 'vdb'"),
        ({"disk_bus": "xen"}, "disk_bus 'xen'"),
        ({"device_type": "cdrom"}, "device_type 'cdrom'"),
        ({"guest_format": "ext4"}, "guest_format 'ext4'"),
        ({"tag": "a,b"}, "tag"),
        ({"volume_type": "ssd"}, "no volume_type"),
        ({"no_device": True}, "A local disk is"),
        ({"colour": "red"}, "unknown field"),
    ):
        server["block_device_mapping_v2"] = [{**root, **change}]
        assert part in await ready.refused("POST", "/servers", 400, json={"server": server})
