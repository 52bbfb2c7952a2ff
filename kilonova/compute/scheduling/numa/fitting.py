"""Fits a guest's nodes to a host's: each to one of its own, with the processors, memory and pages it asks for. Pure.

A fit is only a proposal: `taken_by` says what the host has after it, and whoever writes it down does so conditionally.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from kilonova.compute.scheduling.numa.guests import ANY, LARGE, SMALL, GuestNode, GuestTopology
from kilonova.compute.scheduling.numa.hosts import CpuSet, HostNode, HostTopology, Pages

KIB_IN_MIB = 1024


class FittedNode(Struct, frozen=True):
    """A node of the guest, and where on the host it lies."""

    id: int
    cpus: tuple[int, ...]
    memory_mib: int
    host_cell: int
    pinned: dict[int, int] = {}
    """The guest's processor → the host's."""
    page_kib: int = 0
    """0: the host's ordinary ones."""


class Fit(Struct, frozen=True):
    cells: tuple[FittedNode, ...]
    floating_cpus: tuple[int, ...] = ()
    """The host's processors for those of the guest that have none of their own."""
    emulator_cpus: tuple[int, ...] = ()
    realtime_cpus: tuple[int, ...] = ()
    """The guest's."""


def fit(guest: GuestTopology, host: HostTopology) -> Fit | None:
    """None when the guest's nodes cannot all lie on nodes of the host of their own."""
    if len(guest.nodes) > len(host.nodes):
        return None
    proposals = [
        {node.id: found for node in host.nodes if (found := _fit_node(guest, place, each, node, host)) is not None}
        for place, each in enumerate(guest.nodes)
    ]
    chosen = _match([list(each) for each in proposals])
    if chosen is None:
        return None
    nodes = {node.id: node for node in host.nodes}
    cells = tuple(proposals[place][host_id] for place, host_id in enumerate(chosen))
    floats = [nodes[cell.host_cell].shared for cell in cells if len(cell.pinned) < len(cell.cpus)]
    return Fit(
        cells,
        floating_cpus=tuple(sorted(frozenset().union(*floats))) if guest.pinned else (),
        emulator_cpus=_emulator_cpus(guest, cells[0], nodes[cells[0].host_cell]),
        realtime_cpus=tuple(sorted(guest.realtime)),
    )


def _match(possible: Sequence[Sequence[int]]) -> list[int] | None:
    """A host's node for each of the guest's, none twice; the earlier in each list the better, as far as all get one."""
    holder: dict[int, int] = {}

    def place(guest: int, tried: set[int]) -> bool:
        for host in possible[guest]:
            if host in tried:
                continue
            tried.add(host)
            if host not in holder or place(holder[host], tried):
                holder[host] = guest
                return True
        return False

    if not all(place(guest, set()) for guest in range(len(possible))):
        return None
    return sorted(holder, key=holder.__getitem__)


def _fit_node(
    guest: GuestTopology, place: int, wanted: GuestNode, node: HostNode, host: HostTopology
) -> FittedNode | None:
    floating = len(wanted.cpus) - len(wanted.pinned)
    # A guest never has more processors of a node than that has, however many guests share them.
    if floating > len(node.shared) or node.used_shared + floating > len(node.shared) * host.cpu_ratio:
        return None
    extra = 1 if guest.isolates_emulator and place == 0 else 0
    cpus = pick_cpus(node, len(wanted.pinned), guest.threads, extra)
    page_kib = _pick_page(guest.page, wanted.memory_mib, node, host.ram_ratio)
    if cpus is None or page_kib is None:
        return None
    pinned = dict(zip(sorted(wanted.pinned), cpus, strict=True))
    return FittedNode(wanted.id, tuple(sorted(wanted.cpus)), wanted.memory_mib, node.id, pinned, page_kib)


def _emulator_cpus(guest: GuestTopology, cell: FittedNode, node: HostNode) -> tuple[int, ...]:
    """Any that is left, else where the guest's own floating processors are."""
    if not guest.isolates_emulator:
        return ()
    left = sorted(node.free - blocked_by(node, cell.pinned.values(), guest.threads))
    return tuple(left[:1])


def pick_cpus(node: HostNode, count: int, threads: str, extra: int = 0) -> list[int] | None:
    """`count` free processors of the node, as the policy has them lie on cores, so that `extra` others are left."""
    free = node.free
    cores = sorted({node.core_of(cpu) for cpu in free}, key=min)
    match threads if count else "":
        case "isolate":
            # Nobody else runs on a core of which one thread is the guest's.
            found = [min(core) for core in cores if core & node.dedicated <= free and core <= node.dedicated]
        case "require":
            found = _fill([core & free for core in cores if len(core & free) > 1])
        case _:
            whole = _fill([core & free for core in cores if len(core & free) > 1])
            found = [*whole, *sorted(free.difference(whole))]
    if len(found) < count:
        return None
    chosen = found[:count]
    return chosen if len(free - blocked_by(node, chosen, threads)) >= extra else None


def _fill(cores: Sequence[CpuSet]) -> list[int]:
    """The threads of one core after those of another, the fullest first."""
    return [cpu for core in sorted(cores, key=lambda each: (-len(each), min(each))) for cpu in sorted(core)]


def blocked_by(node: HostNode, cpus: Iterable[int], threads: str) -> CpuSet:
    """These processors, and with `isolate` all of their cores."""
    chosen = frozenset(cpus)
    return frozenset().union(*(node.core_of(cpu) for cpu in chosen)) if threads == "isolate" else chosen


def _pick_page(page: str, memory_mib: int, node: HostNode, ram_ratio: float) -> int | None:
    """The size to take, 0 for ordinary pages; None when the node has not as many free."""
    needed_kib = memory_mib * KIB_IN_MIB
    if page not in ("", SMALL):
        for pages in sorted(node.pages, key=lambda each: -each.size_kib):
            is_asked = page in (LARGE, ANY) or pages.size_kib == int(page)
            if (
                is_asked
                and needed_kib % pages.size_kib == 0
                and needed_kib // pages.size_kib <= pages.total - pages.used
            ):
                return pages.size_kib
        if page != ANY:
            return None
    # Pages that are counted are not promised twice.
    limit = node.memory_mib if page else node.memory_mib * ram_ratio
    return 0 if memory_mib <= node.memory_mib and node.used_memory_mib + memory_mib <= limit else None


def taken_by(host: HostTopology, guest: GuestTopology, fitted: Fit) -> HostTopology:
    """The host with the guest on it."""
    cells = {cell.host_cell: cell for cell in fitted.cells}
    emulator = frozenset(fitted.emulator_cpus)
    nodes = [_taken(node, cells[node.id], guest.threads, emulator) if node.id in cells else node for node in host.nodes]
    return structs.replace(host, nodes=tuple(nodes))


def _taken(node: HostNode, cell: FittedNode, threads: str, emulator: CpuSet) -> HostNode:
    pages = node.pages
    if cell.page_kib:
        count = cell.memory_mib * KIB_IN_MIB // cell.page_kib
        pages = tuple(
            Pages(each.size_kib, each.total, each.used + count) if each.size_kib == cell.page_kib else each
            for each in pages
        )
    blocked = blocked_by(node, cell.pinned.values(), threads) & node.dedicated
    return structs.replace(
        node,
        taken=node.taken | blocked | (emulator & node.dedicated),
        pages=pages,
        used_memory_mib=node.used_memory_mib + (0 if cell.page_kib else cell.memory_mib),
        used_shared=node.used_shared + len(cell.cpus) - len(cell.pinned),
    )
