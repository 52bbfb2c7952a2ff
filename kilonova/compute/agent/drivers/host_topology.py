"""The NUMA nodes of a host, read from libvirt's capabilities or made up for a simulated one; pure."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.options import HardwareOptions, ReservedPages
from kilonova.compute.scheduling.numa.hosts import CpuSet, HostNode, HostTopology, Pages
from kilonova.kit.host_commands import HostError

KIB_IN_MIB = 1024
ORDINARY_KIB = 4


def parse_topology(capabilities_xml: str, options: HardwareOptions) -> HostTopology | None:
    """The host's nodes, without what guests cannot have. None where libvirt tells none.

    Raises HostError where the options name processors, nodes or pages that the host does not have.
    """
    cells = parse_xml(capabilities_xml).findall("host/topology/cells/cell")
    if not cells:
        return None
    return narrowed(HostTopology(tuple(map(_node, cells))), options)


def _node(cell: Element) -> HostNode:
    cpus = [(int(cpu.get("id", "0")), read_set(cpu.get("siblings", ""))) for cpu in cell.findall("cpus/cpu")]
    pages = {int(each.get("size", "0")): int(each.text or "0") for each in cell.findall("pages")}
    ordinary = pages.pop(ORDINARY_KIB, None)
    memory_kib = int(cell.findtext("memory", "0")) if ordinary is None else ordinary * ORDINARY_KIB
    return HostNode(
        id=int(cell.get("id", "0")),
        shared=frozenset(cpu for cpu, _siblings in cpus),
        cores=_cores(siblings for _cpu, siblings in cpus),
        memory_mib=memory_kib // KIB_IN_MIB,
        pages=tuple(Pages(size, count) for size, count in sorted(pages.items())),
    )


def _cores(siblings: Iterable[CpuSet]) -> tuple[CpuSet, ...]:
    """Those with several threads."""
    return tuple(sorted({core for core in siblings if len(core) > 1}, key=min))


def read_set(text: str) -> CpuSet:
    """Libvirt's way to write a set: `0-3,8`."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def make_topology(vcpus: int, memory_mib: int, nodes: int, threads: int, pages: Iterable[Pages] = ()) -> HostTopology:
    """A simulated host's nodes, all alike, each with these large pages; threads of a core have neighbouring numbers."""
    each, large = vcpus // nodes, tuple(pages)
    large_mib = sum(one.size_kib * one.total for one in large) // KIB_IN_MIB
    return HostTopology(
        tuple(_made(number, each, threads, memory_mib // nodes - large_mib, large) for number in range(nodes))
    )


def _made(number: int, cpus: int, threads: int, memory_mib: int, pages: tuple[Pages, ...]) -> HostNode:
    first, last = number * cpus, (number + 1) * cpus
    cores = (frozenset(range(cpu, min(cpu + threads, last))) for cpu in range(first, last, threads))
    return HostNode(
        id=number, shared=frozenset(range(first, last)), cores=_cores(cores), memory_mib=memory_mib, pages=pages
    )


def narrowed(host: HostTopology, options: HardwareOptions) -> HostTopology:
    """Returns what guests can have of nodes whose processors are all shared. Raises HostError."""
    every = frozenset[int]().union(*(node.shared for node in host.nodes))
    dedicated, shared = frozenset(options.dedicated_cpus), frozenset(options.shared_cpus)
    if missing := (dedicated | shared) - every:
        raise HostError(f"The host's NUMA nodes have no processors {', '.join(map(str, sorted(missing)))}.")
    if not dedicated and not shared:
        shared = every
    for each in options.reserved_pages:
        if not any(node.id == each.node and _has(node, each.size_kib) for node in host.nodes):
            raise HostError(f"The host has no NUMA node {each.node} with pages of {each.size_kib} KiB to be reserved.")
    return HostTopology(
        tuple(
            HostNode(
                id=node.id,
                shared=node.shared & shared,
                dedicated=node.shared & dedicated,
                cores=node.cores,
                memory_mib=max(
                    node.memory_mib - _reserved(options, node.id, ORDINARY_KIB) * ORDINARY_KIB // KIB_IN_MIB, 0
                ),
                pages=tuple(
                    Pages(each.size_kib, max(each.total - _reserved(options, node.id, each.size_kib), 0))
                    for each in node.pages
                ),
            )
            for node in host.nodes
        )
    )


def _has(node: HostNode, size_kib: int) -> bool:
    return size_kib == ORDINARY_KIB or any(each.size_kib == size_kib for each in node.pages)


def _reserved(options: HardwareOptions, node: int, size_kib: int) -> int:
    found: Iterable[ReservedPages] = options.reserved_pages
    return sum(each.count for each in found if (each.node, each.size_kib) == (node, size_kib))
