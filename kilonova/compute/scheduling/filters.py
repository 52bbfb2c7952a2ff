"""Filters: pure questions about one host, under upstream's names.

Each answers None when the host will do, or the reason it will not, as a phrase for the account.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from kilonova.compute.scheduling import aggregate_filters, json_query, request_filters
from kilonova.compute.scheduling.capabilities import compute_capabilities_filter
from kilonova.compute.scheduling.hosts import HostState, Wanted
from kilonova.compute.scheduling.numa import shortages
from kilonova.compute.scheduling.numa.fitting import fits

Filter = Callable[[HostState, Wanted], str | None]


def compute_filter(host: HostState, wanted: Wanted) -> str | None:
    """ComputeFilter: the host answers and is not disabled."""
    if host.is_disabled:
        return f"is disabled ({host.disabled_reason})" if host.disabled_reason else "is disabled"
    if not host.is_up:
        if host.seconds_since_answer is None:
            return "has not answered since this service started"
        return f"has not answered for {host.seconds_since_answer:.0f} s"
    return None


def availability_zone_filter(host: HostState, wanted: Wanted) -> str | None:
    """AvailabilityZoneFilter: the host is in the zone that was asked for."""
    if wanted.requested_zone in (None, host.availability_zone):
        return None
    return f"is in zone {host.availability_zone}, not {wanted.requested_zone}"


def requested_host_filter(host: HostState, wanted: Wanted) -> str | None:
    """The host an administrator named, if one did."""
    if wanted.requested_host in (None, host.host, host.hypervisor_hostname):
        return None
    return f"is not the requested host {wanted.requested_host}"


def retry_filter(host: HostState, wanted: Wanted) -> str | None:
    """A host that has failed to build this server is not tried again."""
    return "has failed to build this server" if host.host in wanted.excluded_hosts else None


PCI_ALIAS = "pci_passthrough:alias"
IMAGE_PROPERTIES = (("hw_architecture", "architecture"), ("img_hv_type", "hypervisor_type"), ("hw_vm_mode", "vm_mode"))
"""What an image may ask for, by its newer and its older name, in the order of a host's supported instances."""


def image_properties_filter(host: HostState, wanted: Wanted) -> str | None:
    """ImagePropertiesFilter: the host runs guests of the image's architecture, hypervisor type and vm mode."""
    properties = wanted.image_properties
    asked = [(properties.get(new) or properties.get(old) or "").lower() for new, old in IMAGE_PROPERTIES]
    asked[0] = asked[0] or wanted.rules.image_properties_default_architecture
    if not any(asked):
        return None
    for supported in host.supported_instances:
        if all(not one or one == other.lower() for one, other in zip(asked, supported, strict=True)):
            return None
    runs = ", ".join("/".join(each) for each in host.supported_instances) or "nothing that is known"
    return f"runs {runs}, not {'/'.join(one or '*' for one in asked)}"


def server_group_affinity_filter(host: HostState, wanted: Wanted) -> str | None:
    """ServerGroupAffinityFilter: members of the group share a host."""
    group = wanted.group
    if group is None or group.policy != "affinity" or not group.members_on or host.host in group.members_on:
        return None
    return "is not the host of the server group's other members"


def server_group_anti_affinity_filter(host: HostState, wanted: Wanted) -> str | None:
    """ServerGroupAntiAffinityFilter: no more members of the group on a host than its rule allows."""
    group = wanted.group
    if group is None or group.policy != "anti-affinity" or group.members_on.get(host.host, 0) < group.most_on_a_host:
        return None
    return f"has {group.members_on[host.host]} of the server group's members, {group.most_on_a_host} allowed"


def same_host_filter(host: HostState, wanted: Wanted) -> str | None:
    """SameHostFilter: the hint `same_host` names servers this one must join."""
    named = _server_ids(wanted.scheduler_hints.get("same_host"))
    if named and host.host not in {wanted.hosts_of_servers.get(each) for each in named}:
        return "holds none of the servers named in same_host"
    return None


def different_host_filter(host: HostState, wanted: Wanted) -> str | None:
    """DifferentHostFilter: the hint `different_host` names servers this one must avoid."""
    named = _server_ids(wanted.scheduler_hints.get("different_host"))
    if host.host in {wanted.hosts_of_servers.get(each) for each in named}:
        return "holds a server named in different_host"
    return None


def _server_ids(hint: Any) -> list[str]:
    if hint is None:
        return []
    return [str(each) for each in hint] if isinstance(hint, list) else [str(hint)]


def isolated_hosts_filter(host: HostState, wanted: Wanted) -> str | None:
    """IsolatedHostsFilter: isolated images go to isolated hosts only, and unless that is allowed nothing else does."""
    rules = wanted.rules
    is_isolated = host.host in rules.isolated_hosts
    if wanted.image_id in rules.isolated_images:
        return None if is_isolated else "is no host for isolated images"
    if is_isolated and rules.restrict_isolated_hosts_to_isolated_images:
        return "is a host for isolated images alone"
    return None


NEAR, CIDR = "build_near_host_ip", "cidr"


def simple_cidr_affinity_filter(host: HostState, wanted: Wanted) -> str | None:
    """SimpleCIDRAffinityFilter: the host's address is in the network around the one the hints give."""
    around = network_near(wanted.scheduler_hints)
    return None if ip_address(host.inventory["host_ip"]) in around else f"is not in {around}"


def network_near(hints: Mapping[str, Any]) -> IPv4Network | IPv6Network:
    """Raises ValueError."""
    return ip_network(f"{hints[NEAR]}/{str(hints.get(CIDR, '/24')).lstrip('/')}", strict=False)


def numa_topology_filter(host: HostState, wanted: Wanted) -> str | None:
    """NUMATopologyFilter: the guest's nodes fit into the host's, with the processors and pages they ask for."""
    guest = wanted.topology
    if guest is None or (host.topology is None and not guest.is_demanding):
        return None
    if host.topology is None:
        return "does not tell its NUMA nodes"
    return None if fits(guest, host.topology) else shortages.told(guest, host.topology)


def pci_passthrough_filter(host: HostState, wanted: Wanted) -> str | None:
    """PciPassthroughFilter: the host has the devices that the flavor names. No agent here passes any through."""
    return f"has no devices for {PCI_ALIAS}={wanted.extra_specs[PCI_ALIAS]}"


def all_hosts_filter(host: HostState, wanted: Wanted) -> str | None:
    """AllHostsFilter: every host will do."""
    return None


def _is_always_asked(_wanted: Wanted) -> bool:
    return True


def _is_never_asked(_wanted: Wanted) -> bool:
    return False


def _names_an_image_property(wanted: Wanted) -> bool:
    if wanted.rules.image_properties_default_architecture:
        return True
    return any(wanted.image_properties.get(name) for names in IMAGE_PROPERTIES for name in names[:2])


def _isolates(wanted: Wanted) -> object:
    return wanted.rules.isolated_hosts or wanted.rules.isolated_images


def _asks_aggregates(wanted: Wanted) -> bool:
    return any(True for _each in aggregate_filters.extra_specs_of_aggregates(wanted.extra_specs))


def _serves_tenants(wanted: Wanted) -> bool:
    return any(map(aggregate_filters.names_tenants, wanted.aggregate_keys))


Entry = tuple[str, Filter, Callable[[Wanted], object]]
"""(upstream's name, the question, whether a server asks it at all)."""

REQUESTED_HOST = "RequestedHostFilter"
"""Asked before all others, and before placement."""
NUMA_TOPOLOGY = "NUMATopologyFilter"
ALWAYS: tuple[Entry, ...] = (
    ("RetryFilter", retry_filter, lambda wanted: wanted.excluded_hosts),
    ("AvailabilityZoneFilter", availability_zone_filter, lambda wanted: wanted.requested_zone is not None),
    (REQUESTED_HOST, requested_host_filter, _is_never_asked),
    ("ServerGroupAntiAffinityFilter", server_group_anti_affinity_filter, lambda wanted: wanted.group),
    ("ServerGroupAffinityFilter", server_group_affinity_filter, lambda wanted: wanted.group),
    # A host that cannot give what is asked of its nodes would be chosen again and again, and never taken.
    (NUMA_TOPOLOGY, numa_topology_filter, lambda wanted: wanted.topology),
)
"""Filters that hold whichever are chosen; where they are named, they are asked in their place."""

OF_REQUESTS: tuple[Entry, ...] = (
    (
        "require_tenant_aggregate",
        request_filters.require_tenant_aggregate,
        request_filters.asks_for_tenant_aggregate,
    ),
    ("isolate_aggregates", request_filters.isolate_aggregates, request_filters.asks_for_isolation),
)
"""Filters that [scheduler] turns on: asked of placement elsewhere, and so asked first."""

_CHOOSABLE: tuple[Entry, ...] = (
    ("AllHostsFilter", all_hosts_filter, _is_never_asked),
    ("ComputeFilter", compute_filter, _is_always_asked),
    ("ComputeCapabilitiesFilter", compute_capabilities_filter, lambda wanted: wanted.extra_specs),
    ("ImagePropertiesFilter", image_properties_filter, _names_an_image_property),
    ("SameHostFilter", same_host_filter, lambda wanted: wanted.scheduler_hints),
    ("DifferentHostFilter", different_host_filter, lambda wanted: wanted.scheduler_hints),
    ("SimpleCIDRAffinityFilter", simple_cidr_affinity_filter, lambda wanted: NEAR in wanted.scheduler_hints),
    ("JsonFilter", json_query.json_filter, lambda wanted: json_query.HINT in wanted.scheduler_hints),
    ("IsolatedHostsFilter", isolated_hosts_filter, _isolates),
    ("IoOpsFilter", aggregate_filters.io_ops_filter, _is_always_asked),
    ("NumInstancesFilter", aggregate_filters.num_instances_filter, _is_always_asked),
    ("AggregateIoOpsFilter", aggregate_filters.aggregate_io_ops_filter, _is_always_asked),
    ("AggregateNumInstancesFilter", aggregate_filters.aggregate_num_instances_filter, _is_always_asked),
    ("AggregateInstanceExtraSpecsFilter", aggregate_filters.aggregate_instance_extra_specs_filter, _asks_aggregates),
    (
        "AggregateImagePropertiesIsolation",
        aggregate_filters.aggregate_image_properties_isolation,
        lambda wanted: not wanted.aggregate_keys.isdisjoint(wanted.image_properties),
    ),
    ("AggregateMultiTenancyIsolation", aggregate_filters.aggregate_multi_tenancy_isolation, _serves_tenants),
    (
        "AggregateTypeAffinityFilter",
        aggregate_filters.aggregate_type_affinity_filter,
        lambda wanted: aggregate_filters.INSTANCE_TYPE in wanted.aggregate_keys,
    ),
    ("PciPassthroughFilter", pci_passthrough_filter, lambda wanted: PCI_ALIAS in wanted.extra_specs),
    # Hosts tell no metrics, and a file that asks for some does not start: there is nothing that a host could lack.
    ("MetricsFilter", all_hosts_filter, _is_never_asked),
)
FILTERS: Mapping[str, Entry] = {entry[0]: entry for entry in (*ALWAYS, *_CHOOSABLE)}


def chosen_for(wanted: Wanted) -> list[tuple[str, Filter]]:
    """The filters that this server asks hosts, in the order of the operator's choice."""
    names = wanted.rules.filters
    entries = [*OF_REQUESTS, *(entry for entry in ALWAYS if entry[0] not in names), *(FILTERS[name] for name in names)]
    return [(name, check) for name, check, is_asked in entries if is_asked(wanted)]
