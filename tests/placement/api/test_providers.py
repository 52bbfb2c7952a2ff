"""Providers with their inventories, traits and aggregates, as stories."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

OLD = {"openstack-api-version": "placement 1.0"}
A, B, C = (f"00000000-0000-0000-0000-00000000000{digit}" for digit in "abc")


async def make(client: httpx.AsyncClient, provider_id: str, name: str, parent: str | None = None) -> dict[str, Any]:
    response = await client.post(
        "/resource_providers", json={"uuid": provider_id, "name": name, "parent_provider_uuid": parent}
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def error_of(response: httpx.Response) -> tuple[int, str]:
    (error,) = response.json()["errors"]
    return response.status_code, error["code"].removeprefix("placement.")


async def test_a_provider_is_missing_created_shown_renamed_and_deleted(client: httpx.AsyncClient) -> None:
    url = f"/resource_providers/{A}"
    assert (await client.get(url)).status_code == 404
    created = await client.post("/resource_providers", json={"uuid": A, "name": "a"})
    assert created.headers["location"] == f"http://service.local{url}"
    assert created.json() == {
        "uuid": A,
        "name": "a",
        "generation": 0,
        "parent_provider_uuid": None,
        "root_provider_uuid": A,
        "links": [
            {"rel": "self", "href": url},
            *(
                {"rel": each, "href": f"{url}/{each}"}
                for each in ("inventories", "usages", "aggregates", "traits", "allocations")
            ),
        ],
    }
    shown = await client.get(url)
    assert shown.json() == created.json()
    assert shown.headers["cache-control"] == "no-cache"
    assert shown.headers["last-modified"].endswith("GMT")
    assert (await client.get("/resource_providers")).json() == {"resource_providers": [created.json()]}
    renamed = await client.put(url, json={"name": "b"})
    assert renamed.json() == {**created.json(), "name": "b"}
    assert (await client.delete(url)).status_code == 204
    assert (await client.delete(url)).status_code == 404


async def test_the_first_version_knows_less_of_a_provider(client: httpx.AsyncClient) -> None:
    created = await client.post("/resource_providers", json={"uuid": A, "name": "a"}, headers=OLD)
    assert (created.status_code, created.content) == (201, b"")
    shown = await client.get(f"/resource_providers/{A}", headers=OLD)
    assert sorted(shown.json()) == ["generation", "links", "name", "uuid"]
    assert [link["rel"] for link in shown.json()["links"]] == ["self", "inventories", "usages"]
    assert "cache-control" not in shown.headers
    assert shown.headers["openstack-api-version"] == "placement 1.0"
    (listed,) = (await client.get("/resource_providers", headers=OLD)).json()["resource_providers"]
    assert listed == shown.json()
    refused = await client.post("/resource_providers", json={"name": "b", "parent_provider_uuid": A}, headers=OLD)
    assert refused.status_code == 400


async def test_names_and_ids_are_taken_once(client: httpx.AsyncClient) -> None:
    await make(client, A, "a")
    await make(client, B, "b")
    for body in ({"uuid": A, "name": "other"}, {"name": "a"}):
        assert error_of(await client.post("/resource_providers", json=body)) == (409, "duplicate_name")
    assert error_of(await client.put(f"/resource_providers/{B}", json={"name": "a"})) == (409, "duplicate_name")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "x", "uuid": "not-one"},
        {"name": "x", "colour": "blue"},
        {"name": "x", "parent_provider_uuid": C},
        {"name": "x", "uuid": C, "parent_provider_uuid": C},
        ["x"],
    ],
)
async def test_a_bad_provider_is_400(client: httpx.AsyncClient, body: Any) -> None:
    assert (await client.post("/resource_providers", json=body)).status_code == 400


async def test_a_tree_moves_with_its_root_and_never_becomes_a_ring(client: httpx.AsyncClient) -> None:
    await make(client, A, "a")
    await make(client, B, "b", parent=A)
    leaf = await make(client, C, "c", parent=B)
    assert leaf["root_provider_uuid"] == A
    assert error_of(await client.delete(f"/resource_providers/{A}")) == (
        409,
        "resource_provider.cannot_delete_parent",
    )
    ring = await client.put(f"/resource_providers/{A}", json={"name": "a", "parent_provider_uuid": C})
    assert ring.status_code == 400
    assert "loop" in ring.json()["errors"][0]["detail"]
    old = {"openstack-api-version": "placement 1.36"}
    body = {"name": "b", "parent_provider_uuid": None}
    assert (await client.put(f"/resource_providers/{B}", json=body, headers=old)).status_code == 400
    freed = (await client.put(f"/resource_providers/{B}", json=body)).json()
    assert (freed["parent_provider_uuid"], freed["root_provider_uuid"]) == (None, B)
    assert (await client.get(f"/resource_providers/{C}")).json()["root_provider_uuid"] == B
    tree = (await client.get(f"/resource_providers?in_tree={C}")).json()["resource_providers"]
    assert [each["uuid"] for each in tree] == [B, C]


async def test_lists_are_narrowed_by_every_parameter(client: httpx.AsyncClient) -> None:
    aggregate, other = str(uuid4()), str(uuid4())
    await make(client, A, "a")
    await make(client, B, "b")
    await client.put("/traits/CUSTOM_FAST")
    await client.put(
        f"/resource_providers/{A}/traits",
        json={"resource_provider_generation": 0, "traits": ["CUSTOM_FAST", "HW_CPU_X86_AVX"]},
    )
    await client.put(
        f"/resource_providers/{A}/inventories",
        json={"resource_provider_generation": 1, "inventories": {"VCPU": {"total": 4, "max_unit": 2}}},
    )
    await client.put(
        f"/resource_providers/{A}/aggregates",
        json={"resource_provider_generation": 2, "aggregates": [aggregate]},
    )

    async def found(query: str) -> list[str]:
        response = await client.get(f"/resource_providers?{query}")
        assert response.status_code == 200, response.text
        return [each["name"] for each in response.json()["resource_providers"]]

    assert await found("") == ["a", "b"]
    assert await found("name=b") == ["b"]
    assert await found(f"uuid={A}") == ["a"]
    assert await found(f"in_tree={uuid4()}") == []
    assert await found("required=CUSTOM_FAST,HW_CPU_X86_AVX") == ["a"]
    assert await found("required=!CUSTOM_FAST") == ["b"]
    assert await found("required=in:CUSTOM_FAST,HW_CPU_X86_SSE&required=!HW_CPU_X86_VMX") == ["a"]
    assert await found(f"member_of={aggregate}") == ["a"]
    assert await found(f"member_of=in:{aggregate},{other}") == ["a"]
    assert await found(f"member_of=!{aggregate}") == ["b"]
    assert await found("resources=VCPU:2") == ["a"]
    assert await found("resources=VCPU:3") == []
    assert await found("resources=VCPU:1&name=b") == []


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("colour=blue", "1.39"),
        ("uuid=x", "1.39"),
        ("in_tree=x", "1.39"),
        ("in_tree=" + A, "1.13"),
        ("member_of=x", "1.39"),
        (f"member_of={A},{B}", "1.39"),
        (f"member_of=!{A}", "1.31"),
        (f"member_of={A}&member_of={B}", "1.23"),
        ("required=", "1.39"),
        ("required=!CUSTOM_A", "1.21"),
        ("required=in:CUSTOM_A", "1.38"),
        ("required=in:!CUSTOM_A", "1.39"),
        ("required=in:", "1.39"),
        ("required=CUSTOM_NOT_THERE", "1.39"),
        ("resources=", "1.39"),
        ("resources=VCPU", "1.39"),
        ("resources=VCPU:x", "1.39"),
        ("resources=VCPU:0", "1.39"),
        ("resources=CUSTOM_NOT_THERE:1", "1.39"),
    ],
)
async def test_a_bad_query_is_400(client: httpx.AsyncClient, query: str, version: str) -> None:
    response = await client.get(
        f"/resource_providers?{query}", headers={"openstack-api-version": f"placement {version}"}
    )
    assert response.status_code == 400, response.text


async def test_inventory_is_set_shown_changed_and_deleted(client: httpx.AsyncClient) -> None:
    await make(client, A, "a")
    url = f"/resource_providers/{A}/inventories"
    assert (await client.get(url)).json() == {"resource_provider_generation": 0, "inventories": {}}
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8, "allocation_ratio": 4.0}}}
    after = (await client.put(url, json=body)).json()
    assert after["resource_provider_generation"] == 1
    assert after["inventories"]["VCPU"] == {
        "total": 8,
        "reserved": 0,
        "min_unit": 1,
        "max_unit": 2147483647,
        "step_size": 1,
        "allocation_ratio": 4.0,
    }
    created = await client.post(url, json={"resource_class": "DISK_GB", "total": 100})
    assert created.status_code == 201
    assert created.headers["location"].endswith(f"{url}/DISK_GB")
    assert created.json()["resource_provider_generation"] == 2
    assert error_of(await client.post(url, json={"resource_class": "DISK_GB", "total": 1})) == (
        409,
        "concurrent_update",
    )
    changed = await client.put(f"{url}/DISK_GB", json={"resource_provider_generation": 2, "total": 50})
    assert (changed.json()["total"], changed.json()["resource_provider_generation"]) == (50, 3)
    assert (await client.get(f"{url}/DISK_GB")).json() == changed.json()
    assert (await client.delete(f"{url}/DISK_GB")).status_code == 204
    assert (await client.get(f"{url}/DISK_GB")).status_code == 404
    assert (await client.delete(f"{url}/DISK_GB")).status_code == 404
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).json() == {"resource_provider_generation": 5, "inventories": {}}
    too_old = await client.delete(url, headers=OLD)
    assert too_old.status_code == 405
    assert "GET" in too_old.headers["allow"]


@pytest.mark.parametrize(
    ("inventory", "version"),
    [
        ({}, "1.39"),
        ({"total": 0}, "1.39"),
        ({"total": 2**31}, "1.39"),
        ({"total": 1, "reserved": 2}, "1.39"),
        ({"total": 1, "reserved": 1}, "1.25"),
        ({"total": 1, "step_size": 0}, "1.39"),
        ({"total": 1, "allocation_ratio": 1e39}, "1.39"),
        ({"total": 1, "colour": "blue"}, "1.39"),
    ],
)
async def test_a_bad_inventory_is_400(client: httpx.AsyncClient, inventory: Any, version: str) -> None:
    await make(client, A, "a")
    headers = {"openstack-api-version": f"placement {version}"}
    url = f"/resource_providers/{A}/inventories"
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": inventory}}
    assert (await client.put(url, json=body, headers=headers)).status_code == 400
    posted = await client.post(url, json={"resource_class": "VCPU", **inventory}, headers=headers)
    assert posted.status_code == 400


async def test_an_inventory_of_what_does_not_exist_is_refused(client: httpx.AsyncClient) -> None:
    await make(client, A, "a")
    url = f"/resource_providers/{A}/inventories"
    unknown = {"resource_provider_generation": 0, "inventories": {"CUSTOM_MAGIC": {"total": 1}}}
    assert (await client.put(url, json=unknown)).status_code == 400
    assert (await client.post(url, json={"resource_class": "CUSTOM_MAGIC", "total": 1})).status_code == 400
    assert (await client.put(f"{url}/VCPU", json={"resource_provider_generation": 0, "total": 1})).status_code == 400
    assert (await client.put(f"/resource_providers/{B}/inventories", json=unknown)).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("inventories", {"inventories": {}}),
        ("inventories/VCPU", {"total": 1}),
        ("traits", {"traits": []}),
        ("aggregates", {"aggregates": []}),
    ],
)
async def test_what_was_seen_too_long_ago_is_not_overwritten(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    await make(client, A, "a")
    await client.post(f"/resource_providers/{A}/inventories", json={"resource_class": "VCPU", "total": 1})
    response = await client.put(f"/resource_providers/{A}/{path}", json={**body, "resource_provider_generation": 0})
    assert error_of(response) == (409, "concurrent_update")


async def test_traits_of_a_provider_raise_its_generation_only_when_they_change(client: httpx.AsyncClient) -> None:
    await make(client, A, "a")
    url = f"/resource_providers/{A}/traits"
    await client.put("/traits/CUSTOM_B")
    body = {"resource_provider_generation": 0, "traits": ["CUSTOM_B", "COMPUTE_NODE"]}
    expected = {"resource_provider_generation": 1, "traits": ["COMPUTE_NODE", "CUSTOM_B"]}
    assert (await client.put(url, json=body)).json() == expected
    again = await client.put(url, json={**body, "resource_provider_generation": 1})
    assert again.json() == (await client.get(url)).json() == expected
    unknown = {"resource_provider_generation": 1, "traits": ["CUSTOM_NO"]}
    assert (await client.put(url, json=unknown)).status_code == 400
    in_use = await client.delete("/traits/CUSTOM_B")
    assert in_use.status_code == 409
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).json() == {"resource_provider_generation": 2, "traits": []}
    assert (await client.delete("/traits/CUSTOM_B")).status_code == 204
    assert (await client.get(f"/resource_providers/{B}/traits")).status_code == 404


async def test_aggregates_are_set_as_a_list_in_old_versions(client: httpx.AsyncClient) -> None:
    await make(client, A, "a")
    url, aggregate = f"/resource_providers/{A}/aggregates", str(uuid4())
    old = {"openstack-api-version": "placement 1.18"}
    assert (await client.put(url, json=[aggregate], headers=old)).json() == {"aggregates": [aggregate]}
    assert (await client.get(url, headers=old)).json() == {"aggregates": [aggregate]}
    assert (await client.get(url)).json() == {"aggregates": [aggregate], "resource_provider_generation": 0}
    newer = {"aggregates": [], "resource_provider_generation": 0}
    assert (await client.put(url, json=newer)).json() == {"aggregates": [], "resource_provider_generation": 1}
    assert (await client.put(url, json=[aggregate, aggregate], headers=old)).status_code == 400
    assert (await client.get(url, headers=OLD)).status_code == 404


async def test_media_types_are_refused_before_the_body_is_read(client: httpx.AsyncClient) -> None:
    text = {"content-type": "text/plain"}
    assert (await client.post("/resource_providers", content=b"{", headers=text)).status_code == 415
    assert (await client.post("/resource_providers", content=b"{}")).status_code == 400
    assert (await client.get("/resource_providers", headers={"accept": "text/html"})).status_code == 406
    browser = {"accept": "text/html,*/*;q=0.8"}
    assert (await client.get("/resource_providers", headers=browser)).status_code == 200
    assert (await client.get("/resource_providers", headers={"accept": "*/*;q=0"})).status_code == 406
