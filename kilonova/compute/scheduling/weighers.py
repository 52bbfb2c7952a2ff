"""Weighers: pure measures of how well a host suits; more is better.

Each measure is scaled to 0…1 over the hosts compared, then multiplied and added, as upstream does.
"""

from collections.abc import Callable, Sequence

from kilonova.compute.scheduling.hosts import HostState, Wanted

Weigher = Callable[[HostState, Wanted], float]


def ram_weigher(host: HostState, wanted: Wanted) -> float:
    return host.free("MEMORY_MB")


def cpu_weigher(host: HostState, wanted: Wanted) -> float:
    return host.free("VCPU")


def disk_weigher(host: HostState, wanted: Wanted) -> float:
    return host.free("DISK_GB")


def io_ops_weigher(host: HostState, wanted: Wanted) -> float:
    """What loads a host's disks: servers being built."""
    return host.building


def build_failure_weigher(host: HostState, wanted: Wanted) -> float:
    """A host where builds fail is chosen when there is no other."""
    return host.failed_builds


def hypervisor_version_weigher(host: HostState, wanted: Wanted) -> float:
    return float(host.inventory.get("hypervisor_version", 0))


def soft_affinity_weigher(host: HostState, wanted: Wanted) -> float:
    return _members(host, wanted, "soft-affinity")


def soft_anti_affinity_weigher(host: HostState, wanted: Wanted) -> float:
    return -_members(host, wanted, "soft-anti-affinity")


def _members(host: HostState, wanted: Wanted, policy: str) -> int:
    group = wanted.group
    return 0 if group is None or group.policy != policy else group.members_on.get(host.host, 0)


def num_instances_weigher(host: HostState, wanted: Wanted) -> float:
    return host.servers


DEFAULT_WEIGHERS: tuple[tuple[str, Weigher, float], ...] = (
    ("RAMWeigher", ram_weigher, 1.0),
    ("CPUWeigher", cpu_weigher, 1.0),
    ("DiskWeigher", disk_weigher, 1.0),
    ("IoOpsWeigher", io_ops_weigher, -1.0),
    ("BuildFailureWeigher", build_failure_weigher, -1_000_000.0),
    ("HypervisorVersionWeigher", hypervisor_version_weigher, 1.0),
    ("ServerGroupSoftAffinityWeigher", soft_affinity_weigher, 10.0),
    ("ServerGroupSoftAntiAffinityWeigher", soft_anti_affinity_weigher, 10.0),
    ("NumInstancesWeigher", num_instances_weigher, -0.01),
)
"""(upstream's name, measure, multiplier): spread by what is free; between equals, to where the fewest servers are.

A group's wish weighs more than what is free: with upstream's 1.0 the room a member takes would undo the affinity.
"""


def order(hosts: Sequence[HostState], wanted: Wanted) -> list[HostState]:
    """The best first; equals in the order of their names, so that a decision can be repeated."""
    weights = dict.fromkeys((host.id for host in hosts), 0.0)
    for _name, measure, multiplier in DEFAULT_WEIGHERS:
        measures = [measure(host, wanted) for host in hosts]
        low, high = min(measures, default=0), max(measures, default=0)
        if high == low:
            continue
        for host, value in zip(hosts, measures, strict=True):
            weights[host.id] += multiplier * ((value - low) / (high - low))
    return sorted(hosts, key=lambda host: (-weights[host.id], host.host))
