"""Fits a guest's nodes to a host's: each to one of its own, with the processors, memory and pages it asks for. Pure.

A placement is only a proposal until it is written down, conditionally (`hosts/takings.py`); `taken_by` says what the
host has after it.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from kilonova.compute.agent.spec import GuestCell, GuestPlacement
from kilonova.compute.scheduling.numa.guests import ANY, LARGE, SMALL, GuestTopology
from kilonova.compute.scheduling.numa.hosts import CpuSet, HostNode, HostTopology, Pages

KIB_IN_MIB = 1024


def fit(guest: GuestTopology, host: HostTopology) -> GuestPlacement | None:
    """None when the guest's nodes cannot all lie on nodes of the host of their own."""
    chosen = _matched(guest, host)
    if chosen is None:
        return None
    nodes = {node.id: node for node in host.nodes}
    cells = tuple(_cell(guest, place, nodes[host_id], host) for place, host_id in enumerate(chosen))
    isolated = _isolated_cpus(guest, cells[0], nodes[cells[0].host_cell])
    blocked = (
        blocked_by(nodes[cell.host_cell], cell.pinned.values(), guest.threads) & nodes[cell.host_cell].dedicated
        for cell in cells
    )
    return GuestPlacement(
        cells,
        emulator_cpus=isolated or _emulator_cpus(guest, cells, nodes),
        realtime_cpus=tuple(sorted(guest.realtime)),
        taken_cpus=tuple(sorted({*isolated}.union(*blocked))),
    )


def fits(guest: GuestTopology, host: HostTopology) -> bool:
    """Whether there is a placement, which is not made: a decision asks thousands of hosts."""
    return _matched(guest, host) is not None


def _matched(guest: GuestTopology, host: HostTopology) -> list[int] | None:
    """The host's node for each of the guest's."""
    if len(guest.nodes) > len(host.nodes):
        return None
    return _match(
        [[node.id for node in host.nodes if _fits_node(guest, place, node, host)] for place in range(len(guest.nodes))]
    )


def _match(possible: Sequence[Sequence[int]]) -> list[int] | None:
    """A host's node for each of the guest's, none twice; the earlier in each list the better, as far as all get one."""
    holder: dict[int, int] = {}

    def place(guest: int, tried: set[int]) -> bool:
        free = next((host for host in possible[guest] if host not in holder), None)
        if free is not None:
            holder[free] = guest
            return True
        for host in possible[guest]:
            if host in tried:
                continue
            tried.add(host)
            if place(holder[host], tried):
                holder[host] = guest
                return True
        return False

    if not all(place(guest, set()) for guest in range(len(possible))):
        return None
    return sorted(holder, key=holder.__getitem__)


def _fits_node(guest: GuestTopology, place: int, node: HostNode, host: HostTopology) -> bool:
    wanted = guest.nodes[place]
    floating = len(wanted.cpus) - len(wanted.pinned)
    return (
        (not floating or floating <= floating_room(node, host.cpu_ratio))
        and pick_cpus(node, len(wanted.pinned), guest.threads, own_threads(guest, place)) is not None
        and _pick_page(guest.page, wanted.memory_mib, node, host.ram_ratio) is not None
    )


def _cell(guest: GuestTopology, place: int, node: HostNode, host: HostTopology) -> GuestCell:
    """A node of the guest on one of the host that it fits."""
    wanted = guest.nodes[place]
    cpus = pick_cpus(node, len(wanted.pinned), guest.threads, own_threads(guest, place)) or []
    return GuestCell(
        wanted.id,
        tuple(sorted(wanted.cpus)),
        wanted.memory_mib,
        node.id,
        pinned=dict(zip(sorted(wanted.pinned), cpus, strict=True)),
        floating_cpus=tuple(sorted(node.shared)) if wanted.cpus != wanted.pinned else (),
        page_kib=_pick_page(guest.page, wanted.memory_mib, node, host.ram_ratio) or 0,
    )


def own_threads(guest: GuestTopology, place: int) -> int:
    """Returns how many processors the emulator has for itself on the host's node of the guest's node at `place`."""
    return 1 if guest.isolates_emulator and place == 0 else 0


def floating_room(node: HostNode, cpu_ratio: float) -> int:
    """Returns how many processors of a guest can float on the node; never more than it has, however many share them."""
    return max(min(len(node.shared), int(len(node.shared) * cpu_ratio) - node.used_shared), 0)


def _isolated_cpus(guest: GuestTopology, cell: GuestCell, node: HostNode) -> tuple[int, ...]:
    """The processor that only the emulator has: any that is left."""
    left = sorted(node.free - blocked_by(node, cell.pinned.values(), guest.threads))
    return tuple(left[:1]) if guest.isolates_emulator else ()


def _emulator_cpus(guest: GuestTopology, cells: Sequence[GuestCell], nodes: Mapping[int, HostNode]) -> tuple[int, ...]:
    """Returns where the threads of a guest that has processors of its own run: never on those of others."""
    if not guest.pinned:
        return ()
    shared = frozenset[int]().union(*(nodes[cell.host_cell].shared for cell in cells))
    if guest.emulator == "share" and shared:
        return tuple(sorted(shared))
    own = {host for cell in cells for cpu, host in cell.pinned.items() if cpu not in guest.realtime}
    return tuple(sorted(own.union(*(cell.floating_cpus for cell in cells))))


def pick_cpus(node: HostNode, count: int, threads: str, extra: int = 0) -> list[int] | None:
    """`count` free processors of the node, as the policy has them lie on cores, so that `extra` others are left."""
    found = usable_cpus(node, threads) if count else []
    if len(found) < count:
        return None
    chosen = found[:count]
    if extra and len(node.free - blocked_by(node, chosen, threads)) < extra:
        return None
    return chosen


def usable_cpus(node: HostNode, threads: str) -> list[int]:
    """The free processors of the node that a guest with this policy can have, those to be taken first at the front."""
    match threads:
        case "isolate":
            return node.free_alone
        case "require":
            return node.free_together
        case _:
            return node.free_in_order


def blocked_by(node: HostNode, cpus: Iterable[int], threads: str) -> CpuSet:
    """These processors, and with `isolate` all of their cores."""
    chosen = frozenset(cpus)
    return frozenset[int]().union(*(node.core_of(cpu) for cpu in chosen)) if threads == "isolate" else chosen


def _pick_page(page: str, memory_mib: int, node: HostNode, ram_ratio: float) -> int | None:
    """The size to take, 0 for ordinary pages; None when the node has not as many free."""
    needed_kib = memory_mib * KIB_IN_MIB
    for pages in sorted(pages_asked(page, node), key=lambda each: -each.size_kib):
        if needed_kib % pages.size_kib == 0 and needed_kib // pages.size_kib <= pages.total - pages.used:
            return pages.size_kib
    if page not in ("", SMALL, ANY):
        return None
    return 0 if memory_mib <= min(node.memory_mib, ordinary_room(page, node, ram_ratio)) else None


def pages_asked(page: str, node: HostNode) -> list[Pages]:
    """The node's pages that are large ones and of a size that is asked for."""
    if page in ("", SMALL):
        return []
    return [each for each in node.pages if page in (LARGE, ANY) or each.size_kib == int(page)]


def ordinary_room(page: str, node: HostNode, ram_ratio: float) -> int:
    """MiB in ordinary pages that are free. Pages that are counted are not promised twice."""
    limit = node.memory_mib if page else int(node.memory_mib * ram_ratio)
    return max(limit - node.used_memory_mib, 0)


def taken_by(host: HostTopology, placement: GuestPlacement) -> HostTopology:
    """The host with the guest on it. Nodes that the host no longer has take nothing."""
    cells = {cell.host_cell: cell for cell in placement.cells}
    taken = frozenset(placement.taken_cpus)
    nodes = [_taken(node, cells[node.id], taken) if node.id in cells else node for node in host.nodes]
    return structs.replace(host, nodes=tuple(nodes))


def _taken(node: HostNode, cell: GuestCell, taken: CpuSet) -> HostNode:
    pages = node.pages
    if cell.page_kib:
        count = cell.memory_mib * KIB_IN_MIB // cell.page_kib
        pages = tuple(
            Pages(each.size_kib, each.total, each.used + count) if each.size_kib == cell.page_kib else each
            for each in pages
        )
    return structs.replace(
        node,
        taken=node.taken | (taken & node.dedicated),
        pages=pages,
        used_memory_mib=node.used_memory_mib + (0 if cell.page_kib else cell.memory_mib),
        used_shared=node.used_shared + len(cell.cpus) - len(cell.pinned),
    )
