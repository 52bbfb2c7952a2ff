"""Servers that are placed in the same moment: no host gives more than it has, and no rule of a group is broken."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.compute.programs.test_races import AT_ONCE, outcomes, run_all_at_once
from tests.compute.programs.test_scheduling import hosts_of, make_group

MEMORY_MIB = (64 << 10) - 512
"""The room of a simulated host."""


async def used_mib(world: Any) -> dict[str, int]:
    rooms = await world.compute.placement.rooms()
    found = await world.compute.placement.providers()
    return {provider.name: rooms[provider.uuid].used.get("MEMORY_MB", 0) for provider in found}


@pytest.mark.parametrize("seed", range(4))
async def test_no_host_gives_more_than_it_has(two_hosts: Any, seed: int) -> None:
    dice = random.Random(seed)
    sizes = [dice.choice((9_000, 20_000, 33_000)) for _ in range(AT_ONCE)]
    made = [(await two_hosts.insert_server(memory_mib=size)).id for size in sizes]
    await run_all_at_once(two_hosts)
    placed, told = await outcomes(two_hosts, made)
    expected: Counter[str] = Counter()
    for server_id, size in zip(made, sizes, strict=True):
        (host,) = await hosts_of(two_hosts, server_id)
        if host is not None:
            expected[host] += size
    assert {host: used for host, used in (await used_mib(two_hosts)).items() if used} == dict(expected)
    assert all(used <= MEMORY_MIB for used in expected.values())
    left = max(MEMORY_MIB - expected[host] for host in ("node1", "node2"))
    refused = [size for server_id, size in zip(made, sizes, strict=True) if server_id not in placed]
    assert all(size > left for size in refused), "nobody is refused what a host has"
    assert all("MEMORY_MB wanted" in sentence for sentence in told)
    assert sorted(each for _host, each in (await two_hosts.leftovers())["allocations"]) == sorted(placed)


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_members_of_an_anti_affinity_group_that_are_placed_at_once_run_apart(two_hosts: Any, most: int) -> None:
    group_id = await make_group(two_hosts, "anti-affinity", max_server_per_host=most)
    made = [(await two_hosts.insert_server(group_id=group_id)).id for _ in range(AT_ONCE)]
    await run_all_at_once(two_hosts)
    placed, _told = await outcomes(two_hosts, made)
    assert Counter(await hosts_of(two_hosts, *placed)) == {"node1": most, "node2": most}
    assert sorted(each for _host, each in (await two_hosts.leftovers())["allocations"]) == sorted(placed)


async def test_members_of_an_affinity_group_that_are_placed_at_once_run_together(two_hosts: Any) -> None:
    group_id = await make_group(two_hosts, "affinity")
    made = [(await two_hosts.insert_server(group_id=group_id, memory_mib=9_000)).id for _ in range(AT_ONCE)]
    await run_all_at_once(two_hosts)
    placed, _told = await outcomes(two_hosts, made)
    # One host has room for seven of them: the eighth must not go to the other.
    assert len(placed) == 7
    assert len(set(await hosts_of(two_hosts, *placed))) == 1
