"""Servers with demands on NUMA nodes: what they get of their hosts is theirs alone, follows them, and comes back."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from kilonova.compute.agent.spec import GuestPlacement
from kilonova.compute.hosts import hosts, takings
from kilonova.compute.scheduling.numa.guests import topology_of
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology, Pages
from kilonova.compute.servers import leftovers
from kilonova.compute.tables import Taking
from tests.compute.programs.conftest import NOTHING_LEFT, TOPOLOGY
from tests.compute.programs.stories import (
    PINNED,
    confirm,
    cut_wires,
    evacuate,
    live_migrate,
    lose_host,
    pin_larger_flavor,
    resize,
    revert,
    shelve,
)
from tests.compute.programs.test_scheduling import decision_of

DEDICATED = {cpu for node in TOPOLOGY.nodes for cpu in node.dedicated}


async def run_together(world: Any) -> None:
    """Every task that waits goes on in the same moment, each with a runner of its own; then all to their ends."""
    claimed = []
    while (task := await (runner := world.make_runner()).claim_one()) is not None:
        claimed.append(runner.run_task(task))
    await asyncio.gather(*claimed)
    await world.run()


def placements(world: Any) -> dict[str, dict[str, GuestPlacement | None]]:
    """Host → server → where its guest lies, as the hosts were told."""
    return {
        host: {server_id: each.spec.placement for server_id, each in metal.servers.items()}
        for host, metal in world.hosts.items()
    }


def pins(placement: GuestPlacement | None) -> list[int]:
    assert placement is not None
    return sorted(cpu for cell in placement.cells for cpu in cell.pinned.values())


async def placed(world: Any, **wishes: Any) -> str:
    server = await world.insert_server(**wishes)
    await world.run()
    found = await world.server(server.id)
    assert found.vm_state == "active", found.fault
    return str(server.id)


async def test_no_processor_is_given_to_two_of_a_hundred_servers_that_ask_at_once(two_hosts: Any) -> None:
    made = [(await two_hosts.insert_server(extra_specs=PINNED, memory_mib=64)).id for _ in range(100)]
    await run_together(two_hosts)
    built = [each for each in made if (await two_hosts.server(each)).vm_state == "active"]
    assert len(built) == 2 * len(DEDICATED), "each processor is given"
    for servers in placements(two_hosts).values():
        used = Counter(cpu for each in servers.values() for cpu in pins(each))
        assert used == Counter(DEDICATED), "none is given twice"
    told = {(await two_hosts.server(each)).fault["message"] for each in made if each not in built}
    assert all("2 hosts without room, the nearest: 1 PCPU wanted, 0 free" in each for each in told)
    for each in made:
        await two_hosts.destroy(each)
    await two_hosts.run()
    assert await two_hosts.leftovers() == NOTHING_LEFT


@pytest.mark.parametrize("seed", range(3))
async def test_guests_of_all_sizes_that_come_and_go_at_once_never_overlap(two_hosts: Any, seed: int) -> None:
    sizes = [1, 2, 3, 4, 2, 1, 3, 2, 4, 1, 2, 1]
    sizes = sizes[seed:] + sizes[:seed]
    made = [(await two_hosts.insert_server(extra_specs=PINNED, vcpus=size, memory_mib=64)).id for size in sizes]
    await run_together(two_hosts)
    for each in made[::2]:
        await two_hosts.destroy(each)
    made += [(await two_hosts.insert_server(extra_specs=PINNED, vcpus=2, memory_mib=64)).id for _ in range(6)]
    await run_together(two_hosts)
    for host, servers in placements(two_hosts).items():
        used = [cpu for each in servers.values() for cpu in pins(each)]
        assert len(used) == len(set(used)) <= len(DEDICATED), host
    held = await two_hosts.takings()
    assert held == await two_hosts.allocations() == (await two_hosts.leftovers())["domains"]


async def test_what_somebody_else_has_taken_meanwhile_is_taken_elsewhere(
    two_hosts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lied = takings.take, []

    async def take(tx: Any, host_id: str, *rest: Any) -> bool:
        if not lied:
            lied.append(host_id)
            return False
        return await real(tx, host_id, *rest)

    monkeypatch.setattr(takings, "take", take)
    server_id = await placed(two_hosts, extra_specs=PINNED)
    async with two_hosts.compute.here.reading() as tx:
        (refusing,) = [each.host for each in await hosts.list_all(tx) if each.id == lied[0]]
    (other,) = {"node1", "node2"} - {refusing}
    assert await two_hosts.allocations() == await two_hosts.takings() == [(other, server_id)]


async def test_a_host_is_told_where_the_guest_lies(world: Any) -> None:
    specs = {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0", "hw:numa_nodes": "2"}
    specs |= {"hw:emulator_threads_policy": "isolate", "hw:mem_page_size": "small"}
    server_id = await placed(world, extra_specs=specs, vcpus=2)
    found = placements(world)["node1"][server_id]
    assert found is not None
    assert [(cell.cpus, cell.memory_mib, cell.host_cell, cell.pinned) for cell in found.cells] == [
        ((0,), 256, 0, {0: 8}),
        ((1,), 256, 1, {}),
    ]
    assert found.cells[1].floating_cpus == tuple(range(12, 20))
    assert (found.emulator_cpus, found.taken_cpus) == ((9,), (8, 9))
    held = await world.compute.placement.allocations(server_id)
    assert list(held.values()) == [{"DISK_GB": 1, "MEMORY_MB": 512, "PCPU": 2, "VCPU": 1}]
    plain = await placed(world)
    assert placements(world)["node1"][plain] is None


async def test_a_guest_that_moves_has_other_processors_there(two_hosts: Any) -> None:
    here = await placed(two_hosts, extra_specs=PINNED, vcpus=2, requested_host="node1")
    there = await placed(two_hosts, extra_specs=PINNED, vcpus=3, requested_host="node2")
    assert pins(placements(two_hosts)["node1"][here]) == [8, 9]
    await live_migrate(two_hosts, here)
    await two_hosts.run()
    found = placements(two_hosts)
    assert found["node1"] == {}
    assert (pins(found["node2"][there]), pins(found["node2"][here])) == ([8, 9, 10], [20, 21])
    assert await two_hosts.takings() == sorted([("node2", there), ("node2", here)])


async def test_a_guest_that_cannot_leave_keeps_its_processors(two_hosts: Any) -> None:
    server_id = await placed(two_hosts, extra_specs=PINNED, requested_host="node1")
    await cut_wires("node1")(two_hosts, server_id)
    await live_migrate(two_hosts, server_id)
    await two_hosts.run()
    assert pins(placements(two_hosts)["node1"][server_id]) == [8]
    assert await two_hosts.takings() == [("node1", server_id)]


async def test_a_guest_finds_processors_wherever_it_comes_back(two_hosts: Any) -> None:
    server_id = await placed(two_hosts, extra_specs=PINNED)
    await shelve()(two_hosts, server_id)
    await two_hosts.run()
    assert await two_hosts.takings() == []
    others = [await placed(two_hosts, extra_specs=PINNED, requested_host=host) for host in ("node1", "node2")]
    await two_hosts.client.post(f"/v2.1/servers/{server_id}/action", json={"unshelve": None})
    await two_hosts.run()
    host = (await two_hosts.server(server_id)).host
    assert pins(placements(two_hosts)[host][server_id]) == [9]
    await lose_host(two_hosts, server_id)
    await evacuate()(two_hosts, server_id)
    await two_hosts.run()
    (refuge,) = {"node1", "node2"} - {host}
    assert pins(placements(two_hosts)[refuge][server_id]) == [9]
    assert await two_hosts.takings() == sorted([*zip(("node1", "node2"), others, strict=True), (refuge, server_id)])


async def test_a_refusal_has_the_amounts_of_each_host(two_hosts: Any) -> None:
    for host in ("node1", "node2"):
        await placed(two_hosts, extra_specs=PINNED, vcpus=2, requested_host=host)
    failed = await two_hosts.insert_server(extra_specs=PINNED, vcpus=5)
    await two_hosts.run()
    told = (await two_hosts.server(failed.id)).fault["message"]
    assert "NUMATopologyFilter left 0: 2 hosts have too little left: 5 PCPU wanted on one NUMA node, 4 free." in told
    (stage,) = [each for each in (await decision_of(two_hosts, failed.id))["stages"] if each["refused"]]
    assert (stage["name"], [each["host"] for each in stage["refused"]]) == ("NUMATopologyFilter", ["node1", "node2"])
    assert all(each["lacking"] == {"PCPU": {"wanted": 5, "free": 4}} for each in stage["refused"])


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("require", "does not have the traits asked for (HW_CPU_HYPERTHREADING required)"),
        ("isolate", None),
        ("prefer", None),
    ],
)
async def test_threads_are_asked_of_hosts_that_have_them(world: Any, policy: str, told: str | None) -> None:
    server = await world.insert_server(extra_specs={**PINNED, "hw:cpu_thread_policy": policy})
    await world.run()
    fault = (await world.server(server.id)).fault
    assert (fault is None) if told is None else (told in fault["message"])


async def register_again(world: Any) -> None:
    """As after a restart of each agent."""
    for agent in world.agents:
        await agent._answer_ping({"known": False})
        await agent.register()


async def test_pages_are_counted(world: Any) -> None:
    metal = world.hosts["node1"]
    node = HostNode(id=0, shared=frozenset(range(8)), memory_mib=1024, pages=(Pages(2048, 100),))
    metal.topology = HostTopology((node,))
    await register_again(world)
    specs = {"hw:mem_page_size": "2MB"}
    server_id = await placed(world, extra_specs=specs, memory_mib=128)
    found = placements(world)["node1"][server_id]
    assert found is not None
    assert (found.cells[0].page_kib, found.taken_cpus) == (2048, ())
    failed = await world.insert_server(extra_specs=specs, memory_mib=128)
    await world.run()
    told = (await world.server(failed.id)).fault["message"]
    assert "128 MEMORY_MB in pages of 2048 KiB wanted on one NUMA node, 72 free" in told


async def test_what_was_taken_for_a_server_that_never_came_is_given_back(two_cells: Any) -> None:
    world = two_cells
    here = await placed(world, extra_specs=PINNED)
    waiting = await world.insert_server()
    (cell,) = [each for each in world.cells.values() if await has_taken(each, here)]
    async with cell.reading() as tx:
        (host,) = await hosts.list_all(tx)
    guest = topology_of(PINNED, {}, 1, 64)
    assert guest is not None
    for stray in ("0b6c9f0e-0000-4000-8000-000000000000", waiting.id):
        async with cell.transaction() as tx:
            assert await takings.take(tx, host.id, guest, stray, "1")
    await leftovers.sweep_takings(cell)
    # What waits in the API database may be on its way.
    assert await world.takings() == sorted([(host.host, here), (host.host, waiting.id)])
    await world.destroy(waiting.id)
    await world.run()
    await leftovers.sweep_takings(cell)
    assert await world.takings() == [(host.host, here)]


async def has_taken(cell: Any, server_id: str) -> bool:
    async with cell.reading() as tx:
        return await tx.find(Taking, takings.takings, server_id=server_id, flavor_id="1") is not None


async def test_a_decision_is_kept_with_what_was_asked(world: Any) -> None:
    server_id = await placed(world, extra_specs={**PINNED, "hw:cpu_thread_policy": "isolate"})
    found = await decision_of(world, server_id)
    assert found["wanted"]["resources"]["PCPU"] == 1
    assert json.dumps(found["wanted"]["forbidden_traits"]) == '["HW_CPU_HYPERTHREADING"]'


async def test_a_guest_that_moves_while_it_runs_keeps_the_size_of_its_pages(two_hosts: Any) -> None:
    large, none = (Pages(2048, 64),), ()
    for host, pages in (("node1", large), ("node2", none)):
        node = HostNode(id=0, shared=frozenset(range(8)), memory_mib=1024, pages=pages)
        two_hosts.hosts[host].topology = HostTopology((node,))
    await register_again(two_hosts)
    specs = {"hw:mem_page_size": "any"}
    server_id = await placed(two_hosts, extra_specs=specs, memory_mib=128, requested_host="node1")
    await live_migrate(two_hosts, server_id)
    await two_hosts.run()
    assert (await two_hosts.server(server_id)).host == "node1"
    told = (await two_hosts.tasks_of(server_id))[0].error
    assert "128 MEMORY_MB in pages of 2048 KiB wanted on one NUMA node, 0 free" in str(told)
    # Whoever comes up anew may have other pages.
    await lose_host(two_hosts, server_id)
    await evacuate()(two_hosts, server_id)
    await two_hosts.run()
    found = placements(two_hosts)["node2"][server_id]
    assert found is not None
    assert found.cells[0].page_kib == 0


async def test_a_guest_that_was_built_where_no_nodes_were_told_moves_as_it_is(two_hosts: Any) -> None:
    two_hosts.hosts["node1"].topology = None
    await register_again(two_hosts)
    server_id = await placed(two_hosts, extra_specs={"hw:numa_nodes": "1"}, requested_host="node1")
    await live_migrate(two_hosts, server_id)
    await two_hosts.run()
    assert placements(two_hosts) == {"node1": {}, "node2": {server_id: None}}
    assert await two_hosts.takings() == []


@pytest.mark.parametrize(("ends", "left"), [(confirm, [9, 10]), (revert, [8])])
async def test_a_resize_in_place_has_both_flavors_processors_until_it_is_settled(
    world: Any, ends: Any, left: list[int]
) -> None:
    server_id = await placed(world, extra_specs=PINNED)
    await pin_larger_flavor(world, server_id)
    await resize(world, server_id)
    await world.run()
    assert pins(placements(world)["node1"][server_id]) == [9, 10]
    neighbour = await placed(world, extra_specs=PINNED)
    assert pins(placements(world)["node1"][neighbour]) == [11], "the processor of the old flavor is not given away"
    await ends(world, server_id)
    await world.run()
    assert pins(placements(world)["node1"][server_id]) == left
    assert await world.takings() == sorted([("node1", neighbour), ("node1", server_id)])
