"""A host's NUMA nodes with their processors, memory and pages, and the guests' shares of them. Plain data."""

from msgspec import Struct

CpuSet = frozenset[int]


class Pages(Struct, frozen=True):
    """Pages larger than ordinary ones, set aside at the host's start."""

    size_kib: int
    total: int
    used: int = 0


class HostNode(Struct, frozen=True, kw_only=True):
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

    @property
    def free(self) -> CpuSet:
        return self.dedicated - self.taken

    def core_of(self, cpu: int) -> CpuSet:
        return next((core for core in self.cores if cpu in core), frozenset({cpu}))


class HostTopology(Struct, frozen=True):
    nodes: tuple[HostNode, ...]
    cpu_ratio: float = 1.0
    """Processors of guests for each of the host's that are shared."""
    ram_ratio: float = 1.0
