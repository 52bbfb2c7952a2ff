"""What placement is told of a host: what its agent sees and what its operator adds; what others added stays."""

from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from kilonova.compute.agent.spec import AddedInventory, HostInventory, HostShare, ProviderAddition
from kilonova.compute.hosts import hosts, providers
from kilonova.compute.hosts.registry import Registry
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology
from kilonova.kit.http.client import at
from kilonova.placement.client import VERSION, Inventory

GOLD = {"CUSTOM_GOLD": AddedInventory(4)}


async def register(world: Any, *additions: ProviderAddition, **changes: Any) -> Any:
    """Tells placement what node1 would have told; returns its row."""
    async with world.compute.here.reading() as tx:
        row = await hosts.find(tx, "nova-compute", "node1")
    agent = next(each for each in world.agents if each.info.host == "node1" and each.info.binary == "nova-compute")
    seen: HostInventory = await agent._describe()
    told = structs.replace(seen, additions=additions, **changes)
    await Registry(world.compute.here)._tell_placement(row, told)
    return row


async def make_below(world: Any, parent: str, name: str) -> str:
    card = str(uuid4())
    body = {"uuid": card, "name": name, "parent_provider_uuid": parent}
    await world.compute.placement._remote.request("POST", at("/resource_providers"), json=body, headers=VERSION)
    return card


async def test_what_an_operator_adds_is_there_and_can_be_asked_for(world: Any) -> None:
    row = await register(world, ProviderAddition(uuid="$COMPUTE_NODE", inventories=GOLD, traits=("CUSTOM_RACK_7",)))
    placement = world.compute.placement
    assert (await placement.inventory(row.id))["CUSTOM_GOLD"] == Inventory(4)
    assert {"CUSTOM_RACK_7", "COMPUTE_NODE"} <= set(await placement.traits(row.id))
    server = await world.insert_server(extra_specs={"resources:CUSTOM_GOLD": "3", "trait:CUSTOM_RACK_7": "required"})
    await world.run()
    assert (await world.server(server.id)).host == "node1"
    assert (await placement.allocations(server.id))[row.id]["CUSTOM_GOLD"] == 3
    before = (await placement.providers())[0].generation
    await register(world, ProviderAddition(uuid="$COMPUTE_NODE", inventories=GOLD, traits=("CUSTOM_RACK_7",)))
    assert (await placement.providers())[0].generation == before, "nothing has changed, so nothing is written"


async def test_what_names_a_provider_goes_before_what_is_for_every_host(world: Any) -> None:
    every = ProviderAddition(uuid="$COMPUTE_NODE", inventories=GOLD)
    row = await register(world)
    for own in ({"uuid": row.id}, {"name": row.hypervisor_hostname}):
        named = ProviderAddition(**own, traits=("CUSTOM_MINE",))
        await register(world, every, named)
        assert "CUSTOM_GOLD" not in await world.compute.placement.inventory(row.id)
        assert "CUSTOM_MINE" in await world.compute.placement.traits(row.id)
        # One that says nothing does not count.
        await register(world, every, ProviderAddition(**own))
        assert "CUSTOM_GOLD" in await world.compute.placement.inventory(row.id)


async def test_providers_below_the_host_are_added_to_and_others_left_alone(world: Any) -> None:
    row = await register(world)
    placement = world.compute.placement
    card, disk = [await make_below(world, row.id, name) for name in ("card", "disk")]
    stranger = str(uuid4())
    await placement.ensure_provider(stranger, "stranger")
    await placement.set_inventory(card, 0, {"VGPU": Inventory(2)})
    await register(
        world,
        ProviderAddition(uuid=card, inventories=GOLD, traits=("CUSTOM_FAST",)),
        ProviderAddition(name="disk", inventories=GOLD),
        ProviderAddition(name="stranger", inventories=GOLD),
        ProviderAddition(uuid=str(uuid4()), inventories=GOLD),
    )
    assert await placement.inventory(card) == {"VGPU": Inventory(2), "CUSTOM_GOLD": Inventory(4)}
    assert await placement.traits(card) == ["CUSTOM_FAST"]
    assert await placement.inventory(disk) == {"CUSTOM_GOLD": Inventory(4)}
    assert await placement.inventory(stranger) == {}


async def test_an_operators_own_traits_outlive_the_agents_start(world: Any) -> None:
    row = await register(world)
    placement = world.compute.placement
    await placement.ensure_trait("CUSTOM_BY_HAND")
    (found,) = await placement.providers()
    await placement.set_traits(row.id, found.generation, ["CUSTOM_BY_HAND", "HW_CPU_X86_VMX"])
    await register(world)
    assert {"CUSTOM_BY_HAND", "COMPUTE_NODE"} <= set(await placement.traits(row.id))
    assert "HW_CPU_X86_VMX" not in await placement.traits(row.id)


@pytest.mark.parametrize(("initial", "ratio"), [(("VCPU",), 9.0), ((), 4.0)])
async def test_an_initial_ratio_gives_way_to_the_one_placement_was_told(
    world: Any, initial: tuple[str, ...], ratio: float
) -> None:
    row = await register(world, share=HostShare(initial_ratios=initial))
    placement = world.compute.placement
    known = await placement.inventory(row.id)
    assert known["VCPU"].allocation_ratio == 4.0
    (found,) = await placement.providers()
    changed = {**known, "VCPU": structs.replace(known["VCPU"], allocation_ratio=9.0)}
    await placement.set_inventory(row.id, found.generation, changed)
    await register(world, share=HostShare(initial_ratios=initial))
    assert (await placement.inventory(row.id))["VCPU"].allocation_ratio == ratio


def test_a_small_host_keeps_half_for_servers() -> None:
    host = HostInventory("h", "10.0.0.1", "QEMU", 7, 2, 600, 0, {}, (), share=HostShare(reserved_memory_mib=512))
    found = providers.inventory_of(host)
    assert (found["MEMORY_MB"].reserved, found["DISK_GB"].total) == (300, 1)


def test_processors_that_guests_have_for_themselves_are_a_class_of_their_own() -> None:
    nodes = (HostNode(id=0, shared=frozenset({0, 1}), dedicated=frozenset({2, 3, 4}), memory_mib=1024),)
    host = HostInventory("h", "10.0.0.1", "QEMU", 7, 2, 1024, 9, {}, (), topology=HostTopology(nodes))
    found = providers.inventory_of(host)
    assert (found["VCPU"].total, found["PCPU"]) == (2, Inventory(3, max_unit=3, allocation_ratio=1.0))
    host.vcpus = 0
    assert "VCPU" not in providers.inventory_of(host), "placement takes no inventory of nothing"
