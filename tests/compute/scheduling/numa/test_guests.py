"""What flavors and images ask of nodes, processors and pages is read as documented, or refused by its name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.compute.scheduling.numa.guests import (
    GuestNode,
    GuestTopology,
    asks_for_nodes,
    read_cpus,
    topology_of,
    with_own_cpus,
)
from kilonova.compute.scheduling.requirements import UnusableSpec

VCPUS, MEMORY_MIB = 4, 1024


def read(properties: dict[str, str] | None = None, **specs: str) -> GuestTopology | None:
    named = {f"hw:{name.replace('__', '.')}": value for name, value in specs.items()}
    return topology_of(named, properties or {}, VCPUS, MEMORY_MIB)


def nodes(*given: tuple[set[int], int], pinned: set[int] | None = None) -> tuple[GuestNode, ...]:
    own = pinned or set()
    return tuple(
        GuestNode(number, frozenset(cpus), memory, frozenset(cpus & own)) for number, (cpus, memory) in enumerate(given)
    )


ALL = {0, 1, 2, 3}
WHOLE = (ALL, 1024)


@pytest.mark.parametrize(
    ("specs", "properties", "expected"),
    [
        ({}, {}, None),
        ({"cpu_policy": "shared", "cpu_thread_policy": "prefer"}, {}, None),
        ({"numa_nodes": "1"}, {}, GuestTopology(nodes(WHOLE))),
        ({"numa_nodes": "2"}, {}, GuestTopology(nodes(({0, 1}, 512), ({2, 3}, 512)))),
        ({}, {"hw_numa_nodes": "4"}, GuestTopology(nodes(*[({n}, 256) for n in range(4)]))),
        (
            {"numa_nodes": "2", "numa_cpus__0": "0-2", "numa_mem__0": "700", "numa_cpus__1": "3", "numa_mem__1": "324"},
            {},
            GuestTopology(nodes(({0, 1, 2}, 700), ({3}, 324))),
        ),
        ({"cpu_policy": "dedicated"}, {}, GuestTopology(nodes(WHOLE, pinned=ALL))),
        ({}, {"hw_cpu_policy": "dedicated"}, GuestTopology(nodes(WHOLE, pinned=ALL))),
        (
            {"cpu_policy": "dedicated", "cpu_thread_policy": "require", "emulator_threads_policy": "isolate"},
            {"hw_cpu_policy": "dedicated"},
            GuestTopology(nodes(WHOLE, pinned=ALL), threads="require", emulator="isolate"),
        ),
        (
            {"cpu_policy": "mixed", "cpu_dedicated_mask": "^0"},
            {},
            GuestTopology(nodes(WHOLE, pinned={1, 2, 3})),
        ),
        (
            {"cpu_policy": "mixed", "cpu_realtime": "yes", "cpu_realtime_mask": "2-3"},
            {},
            GuestTopology(nodes(WHOLE, pinned={2, 3}), realtime=frozenset({2, 3})),
        ),
        (
            {"cpu_policy": "dedicated", "cpu_realtime": "true", "cpu_realtime_mask": "^0-1"},
            {},
            GuestTopology(nodes(WHOLE, pinned=ALL), realtime=frozenset({2, 3})),
        ),
        ({"mem_page_size": "large"}, {"hw_mem_page_size": "2MB"}, GuestTopology(nodes(WHOLE), page="2048")),
        ({"mem_page_size": "1GiB"}, {}, GuestTopology(nodes(WHOLE), page=str(1 << 20))),
        ({"mem_page_size": "2048"}, {}, GuestTopology(nodes(WHOLE), page="2048")),
        ({"mem_page_size": "4KB"}, {}, GuestTopology(nodes(WHOLE), page="small")),
        ({"mem_page_size": "any"}, {}, GuestTopology(nodes(WHOLE), page="any")),
    ],
)
def test_a_guest_is_read(specs: dict[str, str], properties: dict[str, str], expected: GuestTopology | None) -> None:
    assert read(properties, **specs) == expected


@pytest.mark.parametrize(
    ("specs", "properties", "told"),
    [
        ({"numa_nodes": "3"}, {}, "4 processors and 1024 MiB do not come out even"),
        ({"numa_nodes": "0"}, {}, "a number from 1 to 64, got '0'"),
        ({"numa_nodes": "999999"}, {}, "a number from 1 to 64"),
        ({"numa_nodes": "2"}, {"hw_numa_nodes": "1"}, "the image for hw_numa_nodes=1"),
        ({"numa_nodes": "2", "numa_cpus__0": "0-3", "numa_mem__0": "1024"}, {}, "given for all nodes or for none"),
        ({"numa_nodes": "1", "numa_cpus__0": "0-2", "numa_mem__0": "1024"}, {}, "each of 4 processors belongs to one"),
        ({"numa_nodes": "1", "numa_cpus__0": "0-3", "numa_mem__0": "1023"}, {}, "the nodes have 1024 MiB together"),
        ({"numa_nodes": "1", "numa_cpus__0": "0-4", "numa_mem__0": "1024"}, {}, "processors from 0 to 3"),
        ({"numa_nodes": "1", "numa_cpus__0": "0-3", "numa_mem__0": "all"}, {}, "hw:numa_mem.0 is a number of MiB"),
        ({"cpu_policy": "own"}, {}, "shared, dedicated or mixed, got 'own'"),
        ({"cpu_policy": "shared"}, {"hw_cpu_policy": "dedicated"}, "the image for hw_cpu_policy=dedicated"),
        ({"cpu_policy": "mixed"}, {}, "mixed needs hw:cpu_dedicated_mask"),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "0-3"}, {}, "mixed leaves some of 4 processors, and not all"),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "^0-3"}, {}, "mixed leaves some of 4 processors"),
        ({"cpu_policy": "dedicated", "cpu_dedicated_mask": "0"}, {}, "needs hw:cpu_policy mixed"),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "0-999999999"}, {}, "processors from 0 to 3"),
        ({"cpu_thread_policy": "isolate"}, {}, "hw:cpu_thread_policy is of guests with processors of their own"),
        ({"numa_nodes": "1", "emulator_threads_policy": "isolate"}, {}, "hw:emulator_threads_policy is of guests"),
        ({"cpu_policy": "dedicated", "cpu_thread_policy": "spread"}, {}, "prefer, isolate or require, got 'spread'"),
        ({"cpu_policy": "dedicated", "emulator_threads_policy": "any"}, {}, "is share or isolate, got 'any'"),
        ({"cpu_realtime": "true"}, {}, "hw:cpu_realtime needs"),
        ({"cpu_policy": "dedicated", "cpu_realtime": "true"}, {}, "leaves one processor"),
        (
            {"cpu_policy": "mixed", "cpu_dedicated_mask": "0", "cpu_realtime": "true", "cpu_realtime_mask": "1"},
            {},
            "are among those of the guest's own",
        ),
        ({"mem_page_size": "huge"}, {}, "hw:mem_page_size is small, large, any or a size"),
        ({"mem_page_size": "0"}, {}, "or a size such as 2MB, got '0'"),
        ({}, {"hw_mem_page_size": "2MB"}, "which the flavor does not allow"),
        ({"mem_page_size": "small"}, {"hw_mem_page_size": "2MB"}, "which the flavor does not allow"),
    ],
)
def test_what_makes_no_sense_is_refused(specs: dict[str, str], properties: dict[str, str], told: str) -> None:
    with pytest.raises(UnusableSpec) as refused:
        read(properties, **specs)
    assert told in str(refused.value)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=6))
def test_a_list_of_processors_is_what_it_names_without_what_it_leaves_out(parts: list[tuple[bool, int, int]]) -> None:
    spans = [(leaves_out, min(one, two), max(one, two)) for leaves_out, one, two in parts]
    text = ",".join(f"{'^' if leaves_out else ''}{first}-{last}" for leaves_out, first, last in spans)
    named: set[Any] = set().union(*[set(range(a, b + 1)) for out, a, b in spans if not out]) or set(range(8))
    left_out: set[Any] = set().union(*[set(range(a, b + 1)) for out, a, b in spans if out])
    assert read_cpus("mask", text, 8) == named - left_out


def test_processors_of_a_guests_own_are_asked_of_placement_as_such() -> None:
    resources = {"VCPU": 4, "MEMORY_MB": 1024}
    assert with_own_cpus(resources, None) == resources
    assert with_own_cpus(resources, read(numa_nodes="2")) == resources
    assert with_own_cpus(resources, read(cpu_policy="dedicated")) == {"PCPU": 4, "MEMORY_MB": 1024}
    assert with_own_cpus({**resources, "PCPU": 4}, topology_of({"resources:PCPU": "4"}, {}, 4, 1024)) == {
        "PCPU": 4,
        "MEMORY_MB": 1024,
    }
    mixed = read(cpu_policy="mixed", cpu_dedicated_mask="0", emulator_threads_policy="isolate")
    assert with_own_cpus(resources, mixed) == {"VCPU": 3, "PCPU": 2, "MEMORY_MB": 1024}


def test_the_policy_may_be_said_by_what_is_asked_of_placement() -> None:
    dedicated = topology_of({"hw:cpu_policy": "dedicated"}, {}, 4, 1024)
    for specs in ({"resources:PCPU": "4"}, {"resources:PCPU": "4", "resources:VCPU": "0"}):
        assert topology_of(specs, {}, 4, 1024) == dedicated
        assert asks_for_nodes(specs, {})
    isolated = {"resources:PCPU": "5", "hw:emulator_threads_policy": "isolate"}
    found = topology_of(isolated, {}, 4, 1024)
    assert found is not None
    assert (found.pinned, found.isolates_emulator) == (5, True)
    assert topology_of({"resources:PCPU": "0", "resources:VCPU": "2"}, {}, 4, 1024) is None


@pytest.mark.parametrize(
    ("specs", "properties", "told"),
    [
        ({"resources:PCPU": "3"}, {}, "resources:PCPU=3: the guest has 4 processors of its own"),
        ({"resources:PCPU": "4", "hw:emulator_threads_policy": "isolate"}, {}, "the guest has 5 processors"),
        ({"resources:PCPU": "4", "resources:VCPU": "1"}, {}, "stands neither hw:cpu_policy nor resources:VCPU"),
        ({"resources:PCPU": "4", "hw:cpu_policy": "dedicated"}, {}, "stands neither hw:cpu_policy nor"),
        ({"resources:PCPU": "4"}, {"hw_cpu_policy": "shared"}, "stands neither hw:cpu_policy nor"),
        ({"resources:VCPU": "4", "hw:cpu_policy": "dedicated"}, {}, "resources:VCPU does not stand beside it"),
    ],
)
def test_what_placement_is_asked_for_and_the_policy_do_not_contradict(
    specs: dict[str, str], properties: dict[str, str], told: str
) -> None:
    with pytest.raises(UnusableSpec, match=told):
        topology_of(specs, properties, 4, 1024)


@given(
    st.dictionaries(
        st.sampled_from(["hw:cpu_policy", "hw:numa_nodes", "hw:mem_page_size", "resources:PCPU", "hw:cpu_cores"]),
        st.sampled_from(["1", "2", "dedicated", "shared", "small", "large", ""]),
    ),
    st.dictionaries(st.sampled_from(["hw_cpu_policy", "hw_numa_nodes"]), st.sampled_from(["1", "dedicated", ""])),
)
def test_who_asks_for_nothing_of_nodes_is_known_at_a_glance(specs: dict[str, str], properties: dict[str, str]) -> None:
    try:
        found = topology_of(specs, properties, 2, 1024)
    except UnusableSpec:
        return
    assert found is None or asks_for_nodes(specs, properties)
