"""Says what the nodes of a host lack for a guest's: amounts wanted and free. Pure."""

from collections.abc import Callable

from kilonova.compute.scheduling.numa.fitting import (
    KIB_IN_MIB,
    floating_room,
    ordinary_room,
    own_threads,
    pages_asked,
    usable_cpus,
)
from kilonova.compute.scheduling.numa.guests import ANY, SMALL, GuestNode, GuestTopology
from kilonova.compute.scheduling.numa.hosts import HostNode, HostTopology

Lacking = list[tuple[str, int, int]]
"""A shortage: its name, how much is wanted, and how much is free."""
NODES, OWN, SHARED, MEMORY = "NUMA_NODES", "PCPU", "VCPU", "MEMORY_MB"


def lacking(guest: GuestTopology, host: HostTopology) -> Lacking:
    """Returns how much of each thing the guest's worst-served node lacks on the host's node that has the most of it.

    Empty when each node of the guest finds all of everything, and only not on one node, or all on the same one.
    """
    if len(guest.nodes) > len(host.nodes):
        return [(NODES, len(guest.nodes), len(host.nodes))]

    def most(room: Callable[[HostNode], int]) -> int:
        return max(map(room, host.nodes), default=0)

    worst: dict[str, tuple[int, int]] = {}
    for place, node in enumerate(guest.nodes):
        extra = own_threads(guest, place)
        own, floating = len(node.pinned) + extra, len(node.cpus) - len(node.pinned)
        threads = guest.threads if node.pinned else ""
        found = {
            OWN: (own, most(lambda its, how=threads, more=extra: _own_room(its, how, more))),  # type: ignore[misc]
            SHARED: (floating, most(lambda its: floating_room(its, host.cpu_ratio))),
            MEMORY: (node.memory_mib, most(lambda its, wanted=node: _memory_room(guest, wanted, its, host))),  # type: ignore[misc]
        }
        for name, (wanted, free) in found.items():
            if wanted > free and wanted - free > worst.get(name, (0, 0))[0] - worst.get(name, (0, 0))[1]:
                worst[name] = wanted, free
    return [(name, *worst[name]) for name in (OWN, SHARED, MEMORY) if name in worst]


def _own_room(node: HostNode, threads: str, extra: int) -> int:
    """Returns how many processors of its own a guest can have of the node, `extra` of them for the emulator.

    That one takes any that is left, also beside another guest's on a core that the policy leaves alone.
    """
    usable = len(usable_cpus(node, threads))
    return min(usable + extra, len(node.free)) if extra else usable


def _memory_room(guest: GuestTopology, wanted: GuestNode, node: HostNode, host: HostTopology) -> int:
    """MiB of the node in pages of a size that the guest takes."""
    needed_kib = wanted.memory_mib * KIB_IN_MIB
    rooms = [
        (pages.total - pages.used) * pages.size_kib // KIB_IN_MIB
        for pages in pages_asked(guest.page, node)
        if needed_kib % pages.size_kib == 0
    ]
    if guest.page in ("", SMALL, ANY):
        rooms.append(min(node.memory_mib, ordinary_room(guest.page, node, host.ram_ratio)))
    return max(rooms, default=0)


def told(guest: GuestTopology, host: HostTopology) -> str:
    """The shortage as a phrase of an account."""
    short = lacking(guest, host)
    if not short:
        return "has no NUMA nodes left that the guest's fit into together"
    if short[0][0] == NODES:
        return f"has {short[0][2]} NUMA nodes, {short[0][1]} wanted"
    pages = (
        f" in pages of {guest.page} KiB"
        if guest.page.isdecimal()
        else " in large pages"
        if guest.page == "large"
        else ""
    )
    amounts = (
        f"{wanted} {name}{pages if name == MEMORY else ''} wanted on one NUMA node, {free} free"
        for name, wanted, free in short
    )
    return f"has too little left: {'; '.join(amounts)}"
