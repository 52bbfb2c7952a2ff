"""However much is asked of placement, what it costs has a bound."""

import json
import time

import httpx
import pytest

from kilonova.kit.http.bounds import unbounded_parts
from kilonova.placement import candidate_groups
from kilonova.placement.app import ROUTES
from kilonova.placement.candidate_groups import Group, Part, Supply, Wanted, combine
from kilonova.placement.errors import TooManyWays

PROVIDER = "00000000-0000-0000-0000-000000000001"


def test_each_part_of_a_body_has_a_bound() -> None:
    assert unbounded_parts(ROUTES) == []


async def test_groups_are_counted_before_they_are_looked_for(client: httpx.AsyncClient) -> None:
    query = "&".join(f"resources{number}=VCPU:1" for number in range(1, 34))
    response = await client.get(f"/allocation_candidates?{query}&group_policy=none")
    assert response.status_code == 400
    assert "32 groups" in response.json()["errors"][0]["detail"]


@pytest.mark.parametrize("amount", ["1" * 400, "1" * 5000, str(1 << 31), "-1", "1.5", "²"])
async def test_amounts_are_numbers_of_a_few_digits(client: httpx.AsyncClient, amount: str) -> None:
    for url in ("/allocation_candidates", "/resource_providers"):
        began = time.process_time()
        response = await client.get(url, params={"resources": f"VCPU:{amount}"})
        assert response.status_code == 400, response.text
        assert time.process_time() - began < 1
    await client.post("/resource_providers", json={"uuid": PROVIDER, "name": "host"})
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": "TOTAL"}}}
    content = json.dumps(body).replace('"TOTAL"', amount if amount.lstrip("-").isascii() else "null")
    headers = {"content-type": "application/json"}
    response = await client.put(f"/resource_providers/{PROVIDER}/inventories", content=content, headers=headers)
    assert response.status_code == 400, response.text


async def test_conditions_count_once_and_are_counted(client: httpx.AsyncClient) -> None:
    for name, value, url in (
        ("required", "HW_CPU_X86_VMX", "/resource_providers"),
        ("member_of", PROVIDER, "/resource_providers"),
        ("required", "HW_CPU_X86_VMX", "/allocation_candidates"),
        ("member_of", PROVIDER, "/allocation_candidates"),
    ):
        conditions = [("resources", "VCPU:1"), *[(name, value)] * 600]
        assert (await client.get(url, params=conditions)).status_code == 200
    many = [("member_of", f"00000000-0000-0000-0000-{number:012}") for number in range(257)]
    response = await client.get("/resource_providers", params=many)
    assert response.status_code == 400
    assert "256 things at most" in response.json()["errors"][0]["detail"]


@pytest.mark.parametrize("ratio", ["-1.7e308", "-1e39", "3.5e38", "1e400", "-1", "NaN"])
async def test_a_ratio_keeps_capacities_finite(client: httpx.AsyncClient, ratio: str) -> None:
    await client.post("/resource_providers", json={"uuid": PROVIDER, "name": "host"})
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": (1 << 31) - 1, "allocation_ratio": 7}}}
    content = json.dumps(body).replace(": 7}", f": {ratio}}}")
    headers = {"content-type": "application/json"}
    response = await client.put(f"/resource_providers/{PROVIDER}/inventories", content=content, headers=headers)
    assert response.status_code == 400, response.text


def test_ways_of_putting_groups_together_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_groups, "MOST_TRIED", 1000)
    givers = [f"p{number}" for number in range(30)]
    groups = tuple(Group(suffix, {"VCPU": 1}) for suffix in ("1", "2", "3", "4"))
    parts = {
        group.suffix: [Part(group.suffix, "root", ((giver, "VCPU", 1),), frozenset((giver,))) for giver in givers]
        for group in groups
    }
    supply = Supply(free={(giver, "VCPU"): (100, 100) for giver in givers})
    with pytest.raises(TooManyWays, match="More than 1000 ways"):
        list(combine(Wanted(groups=groups), parts, supply))
