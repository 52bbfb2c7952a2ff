"""The client other services use, against the real placement."""

from typing import Any
from uuid import uuid4

import pytest

from kilonova.kit.http.client import RemoteFault
from kilonova.placement.client import ClaimConflict, Inventory, PlacementClient, RequestGroup, Room

HOST = "00000000-0000-0000-0000-00000000000a"
OWNER = {"project_id": "p", "user_id": "u"}


def one(resources: dict[str, int], required: tuple[str, ...] = ()) -> list[RequestGroup]:
    return [RequestGroup("", resources, required)]


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
    assert list(await remote.allocation_candidates(one({"VCPU": 1}, ("COMPUTE_NODE",)))) == [host]
    assert not await remote.allocation_candidates(one({"VCPU": 1}, ("COMPUTE_ACCELERATORS",)))


async def test_a_claim_holds_until_it_is_released(remote: PlacementClient, host: str) -> None:
    consumer = str(uuid4())
    assert list(await remote.allocation_candidates(one({"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 0}))) == [host]
    await remote.claim(consumer, {host: {"VCPU": 2, "MEMORY_MB": 512, "DISK_GB": 0}}, **OWNER)
    assert (await remote.rooms())[host].used == {"VCPU": 2, "MEMORY_MB": 512}
    assert await remote.allocations(consumer) == {host: {"VCPU": 2, "MEMORY_MB": 512}}
    assert not await remote.allocation_candidates(one({"VCPU": 1}))
    with pytest.raises(ClaimConflict):
        await remote.claim(consumer, {host: {"VCPU": 1}}, **OWNER)
    with pytest.raises(ClaimConflict):
        await remote.claim(str(uuid4()), {host: {"VCPU": 1}}, **OWNER)
    await remote.release(consumer)
    await remote.release(consumer)
    assert await remote.allocations(consumer) == {}
    assert (await remote.rooms())[host].used == {"VCPU": 0, "MEMORY_MB": 0}


async def test_groups_come_from_single_providers_and_are_claimed_as_they_were_offered(
    app: Any, identity: Any, remote: PlacementClient, host: str
) -> None:
    client = await identity.client_for(app, "admin")
    client.headers["OpenStack-API-Version"] = "placement 1.39"
    cards = sorted(str(uuid4()) for _ in range(2))
    for card in cards:
        body = {"uuid": card, "name": card, "parent_provider_uuid": host}
        assert (await client.post("/resource_providers", json=body)).status_code == 200
        await remote.set_inventory(card, 0, {"VGPU": Inventory(2)})
    await remote.set_traits(cards[0], 1, ["HW_GPU_API_VULKAN"])

    async def offers(*groups: RequestGroup, policy: str = "") -> Any:
        return await remote.allocation_candidates(groups, group_policy=policy)

    cpu, fast = RequestGroup("", {"VCPU": 1}), RequestGroup("1", {"VGPU": 1}, ("HW_GPU_API_VULKAN",))
    slow = RequestGroup("_SLOW", {"VGPU": 2}, (), ("HW_GPU_API_VULKAN",))
    found = await offers(cpu, fast)
    # The room is the host's own, and what is to be claimed names the card.
    assert (list(found), found[host].capacity["VCPU"]) == ([host], 2)
    assert found[host].offer == {host: {"VCPU": 1}, cards[0]: {"VGPU": 1}}
    both = await offers(cpu, fast, slow, policy="isolate")
    assert both[host].offer == {host: {"VCPU": 1}, cards[0]: {"VGPU": 1}, cards[1]: {"VGPU": 2}}
    assert not await offers(cpu, RequestGroup("1", {"VGPU": 3}))
    assert not await offers(RequestGroup("", {"VCPU": 1}, in_tree=str(uuid4())))
    assert list(await offers(RequestGroup("", {"VCPU": 1}, in_tree=cards[0]))) == [host]
    consumer = str(uuid4())
    await remote.claim(consumer, both[host].offer, **OWNER)
    assert await remote.allocations(consumer) == both[host].offer
    with pytest.raises(RemoteFault, match="group_policy"):
        await offers(cpu, fast, slow)


async def test_the_room_of_all_hosts_is_asked_for_at_once(
    app: Any, identity: Any, remote: PlacementClient, host: str
) -> None:
    card = str(uuid4())
    client = await identity.client_for(app, "admin")
    client.headers["OpenStack-API-Version"] = "placement 1.39"
    body = {"uuid": card, "name": "card", "parent_provider_uuid": host}
    assert (await client.post("/resource_providers", json=body)).status_code == 200
    await remote.set_inventory(card, 0, {"VGPU": Inventory(2)})
    other = str(uuid4())
    await remote.ensure_provider(other, "other")
    await remote.set_inventory(other, 0, {"VCPU": Inventory(8, reserved=2, allocation_ratio=4.0)})
    await remote.claim(str(uuid4()), {host: {"VCPU": 2}}, **OWNER)
    # What lies below a host is no host.
    assert await remote.rooms() == {
        host: Room({"VCPU": 2, "MEMORY_MB": 1024}, {"VCPU": 2, "MEMORY_MB": 0}),
        other: Room({"VCPU": 24}, {"VCPU": 0}),
    }
    assert (await (await identity.client_for(app)).get("/rooms")).status_code == 403
