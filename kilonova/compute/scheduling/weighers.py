"""Weighers: pure measures of how well hosts suit; more is better.

Each measure is scaled to 0…1 over the hosts compared, then multiplied and added, as upstream does. A weigher measures
all hosts at once, since a call for each of them would take longer than the measure.
"""

from collections.abc import Callable, Sequence

from kilonova.compute.scheduling.hosts import HostState, Wanted

Hosts = Sequence[HostState]
Weigher = Callable[[Hosts, Wanted], list[float]]
"""Returns a measure for each host, or nothing where the server has no such wish."""


def ram_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return _free(hosts, "MEMORY_MB")


def cpu_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return _free(hosts, "VCPU")


def disk_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return _free(hosts, "DISK_GB")


def _free(hosts: Hosts, resource: str) -> list[float]:
    return [host.capacity.get(resource, 0) - host.used.get(resource, 0) for host in hosts]


def io_ops_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    """What loads a host's disks: servers being built."""
    return [host.building for host in hosts]


def build_failure_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    """A host where builds fail is chosen when there is no other."""
    return [host.failed_builds for host in hosts]


def hypervisor_version_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return [float(host.inventory.get("hypervisor_version", 0)) for host in hosts]


def soft_affinity_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return _members(hosts, wanted, "soft-affinity")


def soft_anti_affinity_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return [-members for members in _members(hosts, wanted, "soft-anti-affinity")]


def _members(hosts: Hosts, wanted: Wanted, policy: str) -> list[float]:
    group = wanted.group
    if group is None or group.policy != policy:
        return []
    return [group.members_on.get(host.host, 0) for host in hosts]


def num_instances_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return [host.servers for host in hosts]


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


def order(hosts: Hosts, wanted: Wanted) -> list[HostState]:
    """The best first; equals in the order of their names, so that a decision can be repeated."""
    weights = [0.0] * len(hosts)
    for _name, measure, multiplier in DEFAULT_WEIGHERS:
        measures = measure(hosts, wanted)
        low, high = min(measures, default=0), max(measures, default=0)
        if high == low:
            continue
        span = high - low
        weights = [
            weight + multiplier * ((value - low) / span) for weight, value in zip(weights, measures, strict=True)
        ]
    ranks = sorted((-weight, host.host, place) for place, (weight, host) in enumerate(zip(weights, hosts, strict=True)))
    return [hosts[place] for _weight, _name, place in ranks]
