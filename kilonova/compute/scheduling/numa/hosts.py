"""A host's NUMA nodes with their processors, memory and pages, and the guests' shares of them. Plain data.

What follows from a node is worked out once: the same nodes are asked by every guest that is placed.
"""

from collections.abc import Sequence
from functools import cached_property

from msgspec import Struct

CpuSet = frozenset[int]


class Pages(Struct, frozen=True):
    """Pages larger than ordinary ones, set aside at the host's start."""

    size_kib: int
    total: int
    used: int = 0


class HostNode(Struct, frozen=True, kw_only=True, dict=True):
    id: int
    shared: CpuSet = frozenset()
    """Processors that guests share."""
    dedicated: CpuSet = frozenset()
    """Processors that a guest can have for itself."""
    cores: tuple[CpuSet, ...] = ()
    """Processors that are threads of one core; of a core that is not named, each processor is one."""
    memory_mib: int
    """Memory in ordinary pages."""
    pages: tuple[Pages, ...] = ()
    used_memory_mib: int = 0
    used_shared: int = 0
    """Processors of guests that float on those shared."""
    taken: CpuSet = frozenset()
    """Dedicated processors that a guest has or keeps others from."""

    @cached_property
    def free(self) -> CpuSet:
        return self.dedicated - self.taken

    @cached_property
    def _core_by_cpu(self) -> dict[int, CpuSet]:
        return {cpu: core for core in self.cores for cpu in core}

    def core_of(self, cpu: int) -> CpuSet:
        return self._core_by_cpu.get(cpu) or frozenset({cpu})

    @cached_property
    def _free_cores(self) -> list[CpuSet]:
        return sorted({self.core_of(cpu) for cpu in self.free}, key=min)

    @cached_property
    def free_alone(self) -> list[int]:
        """A free processor of each core on which nobody else runs, nor can."""
        return [min(core) for core in self._free_cores if core <= self.free]

    @cached_property
    def free_together(self) -> list[int]:
        """The free processors of cores with several of them, core by core, the fullest first."""
        return _fill([core & self.free for core in self._free_cores if len(core & self.free) > 1])

    @cached_property
    def free_in_order(self) -> list[int]:
        """All free processors: those of cores with several, then single ones."""
        return [*self.free_together, *sorted(self.free.difference(self.free_together))]


def _fill(cores: Sequence[CpuSet]) -> list[int]:
    return [cpu for core in sorted(cores, key=lambda each: (-len(each), min(each))) for cpu in sorted(core)]


class HostTopology(Struct, frozen=True):
    nodes: tuple[HostNode, ...]
    cpu_ratio: float = 1.0
    """Processors of guests for each of the host's that are shared."""
    ram_ratio: float = 1.0
