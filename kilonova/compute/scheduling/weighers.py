"""Weighers: pure measures of how well hosts suit; more is better.

Each measure is scaled to 0…1 over the hosts compared, then multiplied and added, as upstream does. A weigher measures
all hosts at once, since a call for each of them would take longer than the measure.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from kilonova.compute.scheduling.aggregate_filters import values
from kilonova.compute.scheduling.hosts import HostState, Wanted
from kilonova.compute.scheduling.rules import Rules

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
    return [-host.failed_builds for host in hosts]


def hypervisor_version_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    return [host.hypervisor_version for host in hosts]


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


def image_properties_weigher(hosts: Hosts, wanted: Wanted) -> list[float]:
    """ImagePropertiesWeigher: how like this one's the images of a host's servers are (`likeness`)."""
    shared = wanted.images_like_it
    return [shared.get(host.host, 0.0) for host in hosts] if shared else []


def likeness(
    properties: Mapping[str, str], others: Iterable[tuple[str, Mapping[str, str]]], rules: Rules
) -> dict[str, float]:
    """Host → how many properties its servers' images share with these, each as often as it counts.

    `others`: host and image properties of each server that is somewhere.
    """
    setting = rules.image_props_weight_setting
    counting = {name: value for name, value in properties.items() if not setting or name in setting}
    shared: dict[str, float] = {}
    for host, theirs in others:
        alike = (setting.get(name, 1.0) for name, value in counting.items() if theirs.get(name) == value)
        shared[host] = shared.get(host, 0.0) + sum(alike)
    return shared


def nothing_to_weigh(hosts: Hosts, wanted: Wanted) -> list[float]:
    """CrossCellWeigher, MetricsWeigher, PCIWeigher: servers move within their cell, hosts tell neither metrics nor
    devices that they would pass through.
    """
    return []


IMAGE_PROPERTIES = "image_props_weight_multiplier"
WEIGHERS: Mapping[str, tuple[Weigher, str]] = {
    "RAMWeigher": (ram_weigher, "ram_weight_multiplier"),
    "CPUWeigher": (cpu_weigher, "cpu_weight_multiplier"),
    "DiskWeigher": (disk_weigher, "disk_weight_multiplier"),
    "IoOpsWeigher": (io_ops_weigher, "io_ops_weight_multiplier"),
    "BuildFailureWeigher": (build_failure_weigher, "build_failure_weight_multiplier"),
    "HypervisorVersionWeigher": (hypervisor_version_weigher, "hypervisor_version_weight_multiplier"),
    "ServerGroupSoftAffinityWeigher": (soft_affinity_weigher, "soft_affinity_weight_multiplier"),
    "ServerGroupSoftAntiAffinityWeigher": (soft_anti_affinity_weigher, "soft_anti_affinity_weight_multiplier"),
    "NumInstancesWeigher": (num_instances_weigher, "num_instances_weight_multiplier"),
    "ImagePropertiesWeigher": (image_properties_weigher, IMAGE_PROPERTIES),
    "CrossCellWeigher": (nothing_to_weigh, ""),
    "MetricsWeigher": (nothing_to_weigh, ""),
    "PCIWeigher": (nothing_to_weigh, ""),
}
"""Upstream's name → measure, and the option and key of aggregates that say how much it counts."""


def order(hosts: Hosts, wanted: Wanted) -> list[HostState]:
    """The best first; equals in the order of their names, or as chance has it where the operator wants that.

    Chance is the server's id, so that a decision can be repeated.
    """
    hosts = sorted(hosts, key=attrgetter("host"))
    weights = [0.0] * len(hosts)
    for name in WEIGHERS if wanted.rules.weighers is None else wanted.rules.weighers:
        measure, option = WEIGHERS[name]
        if not is_weighed(option, wanted):
            continue
        measures = measure(hosts, wanted)
        if not measures or measures.count(measures[0]) == len(measures):
            continue
        low, high = min(measures), max(measures)
        if option in wanted.aggregate_keys:
            shares = [_multiplier(host, wanted, option) / (high - low) for host in hosts]
            weights = [
                weight + share * (value - low) for weight, share, value in zip(weights, shares, measures, strict=True)
            ]
        else:
            share = wanted.rules.weights[option] / (high - low)
            weights = [weight + share * (value - low) for weight, value in zip(weights, measures, strict=True)]
    # A sort leaves equals in their order.
    places = sorted(range(len(hosts)), key=weights.__getitem__, reverse=True)
    found = [hosts[place] for place in places]
    equals = weights.count(weights[places[0]]) if places else 0
    return _by_chance(found, equals, wanted)


def is_weighed(option: str, wanted: Wanted) -> bool:
    """Whether the measure counts for some host."""
    return bool(wanted.rules.weights.get(option)) or option in wanted.aggregate_keys


def _multiplier(host: HostState, wanted: Wanted, option: str) -> float:
    """The lowest that the host's aggregates say, else the operator's."""
    said = []
    for each in values(host.aggregates, option):
        try:
            said.append(float(each))
        except ValueError:
            continue
    return min(said, default=wanted.rules.weights[option])


def _by_chance(found: list[HostState], equals: int, wanted: Wanted) -> list[HostState]:
    """`equals`: how many of the first are equally good."""
    rules = wanted.rules
    if len(found) < 2 or not (rules.shuffle_best_same_weighed_hosts or rules.host_subset_size > 1):
        return found
    dice = random.Random(wanted.server_id)  # noqa: S311 - spreads load, keeps no secret
    if rules.shuffle_best_same_weighed_hosts:
        found = [*dice.sample(found[:equals], equals), *found[equals:]]
    if rules.host_subset_size > 1:
        found.insert(0, found.pop(dice.randrange(min(rules.host_subset_size, len(found)))))
    return found
