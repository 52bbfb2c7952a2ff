"""Guests are fitted to hosts: what is promised is there and promised once, and nobody is refused who would fit."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.compute.agent.spec import GuestPlacement
from kilonova.compute.scheduling.filters import numa_topology_filter
from kilonova.compute.scheduling.numa import shortages
from kilonova.compute.scheduling.numa.fitting import fit, fits, taken_by
from kilonova.compute.scheduling.numa.guests import GuestNode, GuestTopology
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology, Pages
from tests.compute.scheduling.worlds import make_host, make_wanted

GIB = 1 << 20
"""In KiB."""


def node(number: int, first: int, cores: int, threads: int = 2, **changes: Any) -> HostNode:
    """All processors dedicated, unless `changes` say otherwise: threads of a core have neighbouring numbers."""
    cpus = range(first, first + cores * threads)
    made = tuple(frozenset(cpus[at : at + threads]) for at in range(0, len(cpus), threads))
    values: dict[str, Any] = {"dedicated": frozenset(cpus), "cores": made, "memory_mib": 4096, **changes}
    return HostNode(id=number, **values)


def own(*sizes: int, threads: Any = "", **changes: Any) -> GuestTopology:
    """A guest whose nodes have as many processors of their own, and 1 GiB each."""
    made, first = [], 0
    for number, size in enumerate(sizes):
        cpus = frozenset(range(first, first + size))
        made.append(GuestNode(number, cpus, 1024, cpus))
        first += size
    return GuestTopology(tuple(made), threads=threads, **changes)


def pins(found: GuestPlacement | None) -> list[list[int]] | None:
    return None if found is None else [sorted(cell.pinned.values()) for cell in found.cells]


@pytest.mark.parametrize(
    ("guest", "expected"),
    [
        (own(2), [[0, 1]]),
        (own(3), [[0, 1, 2]]),
        (own(8), None),
        (own(2, threads="prefer"), [[0, 1]]),
        (own(2, threads="require"), [[0, 1]]),
        (own(3, threads="require"), [[0, 1, 2]]),
        (own(3, threads="isolate"), [[0, 2, 4]]),
        (own(4, threads="isolate"), None),
        (own(6, emulator="isolate"), None),
    ],
)
def test_processors_lie_on_cores_as_the_policy_has_them(guest: GuestTopology, expected: Any) -> None:
    assert pins(fit(guest, HostTopology((node(0, 0, 3),)))) == expected


def test_whole_cores_are_preferred_and_required_where_single_threads_are_left() -> None:
    host = HostTopology((node(0, 0, 3, taken=frozenset({0})),))
    assert pins(fit(own(2), host)) == [[2, 3]]
    assert pins(fit(own(5), host)) == [[1, 2, 3, 4, 5]]
    assert pins(fit(own(4, threads="require"), host)) == [[2, 3, 4, 5]]
    assert fit(own(5, threads="require"), host) is None
    assert pins(fit(own(2, threads="isolate"), host)) == [[2, 4]]
    without_threads = HostTopology((node(0, 0, 4, threads=1),))
    assert fit(own(2, threads="require"), without_threads) is None
    assert pins(fit(own(2, threads="isolate"), without_threads)) == [[0, 1]]


def test_the_emulator_has_a_processor_that_nobody_else_has() -> None:
    guest, host = own(3, emulator="isolate"), HostTopology((node(0, 0, 2),))
    found = fit(guest, host)
    assert found is not None
    assert (pins(found), found.emulator_cpus) == ([[0, 1, 2]], (3,))
    assert taken_by(host, found).nodes[0].free == frozenset()


def test_what_is_not_pinned_floats_on_the_nodes_shared_processors() -> None:
    mixed = GuestTopology((GuestNode(0, frozenset({0, 1, 2}), 1024, frozenset({0})),))
    host = HostTopology((node(0, 0, 2, dedicated=frozenset({0, 1}), shared=frozenset({2, 3})),), cpu_ratio=1.5)
    found = fit(mixed, host)
    assert found is not None
    assert (found.cells[0].pinned, found.cells[0].floating_cpus) == ({0: 0}, (2, 3))
    assert (found.taken_cpus, found.emulator_cpus) == ((0,), (0, 2, 3))
    # Two float on two processors, and three would with half as many again: not four.
    assert fit(mixed, taken_by(host, found)) is None
    three = GuestTopology((GuestNode(0, frozenset({0, 1, 2}), 1024),))
    assert fit(three, host) is None, "a guest has not more processors of a node than there are"
    floating = fit(GuestTopology((GuestNode(0, frozenset({0}), 1024),)), host)
    assert floating is not None
    assert (floating.cells[0].floating_cpus, floating.taken_cpus) == ((2, 3), ())


@pytest.mark.parametrize(
    ("page", "memory_mib", "expected"),
    [
        ("large", 2048, GIB),
        ("large", 1000, 2048),
        ("large", 1001, None),
        ("any", 1001, 0),
        ("2048", 2048, 2048),
        ("2048", 3000, None),
        (str(GIB), 1500, None),
        ("4096", 1024, None),
        ("small", 4096, 0),
        ("small", 4097, None),
        ("", 4096, 0),
        ("any", 5000, None),
    ],
)
def test_pages_are_of_a_size_that_is_asked_for_and_free(page: str, memory_mib: int, expected: int | None) -> None:
    pages = (Pages(2048, 2048, used=824), Pages(GIB, 4, used=1))
    host = HostTopology((node(0, 0, 1, shared=frozenset({9}), pages=pages),))
    found = fit(GuestTopology((GuestNode(0, frozenset({0}), memory_mib),), page=page), host)
    assert (None if found is None else found.cells[0].page_kib) == expected


def test_nodes_are_exchanged_where_only_that_lets_all_fit() -> None:
    host = HostTopology((node(0, 0, 4), node(1, 8, 1)))
    assert [cell.host_cell for cell in fit(own(2, 6), host).cells] == [1, 0]  # type: ignore[union-attr]
    assert fit(own(2, 2, 2), host) is None
    assert fit(own(4, 4), host) is None


# --- whatever hosts and guests there are ---------------------------------------------------------------------------


@st.composite
def hosts(draw: st.DrawFn) -> HostTopology:
    threads, found = draw(st.sampled_from([1, 2])), []
    for number in range(draw(st.integers(1, 3))):
        cores, first = draw(st.integers(1, 3)), number * 8
        cpus = frozenset(range(first, first + cores * threads))
        shared = frozenset(draw(st.sets(st.sampled_from(sorted(cpus)))))
        taken = frozenset(draw(st.sets(st.sampled_from(sorted(cpus))))) - shared
        pages = (Pages(2048, draw(st.integers(0, 1024))), Pages(GIB, draw(st.integers(0, 2))))
        found.append(
            node(number, first, cores, threads, shared=shared, dedicated=cpus - shared, taken=taken, pages=pages)
        )
    return HostTopology(tuple(found), draw(st.sampled_from([1.0, 4.0])), draw(st.sampled_from([1.0, 1.5])))


@st.composite
def guests(draw: st.DrawFn) -> GuestTopology:
    found, first = [], 0
    for number in range(draw(st.integers(1, 3))):
        cpus = frozenset(range(first, first := first + draw(st.integers(1, 4))))
        pinned = frozenset(draw(st.sets(st.sampled_from(sorted(cpus)))))
        found.append(GuestNode(number, cpus, draw(st.sampled_from([512, 1024, 2048, 3001])), pinned))
    return GuestTopology(
        tuple(found),
        threads=draw(st.sampled_from(["", "prefer", "isolate", "require"])),
        page=draw(st.sampled_from(["", "small", "large", "any", "2048", str(GIB)])),
        emulator=draw(st.sampled_from(["", "share", "isolate"])),
    )


def check(guest: GuestTopology, host: HostTopology, found: GuestPlacement) -> None:
    by_id = {each.id: each for each in host.nodes}
    assert [cell.id for cell in found.cells] == [each.id for each in guest.nodes]
    assert len({cell.host_cell for cell in found.cells}) == len(found.cells)
    used = [cpu for cell in found.cells for cpu in cell.pinned.values()]
    used += found.emulator_cpus if guest.isolates_emulator else ()
    assert len(set(used)) == len(used) == guest.pinned, "no processor is promised twice"
    assert set(used) <= set(found.taken_cpus) <= {cpu for each in host.nodes for cpu in each.free}
    others = {cpu for each in host.nodes for cpu in each.dedicated} - set(found.taken_cpus)
    assert not set(found.emulator_cpus) & others, "the emulator keeps off the processors of others"
    for wanted, cell in zip(guest.nodes, found.cells, strict=True):
        its = by_id[cell.host_cell]
        assert set(cell.pinned) == wanted.pinned
        assert set(cell.pinned.values()) <= its.free
        for cpu in cell.pinned.values():
            core = its.core_of(cpu)
            if guest.threads == "isolate":
                assert core & set(used) == {cpu}
                assert core <= its.free
            if guest.threads == "require":
                assert len(core & its.free) > 1
        if cell.page_kib:
            (pages,) = [each for each in its.pages if each.size_kib == cell.page_kib]
            assert cell.memory_mib * 1024 % pages.size_kib == 0
            assert cell.memory_mib * 1024 // pages.size_kib <= pages.total - pages.used
    if guest.isolates_emulator:
        assert set(found.emulator_cpus) <= by_id[found.cells[0].host_cell].free


@given(hosts(), st.lists(guests(), max_size=6))
def test_whatever_is_promised_is_there_and_is_promised_once(host: HostTopology, wanted: list[GuestTopology]) -> None:
    for guest in wanted:
        found = fit(guest, host)
        assert fits(guest, host) == (found is not None)
        if found is None:
            continue
        check(guest, host, found)
        after = taken_by(host, found)
        for before, its in zip(host.nodes, after.nodes, strict=True):
            assert its.free <= before.free
            assert its.used_shared <= len(its.shared) * host.cpu_ratio
            assert its.used_memory_mib <= its.memory_mib * host.ram_ratio
            assert all(pages.used <= pages.total for pages in its.pages)
        assert sum(len(each.free) for each in host.nodes) - sum(len(each.free) for each in after.nodes) >= guest.pinned
        host = after


@given(hosts(), guests())
def test_nobody_is_refused_whose_nodes_fit_one_by_one_in_some_order(host: HostTopology, guest: GuestTopology) -> None:
    def fits_alone(number: int, its: HostNode) -> bool:
        alone = GuestTopology((guest.nodes[number],), guest.threads, guest.page, guest.emulator if number == 0 else "")
        return fit(alone, HostTopology((its,), host.cpu_ratio, host.ram_ratio)) is not None

    some_order = any(
        all(fits_alone(number, its) for number, its in enumerate(order))
        for order in permutations(host.nodes, len(guest.nodes))
    )
    assert (fit(guest, host) is not None) == some_order


def test_the_filter_asks_hosts_whether_the_guest_fits() -> None:
    host = make_host(topology=HostTopology((node(0, 0, 1),)))
    assert numa_topology_filter(host, make_wanted()) is None
    assert numa_topology_filter(host, make_wanted(topology=own(2))) is None
    assert numa_topology_filter(host, make_wanted(topology=own(3))) == (
        "has too little left: 3 PCPU wanted on one NUMA node, 2 free"
    )
    plain = GuestTopology((GuestNode(0, frozenset({0}), 512),))
    assert numa_topology_filter(make_host(), make_wanted(topology=plain)) is None
    assert numa_topology_filter(make_host(), make_wanted(topology=own(1))) == "does not tell its NUMA nodes"


@pytest.mark.parametrize(
    ("guest", "lacks", "told"),
    [
        (own(1, 1, 1), [("NUMA_NODES", 3, 2)], "has 2 NUMA nodes, 3 wanted"),
        (own(5, 9), [("PCPU", 9, 6)], "has too little left: 9 PCPU wanted on one NUMA node, 6 free"),
        (own(4, threads="isolate"), [("PCPU", 4, 3)], "has too little left: 4 PCPU wanted on one NUMA node, 3 free"),
        (
            GuestTopology((GuestNode(0, frozenset({0, 1}), 9000, frozenset({0})),)),
            [("VCPU", 1, 0), ("MEMORY_MB", 9000, 4096)],
            "has too little left: 1 VCPU wanted on one NUMA node, 0 free; "
            "9000 MEMORY_MB wanted on one NUMA node, 4096 free",
        ),
        (
            own(1, page="2048"),
            [("MEMORY_MB", 1024, 0)],
            "has too little left: 1024 MEMORY_MB in pages of 2048 KiB wanted on one NUMA node, 0 free",
        ),
        (own(6, 6), [], "has no NUMA nodes left that the guest's fit into together"),
    ],
)
def test_a_refusal_says_how_much_of_what_is_lacking(guest: GuestTopology, lacks: Any, told: str) -> None:
    host = HostTopology((node(0, 0, 3), node(1, 8, 1)))
    assert fit(guest, host) is None
    assert (shortages.lacking(guest, host), shortages.told(guest, host)) == (lacks, told)


@given(hosts(), guests())
def test_what_is_said_to_be_lacking_is_lacking(host: HostTopology, guest: GuestTopology) -> None:
    if shortages.lacking(guest, host):
        assert fit(guest, host) is None
    assert all(wanted > free for _name, wanted, free in shortages.lacking(guest, host))
