"""Filters that go by the metadata of a host's aggregates. Pure.

A value may list several, separated by commas; a host in several aggregates has the values of all. Source: compute admin
guide, "Compute scheduler".
"""

from collections.abc import Iterable, Iterator

from kilonova.compute.scheduling.capabilities import matches
from kilonova.compute.scheduling.hosts import HostAggregate, HostState, Wanted

INSTANCE_TYPE = "instance_type"
TENANTS = "filter_tenant_id"
"""The key, or the beginning of it: a value has 255 characters, which few projects fit in."""
EXTRA_SPECS = "aggregate_instance_extra_specs"
IO_OPS, INSTANCES = "max_io_ops_per_host", "max_instances_per_host"


def values(aggregates: Iterable[HostAggregate], key: str) -> list[str]:
    """All that the aggregates say under the key, without repetition."""
    listed = (each for one in aggregates if key in one.metadata for each in one.metadata[key].split(","))
    return list(dict.fromkeys(each.strip() for each in listed))


def extra_specs_of_aggregates(specs: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(key, requirement) of what a flavor asks of aggregates: with the scope, or with none at all."""
    for key, requirement in specs.items():
        scope, colon, name = key.partition(":")
        if not colon or scope == EXTRA_SPECS:
            yield name if colon else key, requirement


def aggregate_instance_extra_specs_filter(host: HostState, wanted: Wanted) -> str | None:
    """AggregateInstanceExtraSpecsFilter: some aggregate of the host has what the flavor asks of aggregates."""
    for key, requirement in extra_specs_of_aggregates(wanted.extra_specs):
        if not any(matches(each, requirement) for each in values(host.aggregates, key)):
            return f"is in no aggregate with {key}={requirement}"
    return None


def aggregate_image_properties_isolation(host: HostState, wanted: Wanted) -> str | None:
    """AggregateImagePropertiesIsolation: where both the image and an aggregate have a property, they agree on it."""
    prefix = wanted.rules.isolation_prefix
    for key, asked in wanted.image_properties.items():
        allowed = values(host.aggregates, key) if key.startswith(prefix) else []
        if allowed and asked and asked not in allowed:
            return f"is in an aggregate for images with {key}={','.join(allowed)}, not {asked}"
    return None


def names_tenants(key: str) -> bool:
    return key.startswith(TENANTS)


def tenants_of(aggregates: Iterable[HostAggregate]) -> list[str]:
    """The projects that the aggregates are for; none: for all."""
    return [each for one in aggregates for key in one.metadata if names_tenants(key) for each in values([one], key)]


def aggregate_multi_tenancy_isolation(host: HostState, wanted: Wanted) -> str | None:
    """AggregateMultiTenancyIsolation: a host of an aggregate for some projects takes no other's servers."""
    tenants = tenants_of(host.aggregates)
    if not tenants or wanted.project_id in tenants:
        return None
    return "is in an aggregate for other projects"


def aggregate_type_affinity_filter(host: HostState, wanted: Wanted) -> str | None:
    """AggregateTypeAffinityFilter: a host of an aggregate for some flavors takes no others."""
    flavors = values(host.aggregates, INSTANCE_TYPE)
    if not flavors or wanted.flavor_name in flavors:
        return None
    return f"is in an aggregate for the flavors {', '.join(flavors)}"


def _least(host: HostState, key: str, otherwise: int) -> int:
    """The lowest of what the aggregates say; what is no number says nothing."""
    return min((int(each) for each in values(host.aggregates, key) if each.isdecimal()), default=otherwise)


def io_ops_filter(host: HostState, wanted: Wanted) -> str | None:
    """IoOpsFilter: not too many servers are being built on the host."""
    return _too_busy(host, wanted.rules.max_io_ops_per_host)


def aggregate_io_ops_filter(host: HostState, wanted: Wanted) -> str | None:
    """AggregateIoOpsFilter: the same, with the limit of the host's aggregates where one of them has it."""
    return _too_busy(host, _least(host, IO_OPS, wanted.rules.max_io_ops_per_host))


def _too_busy(host: HostState, most: int) -> str | None:
    return None if host.building < most else f"has {host.building} servers being built, {most} allowed"


def num_instances_filter(host: HostState, wanted: Wanted) -> str | None:
    """NumInstancesFilter: the host has not too many servers."""
    return _too_full(host, wanted.rules.max_instances_per_host)


def aggregate_num_instances_filter(host: HostState, wanted: Wanted) -> str | None:
    """AggregateNumInstancesFilter: the same, with the limit of the host's aggregates where one of them has it."""
    return _too_full(host, _least(host, INSTANCES, wanted.rules.max_instances_per_host))


def _too_full(host: HostState, most: int) -> str | None:
    return None if host.servers < most else f"has {host.servers} servers, {most} allowed"
