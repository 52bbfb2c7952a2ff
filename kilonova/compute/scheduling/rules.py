"""The operator's rules of placing: the options of [filter_scheduler] and [scheduler]. Plain data."""

from collections.abc import Mapping

from msgspec import Struct, field

FILTERS = (
    "ComputeFilter",
    "RetryFilter",
    "AvailabilityZoneFilter",
    "RequestedHostFilter",
    "ComputeCapabilitiesFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
    "SameHostFilter",
    "DifferentHostFilter",
)
"""Those that are asked where the files name none: upstream's, three that always are, and two that obey hints."""

WEIGHTS: Mapping[str, float] = {
    "ram_weight_multiplier": 1.0,
    "cpu_weight_multiplier": 1.0,
    "disk_weight_multiplier": 1.0,
    "io_ops_weight_multiplier": -1.0,
    "build_failure_weight_multiplier": 1_000_000.0,
    "hypervisor_version_weight_multiplier": 1.0,
    "soft_affinity_weight_multiplier": 10.0,
    "soft_anti_affinity_weight_multiplier": 10.0,
    "num_instances_weight_multiplier": -0.01,
    "image_props_weight_multiplier": 0.0,
}
"""Option → multiplier: spread by what is free; between equals, to where the fewest servers are.

A group's wish weighs more than what is free: with upstream's 1.0 the room a member takes would undo the affinity.
"""


class Rules(Struct, frozen=True):
    """Names are those of the options."""

    filters: tuple[str, ...] = FILTERS
    """In the order in which they are asked."""
    weighers: tuple[str, ...] | None = None
    """None: all."""
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    image_props_weight_setting: Mapping[str, float] = {}
    """Image property → how much it counts; empty: all count 1."""
    host_subset_size: int = 1
    shuffle_best_same_weighed_hosts: bool = False
    max_attempts: int = 3
    """On how many hosts building a server is tried."""
    max_io_ops_per_host: int = 8
    max_instances_per_host: int = 50
    isolated_hosts: frozenset[str] = frozenset()
    isolated_images: frozenset[str] = frozenset()
    restrict_isolated_hosts_to_isolated_images: bool = True
    image_properties_default_architecture: str = ""
    isolation_prefix: str = ""
    """The namespace and separator that keys of AggregateImagePropertiesIsolation begin with."""
    limit_tenants_to_placement_aggregate: bool = False
    placement_aggregate_required_for_tenants: bool = False
    enable_isolated_aggregate_filtering: bool = False
    query_placement_for_image_type_support: bool = False
    image_metadata_prefilter: bool = False
    max_placement_results: int = 1000
