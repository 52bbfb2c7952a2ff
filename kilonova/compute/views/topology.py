"""The NUMA nodes of a guest as the newest version shows them."""

from typing import Any

from kilonova.compute.agent.spec import GuestCell, GuestPlacement
from kilonova.compute.scheduling.numa.guests import ORDINARY_KIB, GuestTopology


def topology_view(
    guest: GuestTopology | None, placement: GuestPlacement | None, threads: int, *, with_host: bool
) -> dict[str, Any]:
    """`threads`: how many of the guest's processors are one core. `with_host`: shows what is the host's."""
    if guest is None:
        return {"nodes": [], "pagesize_kb": None}
    cells = placement.cells if placement is not None else ()
    lying = {cell.id: cell for cell in cells}
    nodes = []
    for node in guest.nodes:
        cpus = sorted(node.cpus)
        shown: dict[str, Any] = {"memory_mb": node.memory_mib, "vcpu_set": cpus, "siblings": _siblings(cpus, threads)}
        if with_host:
            shown |= _host_view(lying.get(node.id))
        nodes.append(shown)
    large = next((cell.page_kib for cell in cells if cell.page_kib), None)
    return {"nodes": nodes, "pagesize_kb": large or (ORDINARY_KIB if guest.page and cells else None)}


def _siblings(cpus: list[int], threads: int) -> list[list[int]]:
    return [cpus[at : at + threads] for at in range(0, len(cpus), threads)] if threads > 1 else []


def _host_view(cell: GuestCell | None) -> dict[str, Any]:
    """None: the guest is on no host, or anywhere on its host."""
    if cell is None:
        return {"cpu_pinning": {}, "host_node": None}
    return {"cpu_pinning": {str(cpu): host for cpu, host in cell.pinned.items()}, "host_node": cell.host_cell}
