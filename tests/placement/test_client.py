"""The client other services use, against the real placement."""

from typing import Any
from uuid import uuid4

import pytest

from kilonova.kit.http.client import RemoteFault
from kilonova.placement.client import ClaimConflict, Inventory, PlacementClient

HOST = "00000000-0000-0000-0000-00000000000a"
OWNER = {"project_id": "p", "user_id": "u"}


@pytest.fixture
def remote(app: Any, identity: Any) -> PlacementClient:
    return PlacementClient(identity.remote("placement", app, "nova"))


@pytest.fixture
async def host(remote: PlacementClient) -> str:
    generation = await remote.ensure_provider(HOST, "host")
    await remote.set_inventory(HOST, generation, {"VCPU": Inventory(2), "MEMORY_MB": Inventory(1024)})
    return HOST


async def test_a_provider_is_made_once_and_found_again(remote: PlacementClient) -> None:
    assert await remote.ensure_provider(HOST, "host") == 0
    assert await remote.ensure_provider(HOST, "host") == 0
    assert [each.name for each in await remote.providers()] == ["host"]
    await remote.delete_provider(HOST)
    await remote.delete_provider(HOST)
    assert await remote.providers() == []


async def test_a_provider_whose_name_another_has_is_refused_with_the_way_out(remote: PlacementClient) -> None:
    other = str(uuid4())
    await remote.ensure_provider(other, "host")
    with pytest.raises(RemoteFault) as refused:
        await remote.ensure_provider(HOST, "host")
    assert refused.value.status == 409
    assert f"the resource provider host is {other}" in str(refused.value)
    assert "openstack resource provider delete" in str(refused.value)


async def test_inventory_and_traits_are_set_under_the_generation(remote: PlacementClient, host: str) -> None:
    assert (await remote.inventory(host))["VCPU"].total == 2
    generation = await remote.ensure_provider(host, "host")
    after = await remote.set_traits(host, generation, ["COMPUTE_NODE", "HW_CPU_X86_AVX"])
    assert after == generation + 1
    with pytest.raises(RemoteFault) as refused:
        await remote.set_inventory(host, generation, {})
    assert refused.value.status == 409
    assert list(await remote.allocation_candidates({"VCPU": 1}, required=["COMPUTE_NODE"])) == [host]
    assert not await remote.allocation_candidates({"VCPU": 1}, required=["COMPUTE_ACCELERATORS"])


async def test_a_claim_holds_until_it_is_released(remote: PlacementClient, host: str) -> None:
    consumer = str(uuid4())
    assert list(await remote.allocation_candidates({"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 0})) == [host]
    await remote.claim(consumer, host, {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 0}, **OWNER)
    assert await remote.usages(host) == {"VCPU": 2, "MEMORY_MB": 512}
    assert await remote.allocations(consumer) == {host: {"VCPU": 2, "MEMORY_MB": 512}}
    assert not await remote.allocation_candidates({"VCPU": 1})
    with pytest.raises(ClaimConflict):
        await remote.claim(consumer, host, {"VCPU": 1}, **OWNER)
    with pytest.raises(ClaimConflict):
        await remote.claim(str(uuid4()), host, {"VCPU": 1}, **OWNER)
    await remote.release(consumer)
    await remote.release(consumer)
    assert await remote.allocations(consumer) == {}
    assert await remote.usages(host) == {"VCPU": 0, "MEMORY_MB": 0}
