"""What nova.conf says about placing servers: what there is has its effect, what there is not stops the start."""

from pathlib import Path

import pytest

from kilonova.cli.daemons.files import read
from kilonova.cli.parts.options import COMPUTE, SCHEDULING
from kilonova.cli.parts.scheduling import rules_of
from kilonova.compute.scheduling.rules import FILTERS, WEIGHTS, Rules
from kilonova.kit.config import ConfigError


def rules(tmp_path: Path, text: str) -> Rules:
    path = tmp_path / "nova.conf"
    path.write_text(text)
    found = read("nova-scheduler", "nova", [COMPUTE, SCHEDULING], ["--config-file", str(path)])
    return rules_of(found.config)


def test_a_file_that_says_nothing_gives_the_defaults(tmp_path: Path) -> None:
    assert rules(tmp_path, "[DEFAULT]\n") == Rules()


def test_what_the_file_says_is_what_the_scheduler_goes_by(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        """
[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
enabled_filters = ComputeFilter, nova.scheduler.filters.io_ops_filter.IoOpsFilter, RamFilter, JsonFilter
weight_classes = nova.scheduler.weights.ram.RAMWeigher
ram_weight_multiplier = -1.5
image_props_weight_setting = os_distro=2, hw_disk_bus=0.5
host_subset_size = 4
shuffle_best_same_weighed_hosts = true
track_instance_changes = false
max_io_ops_per_host = 3
max_instances_per_host = 20
isolated_hosts = a, b
isolated_images = 5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11
restrict_isolated_hosts_to_isolated_images = false
image_properties_default_architecture = x86_64
aggregate_image_properties_isolation_namespace = os
aggregate_image_properties_isolation_separator = _
[scheduler]
driver = filter_scheduler
max_attempts = 5
max_placement_results = 200
limit_tenants_to_placement_aggregate = true
placement_aggregate_required_for_tenants = true
enable_isolated_aggregate_filtering = true
query_placement_for_availability_zone = true
query_placement_for_image_type_support = true
image_metadata_prefilter = true
[metrics]
weight_multiplier = 2.0
""",
    )
    assert found == Rules(
        filters=("ComputeFilter", "IoOpsFilter", "JsonFilter"),
        weighers=("RAMWeigher",),
        weights={**WEIGHTS, "ram_weight_multiplier": -1.5},
        image_props_weight_setting={"os_distro": 2.0, "hw_disk_bus": 0.5},
        host_subset_size=4,
        shuffle_best_same_weighed_hosts=True,
        max_attempts=5,
        max_io_ops_per_host=3,
        max_instances_per_host=20,
        isolated_hosts=frozenset({"a", "b"}),
        isolated_images=frozenset({"5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"}),
        restrict_isolated_hosts_to_isolated_images=False,
        image_properties_default_architecture="x86_64",
        isolation_prefix="os_",
        max_placement_results=200,
        limit_tenants_to_placement_aggregate=True,
        placement_aggregate_required_for_tenants=True,
        enable_isolated_aggregate_filtering=True,
        query_placement_for_image_type_support=True,
        image_metadata_prefilter=True,
    )


def test_files_of_older_releases_say_the_same_in_default(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        """
[DEFAULT]
scheduler_driver = nova.scheduler.filter_scheduler.FilterScheduler
scheduler_available_filters = nova.scheduler.filters.all_filters
scheduler_default_filters = RetryFilter, AvailabilityZoneFilter, RamFilter, ComputeFilter
scheduler_weight_classes = nova.scheduler.weights.all_weighers
scheduler_host_subset_size = 2
scheduler_max_attempts = 4
ram_weight_multiplier = 0.0
max_io_ops_per_host = 5
""",
    )
    assert found.filters == ("RetryFilter", "AvailabilityZoneFilter", "ComputeFilter")
    assert (found.weighers, found.host_subset_size, found.max_attempts) == (None, 2, 4)
    assert (found.weights["ram_weight_multiplier"], found.max_io_ops_per_host) == (0.0, 5)


@pytest.mark.parametrize(
    ("group", "line", "told"),
    [
        (
            "filter_scheduler",
            "enabled_filters = ComputeFilter, AggregateRamFilter",
            "there is no AggregateRamFilter; there",
        ),
        (
            "filter_scheduler",
            "available_filters = mine.filters.MineFilter",
            "available_filters: there is no MineFilter",
        ),
        (
            "filter_scheduler",
            "available_filters = nova.scheduler.filters.compute_filter.ComputeFilter",
            "RetryFilter is not among available_filters",
        ),
        ("filter_scheduler", "weight_classes = mine.weights.Mine", "weight_classes: there is no Mine; there are Build"),
        ("filter_scheduler", "image_props_weight_setting = os_distro", "'os_distro' is not NAME=NUMBER"),
        ("scheduler", "query_placement_for_routed_network_aggregates = true", "no routed segments here"),
        ("metrics", "weight_setting = cpu.percent=1.0", "hosts tell no metrics"),
    ],
)
def test_what_there_is_not_stops_the_start_with_a_sentence(tmp_path: Path, group: str, line: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules(tmp_path, f"[{group}]\n{line}\n")
    assert told in str(refused.value)


def test_a_name_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        rules(tmp_path, "[filter_scheduler]\nenabled_filters = Nonsense\n")
    assert all(name in str(refused.value) for name in FILTERS)
