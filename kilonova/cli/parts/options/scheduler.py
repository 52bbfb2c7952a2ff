"""The options of nova.conf about placing servers."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, old
from kilonova.compute.scheduling.rules import FILTERS, WEIGHTS

ALL_FILTERS = "nova.scheduler.filters.all_filters"
ALL_WEIGHERS = "nova.scheduler.weights.all_weighers"


def _once(*names: str) -> list[cfg.DeprecatedOpt]:
    """An option that stood in [DEFAULT] once."""
    return old(*names, group="DEFAULT")


SCHEDULING: Options = {
    "filter_scheduler": [
        cfg.MultiStrOpt(
            "available_filters",
            default=[ALL_FILTERS],
            help="Which filters may be enabled; the default is all there are",
            deprecated_opts=_once("scheduler_available_filters"),
        ),
        cfg.ListOpt(
            "enabled_filters",
            default=list(FILTERS),
            help="Which filters hosts have to pass, in this order",
            deprecated_opts=_once("scheduler_default_filters"),
        ),
        cfg.ListOpt(
            "weight_classes",
            default=[ALL_WEIGHERS],
            help="By what hosts are ordered; the default is all there is",
            deprecated_opts=_once("scheduler_weight_classes"),
        ),
        *(
            cfg.FloatOpt(
                name,
                default=default,
                help="How much this counts; an aggregate's metadata may say it for its hosts",
                deprecated_opts=_once(name),
            )
            for name, default in WEIGHTS.items()
        ),
        cfg.ListOpt(
            "image_props_weight_setting",
            default=[],
            help="NAME=NUMBER for each image property that ImagePropertiesWeigher goes by; empty: all count 1",
        ),
        cfg.IntOpt(
            "host_subset_size",
            default=1,
            min=1,
            help="Of how many of the best hosts one is taken by chance",
            deprecated_opts=_once("scheduler_host_subset_size"),
        ),
        cfg.BoolOpt(
            "shuffle_best_same_weighed_hosts",
            default=False,
            help="Take by chance one of the hosts that are equally good, not the first by name",
        ),
        cfg.IntOpt(
            "max_io_ops_per_host",
            default=8,
            min=1,
            help="IoOpsFilter: servers being built on a host at a time",
            deprecated_opts=_once("max_io_ops_per_host"),
        ),
        cfg.IntOpt(
            "max_instances_per_host",
            default=50,
            min=1,
            help="NumInstancesFilter: servers on a host",
            deprecated_opts=_once("max_instances_per_host"),
        ),
        cfg.ListOpt(
            "isolated_images",
            default=[],
            help="IsolatedHostsFilter: ids of images that run on isolated hosts only",
            deprecated_opts=_once("isolated_images"),
        ),
        cfg.ListOpt(
            "isolated_hosts",
            default=[],
            help="IsolatedHostsFilter: names of the isolated hosts",
            deprecated_opts=_once("isolated_hosts"),
        ),
        cfg.BoolOpt(
            "restrict_isolated_hosts_to_isolated_images",
            default=True,
            help="IsolatedHostsFilter: whether isolated hosts run nothing else",
            deprecated_opts=_once("restrict_isolated_hosts_to_isolated_images"),
        ),
        cfg.StrOpt(
            "image_properties_default_architecture",
            default="",
            help="ImagePropertiesFilter: the architecture of images that name none",
        ),
        cfg.StrOpt(
            "aggregate_image_properties_isolation_namespace",
            default="",
            help="AggregateImagePropertiesIsolation: what the properties begin with that it goes by; empty: all",
            deprecated_opts=_once("aggregate_image_properties_isolation_namespace"),
        ),
        cfg.StrOpt(
            "aggregate_image_properties_isolation_separator",
            default=".",
            help="AggregateImagePropertiesIsolation: what stands behind the namespace",
            deprecated_opts=_once("aggregate_image_properties_isolation_separator"),
        ),
    ],
    "scheduler": [
        cfg.IntOpt(
            "max_attempts",
            default=3,
            min=1,
            help="Hosts on which building a server is tried",
            deprecated_opts=_once("scheduler_max_attempts"),
        ),
        cfg.IntOpt("max_placement_results", default=1000, min=1, help="Hosts with room that placement is asked for"),
        cfg.BoolOpt(
            "limit_tenants_to_placement_aggregate",
            default=False,
            help="Keep projects in the aggregates that name them in filter_tenant_id, where some do",
        ),
        cfg.BoolOpt(
            "placement_aggregate_required_for_tenants",
            default=False,
            help="With the last: a project that no aggregate names gets no host",
        ),
        cfg.BoolOpt(
            "enable_isolated_aggregate_filtering",
            default=False,
            help="Keep hosts of aggregates with trait:NAME=required for servers that require these traits",
        ),
        cfg.BoolOpt(
            "query_placement_for_image_type_support",
            default=False,
            help="Take only hosts that say that they can make a disk of the image's format",
        ),
        cfg.BoolOpt(
            "image_metadata_prefilter",
            default=False,
            help="Take only hosts that say that they have the buses and models that the image names",
        ),
        cfg.BoolOpt(
            "query_placement_for_routed_network_aggregates",
            default=False,
            help="Networks here have no segments that are routed: leave it off",
        ),
    ],
    "metrics": [
        cfg.ListOpt(
            "weight_setting", default=[], help="Metrics that hosts are ordered by; hosts tell none: leave it empty"
        )
    ],
}
