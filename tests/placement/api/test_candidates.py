"""Allocation candidates through the API: flat, nested and shared, in groups, limited, refused."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

IDS = {name: f"00000000-0000-0000-0000-00000000000{digit}" for digit, name in enumerate(("a", "b", "n0", "n1", "d"), 1)}
NAMES = {provider_id: name for name, provider_id in IDS.items()}
AGGREGATE = "aaaaaaaa-0000-0000-0000-000000000001"
SHARES = "MISC_SHARES_VIA_AGGREGATE"


def version(number: str) -> dict[str, str]:
    return {"openstack-api-version": f"placement {number}"}


async def make(
    client: httpx.AsyncClient,
    name: str,
    stock: dict[str, int],
    *,
    parent: str | None = None,
    traits: tuple[str, ...] = (),
    aggregates: tuple[str, ...] = (),
) -> None:
    parent_id = IDS[parent] if parent else None
    body = {"uuid": IDS[name], "name": name, "parent_provider_uuid": parent_id}
    generation = (await client.post("/resource_providers", json=body)).json()["generation"]
    url = f"/resource_providers/{IDS[name]}"
    for path, content in (
        ("inventories", {each: {"total": total} for each, total in stock.items()}),
        ("traits", list(traits)),
        ("aggregates", list(aggregates)),
    ):
        if content:
            body = {"resource_provider_generation": generation, path: content}
            response = await client.put(f"{url}/{path}", json=body)
            assert response.status_code == 200, response.text
            generation = response.json()["resource_provider_generation"]


async def ask(client: httpx.AsyncClient, query: str, number: str = "1.39") -> list[dict[str, dict[str, int]]]:
    """Each candidate as provider's name → resources."""
    response = await client.get(f"/allocation_candidates?{query}", headers=version(number))
    assert response.status_code == 200, response.text
    return [
        {NAMES[provider_id]: each["resources"] for provider_id, each in request["allocations"].items()}
        for request in response.json()["allocation_requests"]
    ]


@pytest.fixture
async def flat(client: httpx.AsyncClient) -> None:
    await make(client, "a", {"VCPU": 4, "MEMORY_MB": 1024}, traits=("HW_CPU_X86_AVX", "COMPUTE_NODE"))
    await make(client, "b", {"VCPU": 8}, traits=("COMPUTE_NODE",), aggregates=(AGGREGATE,))


@pytest.mark.usefixtures("flat")
async def test_hosts_are_found_by_what_they_have(client: httpx.AsyncClient) -> None:
    assert await ask(client, "resources=VCPU:2") == [{"a": {"VCPU": 2}}, {"b": {"VCPU": 2}}]
    assert await ask(client, "resources=VCPU:2&limit=1") == [{"a": {"VCPU": 2}}]
    assert await ask(client, "resources=VCPU:2,MEMORY_MB:64") == [{"a": {"VCPU": 2, "MEMORY_MB": 64}}]
    assert await ask(client, "resources=VCPU:9") == []
    assert await ask(client, "resources=VCPU:2&required=HW_CPU_X86_AVX") == [{"a": {"VCPU": 2}}]
    assert await ask(client, "resources=VCPU:2&required=COMPUTE_NODE,!HW_CPU_X86_AVX") == [{"b": {"VCPU": 2}}]
    either = "required=in:HW_CPU_X86_AVX,HW_CPU_X86_SSE&required=COMPUTE_NODE"
    assert await ask(client, f"resources=VCPU:2&{either}") == [{"a": {"VCPU": 2}}]
    assert await ask(client, f"resources=VCPU:2&member_of={AGGREGATE}") == [{"b": {"VCPU": 2}}]
    assert await ask(client, f"resources=VCPU:2&member_of=!{AGGREGATE}") == [{"a": {"VCPU": 2}}]
    assert await ask(client, f"resources=VCPU:2&in_tree={IDS['b']}") == [{"b": {"VCPU": 2}}]
    assert await ask(client, f"resources=VCPU:2&in_tree={uuid4()}") == []
    assert await ask(client, "resources=VCPU:2&root_required=!HW_CPU_X86_AVX") == [{"b": {"VCPU": 2}}]
    assert await ask(client, "resources=VCPU:2&root_required=HW_CPU_X86_AVX&limit=1") == [{"a": {"VCPU": 2}}]


@pytest.mark.usefixtures("flat")
async def test_the_answer_can_be_claimed_and_describes_the_hosts(client: httpx.AsyncClient) -> None:
    found = (await client.get("/allocation_candidates?resources=VCPU:1,MEMORY_MB:64")).json()
    (request,) = found["allocation_requests"]
    assert request["mappings"] == {"": [IDS["a"]]}
    body = {**request, "consumer_generation": None, "consumer_type": "T", "project_id": "p", "user_id": "u"}
    assert (await client.put(f"/allocations/{uuid4()}", json=body)).status_code == 204
    again = (await client.get("/allocation_candidates?resources=VCPU:1,MEMORY_MB:64")).json()
    assert again["provider_summaries"] == {
        IDS["a"]: {
            "resources": {"VCPU": {"capacity": 4, "used": 1}, "MEMORY_MB": {"capacity": 1024, "used": 64}},
            "traits": ["COMPUTE_NODE", "HW_CPU_X86_AVX"],
            "parent_provider_uuid": None,
            "root_provider_uuid": IDS["a"],
        }
    }


@pytest.mark.usefixtures("flat")
async def test_older_versions_show_less(client: httpx.AsyncClient) -> None:
    async def show(number: str) -> Any:
        url = "/allocation_candidates?resources=VCPU:5"
        return (await client.get(url, headers=version(number))).json()

    listed = {"allocations": [{"resource_provider": {"uuid": IDS["b"]}, "resources": {"VCPU": 5}}]}
    assert await show("1.10") == {
        "allocation_requests": [listed],
        "provider_summaries": {IDS["b"]: {"resources": {"VCPU": {"capacity": 8, "used": 0}}}},
    }
    assert (await show("1.12"))["allocation_requests"] == [{"allocations": {IDS["b"]: {"resources": {"VCPU": 5}}}}]
    assert "traits" in (await show("1.17"))["provider_summaries"][IDS["b"]]
    assert "mappings" in (await show("1.34"))["allocation_requests"][0]
    assert (await client.get("/allocation_candidates?resources=VCPU:1", headers=version("1.9"))).status_code == 404


@pytest.fixture
async def nested(client: httpx.AsyncClient) -> None:
    """Host `a` with its disk, and two NUMA nodes of which the second is fast."""
    await make(client, "a", {"DISK_GB": 100}, traits=("COMPUTE_NODE",), aggregates=(AGGREGATE,))
    await make(client, "n0", {"VCPU": 4, "MEMORY_MB": 512}, parent="a")
    await make(client, "n1", {"VCPU": 4, "MEMORY_MB": 512}, parent="a", traits=("HW_CPU_X86_AVX",))


@pytest.mark.usefixtures("nested")
async def test_a_tree_serves_a_request_together(client: httpx.AsyncClient) -> None:
    found = await ask(client, "resources=VCPU:1,DISK_GB:10")
    assert found == [{"n0": {"VCPU": 1}, "a": {"DISK_GB": 10}}, {"n1": {"VCPU": 1}, "a": {"DISK_GB": 10}}]
    assert len(await ask(client, "resources=VCPU:1,MEMORY_MB:64,DISK_GB:10")) == 4
    together = await ask(client, "resources=VCPU:1,MEMORY_MB:64&required=HW_CPU_X86_AVX")
    assert len(together) == 3
    assert all("n1" in each for each in together)
    assert await ask(client, "resources=VCPU:1&required=!HW_CPU_X86_AVX") == [{"n0": {"VCPU": 1}}]
    assert len(await ask(client, f"resources=VCPU:1&member_of={AGGREGATE}")) == 2
    assert await ask(client, f"resources=VCPU:1&member_of=!{AGGREGATE}") == []
    assert await ask(client, "resources=VCPU:5") == []
    # Who knows no trees gets nothing that takes from two providers of one.
    assert await ask(client, "resources=VCPU:1,DISK_GB:10", "1.28") == []
    assert len(await ask(client, "resources=VCPU:1,MEMORY_MB:64", "1.28")) == 2
    summaries = (await client.get("/allocation_candidates?resources=DISK_GB:1")).json()["provider_summaries"]
    assert set(summaries) == {IDS["a"], IDS["n0"], IDS["n1"]}
    assert summaries[IDS["n0"]]["root_provider_uuid"] == IDS["a"]


@pytest.mark.usefixtures("nested")
async def test_groups_are_served_each_by_one_provider(client: httpx.AsyncClient) -> None:
    one = "resources1=VCPU:1,MEMORY_MB:64"
    assert await ask(client, one) == [{name: {"VCPU": 1, "MEMORY_MB": 64}} for name in ("n0", "n1")]
    assert await ask(client, f"{one}&required1=HW_CPU_X86_AVX") == [{"n1": {"VCPU": 1, "MEMORY_MB": 64}}]
    two = "resources1=VCPU:3&resources2=VCPU:1"
    apart = await ask(client, f"{two}&group_policy=isolate")
    assert apart == [{"n0": {"VCPU": 3}, "n1": {"VCPU": 1}}, {"n1": {"VCPU": 3}, "n0": {"VCPU": 1}}]
    assert await ask(client, f"{two}&group_policy=none") == [
        {"n0": {"VCPU": 4}},
        {"n0": {"VCPU": 3}, "n1": {"VCPU": 1}},
        {"n1": {"VCPU": 3}, "n0": {"VCPU": 1}},
        {"n1": {"VCPU": 4}},
    ]
    assert len(await ask(client, "resources1=VCPU:3&resources2=VCPU:2&group_policy=none")) == 2
    assert await ask(client, "resources=DISK_GB:1&resources_NUMA=VCPU:4&required_NUMA=HW_CPU_X86_AVX") == [
        {"a": {"DISK_GB": 1}, "n1": {"VCPU": 4}}
    ]
    answer = (await client.get(f"/allocation_candidates?{two}&group_policy=isolate&limit=1")).json()
    assert answer["allocation_requests"][0]["mappings"] == {"1": [IDS["n0"]], "2": [IDS["n1"]]}


@pytest.mark.usefixtures("nested")
async def test_groups_can_be_kept_in_one_subtree(client: httpx.AsyncClient) -> None:
    two = "resources1=VCPU:1&resources2=MEMORY_MB:64&group_policy=none"
    assert len(await ask(client, two)) == 4
    together = [{name: {"VCPU": 1, "MEMORY_MB": 64}} for name in ("n0", "n1")]
    assert await ask(client, f"{two}&same_subtree=1,2") == together
    # A group without resources may stand above them.
    above = f"{two}&required_TOP=COMPUTE_NODE&same_subtree=1,2,_TOP"
    assert len(await ask(client, above)) == 4
    fast = f"{two}&required_TOP=HW_CPU_X86_AVX&same_subtree=1,2,_TOP"
    assert await ask(client, fast) == together[1:]


@pytest.fixture
async def shared(client: httpx.AsyncClient) -> None:
    """Two hosts without disks, of which `a` has a share of the disks at `d`."""
    await make(client, "a", {"VCPU": 4}, aggregates=(AGGREGATE,))
    await make(client, "b", {"VCPU": 4})
    await make(client, "d", {"DISK_GB": 100}, traits=(SHARES, "STORAGE_DISK_SSD"), aggregates=(AGGREGATE,))


@pytest.mark.usefixtures("shared")
async def test_what_is_shared_serves_the_hosts_of_its_aggregates(client: httpx.AsyncClient) -> None:
    both = [{"a": {"VCPU": 1}, "d": {"DISK_GB": 10}}]
    assert await ask(client, "resources=VCPU:1,DISK_GB:10") == both
    assert await ask(client, "resources=VCPU:1,DISK_GB:10&required=STORAGE_DISK_SSD") == both
    assert await ask(client, "resources=VCPU:1,DISK_GB:10&required=!STORAGE_DISK_SSD") == []
    assert await ask(client, f"resources=VCPU:1,DISK_GB:10&in_tree={IDS['a']}") == []
    assert await ask(client, "resources=DISK_GB:10") == [{"d": {"DISK_GB": 10}}]
    assert await ask(client, "resources=VCPU:1&resources1=DISK_GB:10") == both
    assert await ask(client, f"resources=VCPU:1,DISK_GB:10&member_of={AGGREGATE}") == both
    assert len(await ask(client, "resources=VCPU:1")) == 2


@pytest.mark.parametrize(
    ("query", "number", "code"),
    [
        ("", "1.39", "query.missing_value"),
        ("", "1.24", "undefined_code"),
        ("", "1.35", "undefined_code"),
        ("resources=", "1.39", "undefined_code"),
        ("resources=CUSTOM_NOT_THERE:1", "1.39", "undefined_code"),
        ("resources=VCPU:1&required=CUSTOM_NOT_THERE", "1.39", "undefined_code"),
        ("resources=VCPU:1&colour=blue", "1.39", "undefined_code"),
        ("resources=VCPU:1&limit=0", "1.39", "undefined_code"),
        ("resources=VCPU:1&limit=5", "1.15", "undefined_code"),
        ("resources=VCPU:1&required=COMPUTE_NODE", "1.16", "undefined_code"),
        (f"resources=VCPU:1&member_of={AGGREGATE}", "1.20", "undefined_code"),
        ("resources=VCPU:1&required=!COMPUTE_NODE", "1.21", "undefined_code"),
        ("resources1=VCPU:1", "1.24", "undefined_code"),
        (f"resources=VCPU:1&in_tree={AGGREGATE}", "1.30", "undefined_code"),
        ("resources_A=VCPU:1", "1.32", "undefined_code"),
        ("resources=VCPU:1&root_required=COMPUTE_NODE", "1.34", "undefined_code"),
        ("resources1=VCPU:1&same_subtree=1", "1.35", "undefined_code"),
        ("resources=VCPU:1&required=COMPUTE_NODE,!COMPUTE_NODE", "1.39", "undefined_code"),
        ("resources1=VCPU:1&resources2=VCPU:1", "1.39", "undefined_code"),
        ("resources1=VCPU:1&group_policy=maybe", "1.39", "undefined_code"),
        ("resources=VCPU:1&required1=COMPUTE_NODE", "1.35", "undefined_code"),
        (f"resources=VCPU:1&member_of1={AGGREGATE}", "1.35", "undefined_code"),
        (f"resources=VCPU:1&in_tree1={AGGREGATE}", "1.35", "undefined_code"),
        ("resources=VCPU:1&required1=COMPUTE_NODE", "1.39", "query.bad_value"),
        ("resources1=VCPU:1&same_subtree=1,2", "1.39", "query.bad_value"),
        ("resources1=VCPU:1&same_subtree=1,", "1.39", "query.bad_value"),
        ("resources=VCPU:1&root_required=A,!A", "1.39", "query.bad_value"),
        ("resources=VCPU:1&root_required=A&root_required=B", "1.39", "query.duplicate_key"),
    ],
)
async def test_a_bad_query_is_400(client: httpx.AsyncClient, query: str, number: str, code: str) -> None:
    response = await client.get(f"/allocation_candidates?{query}", headers=version(number))
    assert response.status_code == 400, response.text
    assert response.json()["errors"][0]["code"] == f"placement.{code}"
