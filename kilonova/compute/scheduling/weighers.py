"""Weighers: pure measures of how well a host suits; more is better.

Each measure is scaled to 0…1 over the hosts compared, then multiplied and added, as upstream does.
"""

from collections.abc import Callable, Sequence

from kilonova.compute.scheduling.hosts import HostState

Weigher = Callable[[HostState], float]

DEFAULT_WEIGHERS: tuple[tuple[str, Weigher, float], ...] = (
    ("RAMWeigher", lambda host: host.free("MEMORY_MB"), 1.0),
    ("CPUWeigher", lambda host: host.free("VCPU"), 1.0),
    ("DiskWeigher", lambda host: host.free("DISK_GB"), 1.0),
    ("NumInstancesWeigher", lambda host: host.servers, -0.01),
)
"""(upstream's name, measure, multiplier): spread by what is free; between equals, to where the fewest servers are."""


def order(hosts: Sequence[HostState]) -> list[HostState]:
    """The best first; equals in the order of their names, so that a decision can be repeated."""
    weights = dict.fromkeys((host.id for host in hosts), 0.0)
    for _name, measure, multiplier in DEFAULT_WEIGHERS:
        measures = [measure(host) for host in hosts]
        low, high = min(measures, default=0), max(measures, default=0)
        for host, value in zip(hosts, measures, strict=True):
            weights[host.id] += multiplier * ((value - low) / (high - low) if high > low else 0.0)
    return sorted(hosts, key=lambda host: (-weights[host.id], host.host))
