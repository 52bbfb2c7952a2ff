"""From the options about placing servers to the scheduler's rules."""

from collections.abc import Collection, Sequence
from typing import Any

from kilonova.cli.parts.options.scheduler import ALL_FILTERS, ALL_WEIGHERS
from kilonova.compute.scheduling.filters import FILTERS
from kilonova.compute.scheduling.rules import WEIGHTS, Rules
from kilonova.compute.scheduling.weighers import WEIGHERS
from kilonova.kit.config import ConfigError

REQUESTS = (
    "max_attempts",
    "max_placement_results",
    "limit_tenants_to_placement_aggregate",
    "placement_aggregate_required_for_tenants",
    "enable_isolated_aggregate_filtering",
    "query_placement_for_image_type_support",
    "image_metadata_prefilter",
)
"""Options of [scheduler] that are rules by the same name."""
DONE_BY_PLACEMENT = frozenset({"RamFilter", "CoreFilter", "DiskFilter"})
"""Names of older files: placement offers only hosts with room."""


def rules_of(config: Any) -> Rules:
    """Raises ConfigError."""
    options, scheduler = config.filter_scheduler, config.scheduler
    if config.metrics.weight_setting:
        raise ConfigError("[metrics] weight_setting: hosts tell no metrics, so none can be weighed: leave it empty")
    if scheduler.query_placement_for_routed_network_aggregates:
        raise ConfigError(
            "[scheduler] query_placement_for_routed_network_aggregates: networks have no routed segments here, "
            "so there is nothing to ask: leave it off"
        )
    namespace = options.aggregate_image_properties_isolation_namespace
    separator = options.aggregate_image_properties_isolation_separator
    return Rules(
        filters=_filters(options.available_filters, options.enabled_filters),
        weighers=_weighers(options.weight_classes),
        weights={name: options[name] for name in WEIGHTS},
        image_props_weight_setting=dict(map(_property_weight, options.image_props_weight_setting)),
        host_subset_size=options.host_subset_size,
        shuffle_best_same_weighed_hosts=options.shuffle_best_same_weighed_hosts,
        max_io_ops_per_host=options.max_io_ops_per_host,
        max_instances_per_host=options.max_instances_per_host,
        isolated_hosts=frozenset(options.isolated_hosts),
        isolated_images=frozenset(options.isolated_images),
        restrict_isolated_hosts_to_isolated_images=options.restrict_isolated_hosts_to_isolated_images,
        image_properties_default_architecture=options.image_properties_default_architecture.lower(),
        isolation_prefix=f"{namespace}{separator}" if namespace else "",
        **{name: scheduler[name] for name in REQUESTS},
    )


def _filters(available: Sequence[str], enabled: Sequence[str]) -> tuple[str, ...]:
    """The names of those enabled, without repetition and without what placement does."""
    there = {*FILTERS, *DONE_BY_PLACEMENT}
    allowed = {name for each in available for name in (there if each == ALL_FILTERS else [_class(each)])}
    _refuse_unknown("available_filters", allowed - there, FILTERS)
    names = [_class(each) for each in enabled]
    _refuse_unknown("enabled_filters", set(names) - there, FILTERS)
    for name in names:
        if name not in allowed:
            raise ConfigError(f"[filter_scheduler] enabled_filters: {name} is not among available_filters")
    return tuple(name for name in dict.fromkeys(names) if name not in DONE_BY_PLACEMENT)


def _weighers(classes: Sequence[str]) -> tuple[str, ...] | None:
    if ALL_WEIGHERS in classes:
        return None
    names = [_class(each) for each in classes]
    _refuse_unknown("weight_classes", set(names) - WEIGHERS.keys(), WEIGHERS)
    return tuple(dict.fromkeys(names))


def _property_weight(entry: str) -> tuple[str, float]:
    name, _, number = entry.partition("=")
    try:
        return name.strip(), float(number)
    except ValueError:
        said = f"{entry!r} is not NAME=NUMBER"
        raise ConfigError(f"[filter_scheduler] image_props_weight_setting: {said}") from None


def _class(path: str) -> str:
    """The class's own name of `nova.scheduler.filters.compute_filter.ComputeFilter`."""
    return path.rpartition(".")[2]


def _refuse_unknown(option: str, unknown: Collection[str], known: Collection[str]) -> None:
    if unknown:
        raise ConfigError(
            f"[filter_scheduler] {option}: there is no {', '.join(sorted(unknown))}; "
            f"there are {', '.join(sorted(known))}"
        )
