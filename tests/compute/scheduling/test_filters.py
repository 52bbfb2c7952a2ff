"""Each filter says yes with None, and no with a phrase that holds the reason."""

from typing import Any

import pytest

from kilonova.compute.scheduling import filters
from kilonova.compute.scheduling.hosts import GroupRule
from kilonova.compute.scheduling.json_query import json_filter
from kilonova.compute.scheduling.plan import make_plan
from kilonova.compute.scheduling.rules import Rules
from tests.compute.scheduling.worlds import in_aggregates, make_host, make_wanted, with_all_filters


@pytest.mark.parametrize(
    ("check", "host", "wanted", "reason"),
    [
        (filters.compute_filter, {}, {}, None),
        (filters.compute_filter, {"is_disabled": True}, {}, "is disabled"),
        (filters.compute_filter, {"is_disabled": True, "disabled_reason": "new disk"}, {}, "is disabled (new disk)"),
        (filters.compute_filter, {"is_up": False, "seconds_since_answer": 61.7}, {}, "has not answered for 62 s"),
        (
            filters.compute_filter,
            {"is_up": False, "seconds_since_answer": None},
            {},
            "has not answered since this service started",
        ),
        (filters.availability_zone_filter, {}, {}, None),
        (filters.availability_zone_filter, {}, {"requested_zone": "nova"}, None),
        (filters.availability_zone_filter, {}, {"requested_zone": "west"}, "is in zone nova, not west"),
        (filters.requested_host_filter, {}, {}, None),
        (filters.requested_host_filter, {}, {"requested_host": "node1"}, None),
        (filters.requested_host_filter, {}, {"requested_host": "node1.example.org"}, None),
        (filters.requested_host_filter, {}, {"requested_host": "node2"}, "is not the requested host node2"),
        (filters.retry_filter, {}, {}, None),
        (filters.retry_filter, {}, {"excluded_hosts": ("node2",)}, None),
        (filters.retry_filter, {}, {"excluded_hosts": ("node1",)}, "has failed to build this server"),
        (filters.image_properties_filter, {}, {}, None),
        (filters.image_properties_filter, {}, {"image_properties": {"hw_architecture": "x86_64"}}, None),
        (filters.image_properties_filter, {}, {"image_properties": {"img_hv_type": "QEMU", "vm_mode": "hvm"}}, None),
        (
            filters.image_properties_filter,
            {},
            {"image_properties": {"architecture": "aarch64"}},
            "runs x86_64/qemu/hvm, not aarch64/*/*",
        ),
        (
            filters.image_properties_filter,
            {},
            {"image_properties": {"hw_architecture": "x86_64", "hypervisor_type": "xen"}},
            "runs x86_64/qemu/hvm, not x86_64/xen/*",
        ),
        (
            filters.image_properties_filter,
            {"supported_instances": ()},
            {"image_properties": {"hw_vm_mode": "xen"}},
            "runs nothing that is known, not */*/xen",
        ),
        (filters.server_group_affinity_filter, {}, {}, None),
        (filters.server_group_affinity_filter, {}, {"group": GroupRule("affinity", 1, {})}, None),
        (filters.server_group_affinity_filter, {}, {"group": GroupRule("affinity", 1, {"node1": 3})}, None),
        (filters.server_group_affinity_filter, {}, {"group": GroupRule("anti-affinity", 1, {"node2": 1})}, None),
        (
            filters.server_group_affinity_filter,
            {},
            {"group": GroupRule("affinity", 1, {"node2": 1})},
            "is not the host of the server group's other members",
        ),
        (filters.server_group_anti_affinity_filter, {}, {}, None),
        (filters.server_group_anti_affinity_filter, {}, {"group": GroupRule("affinity", 1, {"node1": 1})}, None),
        (filters.server_group_anti_affinity_filter, {}, {"group": GroupRule("anti-affinity", 2, {"node1": 1})}, None),
        (
            filters.server_group_anti_affinity_filter,
            {},
            {"group": GroupRule("anti-affinity", 2, {"node1": 2})},
            "has 2 of the server group's members, 2 allowed",
        ),
        (filters.same_host_filter, {}, {}, None),
        (
            filters.same_host_filter,
            {},
            {"scheduler_hints": {"same_host": "a"}, "hosts_of_servers": {"a": "node1"}},
            None,
        ),
        (
            filters.same_host_filter,
            {},
            {"scheduler_hints": {"same_host": ["a", "b"]}, "hosts_of_servers": {"a": "node2", "b": "node1"}},
            None,
        ),
        (
            filters.same_host_filter,
            {},
            {"scheduler_hints": {"same_host": ["a"]}, "hosts_of_servers": {"a": "node2"}},
            "holds none of the servers named in same_host",
        ),
        (
            filters.same_host_filter,
            {},
            {"scheduler_hints": {"same_host": ["gone"]}},
            "holds none of the servers named in same_host",
        ),
        (filters.different_host_filter, {}, {"scheduler_hints": {"different_host": ["gone"]}}, None),
        (
            filters.different_host_filter,
            {},
            {"scheduler_hints": {"different_host": ["a"]}, "hosts_of_servers": {"a": "node2"}},
            None,
        ),
        (
            filters.different_host_filter,
            {},
            {"scheduler_hints": {"different_host": "a"}, "hosts_of_servers": {"a": "node1"}},
            "holds a server named in different_host",
        ),
    ],
)
def test_a_filter_answers_with_its_reason(
    check: filters.Filter, host: dict[str, Any], wanted: dict[str, Any], reason: str | None
) -> None:
    answer(check, host, wanted, reason)


def answer(check: filters.Filter, host: dict[str, Any], wanted: dict[str, Any], reason: str | None) -> None:
    """The filter says so by itself, and as a part of a plan."""
    one, asked = make_host(**host), make_wanted(**wanted)
    assert check(one, asked) == reason
    # A plan leaves out the filters that a server does not ask; never one that has something to say.
    plan = make_plan([one], {one.id}, asked)
    assert (reason is None) == bool(plan.hosts)
    assert reason in (None, *(each for stage in plan.stages for each in stage.refused.values()))


GOLD, SILVER = {"tier": "gold", "ssd": "true"}, {"tier": "silver,bronze"}


def aggregate(*metadata: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A host in the aggregates, and what a server knows of them."""
    return {"aggregates": in_aggregates(*metadata)}, {
        "aggregate_keys": frozenset(key for each in metadata for key in each)
    }


@pytest.mark.parametrize(
    ("check", "metadata", "wanted", "reason"),
    [
        ("AggregateInstanceExtraSpecsFilter", [], {}, None),
        ("AggregateInstanceExtraSpecsFilter", [GOLD], {"extra_specs": {"hw:cpu_policy": "shared"}}, None),
        (
            "AggregateInstanceExtraSpecsFilter",
            [GOLD, SILVER],
            {"extra_specs": {"aggregate_instance_extra_specs:tier": "bronze", "ssd": "true"}},
            None,
        ),
        (
            "AggregateInstanceExtraSpecsFilter",
            [SILVER],
            {"extra_specs": {"aggregate_instance_extra_specs:tier": "<or> gold <or> bronze"}},
            None,
        ),
        (
            "AggregateInstanceExtraSpecsFilter",
            [SILVER],
            {"extra_specs": {"aggregate_instance_extra_specs:tier": "gold"}},
            "is in no aggregate with tier=gold",
        ),
        (
            "AggregateInstanceExtraSpecsFilter",
            [],
            {"extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}},
            "is in no aggregate with ssd=true",
        ),
        ("AggregateImagePropertiesIsolation", [{"os_distro": "windows"}], {}, None),
        (
            "AggregateImagePropertiesIsolation",
            [{"os_distro": "windows, debian"}],
            {"image_properties": {"os_distro": "debian"}},
            None,
        ),
        (
            "AggregateImagePropertiesIsolation",
            [{"os_distro": "windows"}],
            {"image_properties": {"os_distro": "debian"}},
            "is in an aggregate for images with os_distro=windows, not debian",
        ),
        (
            "AggregateImagePropertiesIsolation",
            [{"os_distro": "windows"}],
            {"image_properties": {"os_distro": "debian"}, "rules": with_all_filters(isolation_prefix="os.")},
            None,
        ),
        ("AggregateMultiTenancyIsolation", [{"filter_tenant_id": "a,b"}], {"project_id": "b"}, None),
        (
            "AggregateMultiTenancyIsolation",
            [{"filter_tenant_id2": "b"}, {"filter_tenant_id": "a"}],
            {"project_id": "b"},
            None,
        ),
        ("AggregateMultiTenancyIsolation", [GOLD], {"project_id": "b"}, None),
        (
            "AggregateMultiTenancyIsolation",
            [{"filter_tenant_id": "a"}],
            {"project_id": "b"},
            "is in an aggregate for other projects",
        ),
        ("AggregateTypeAffinityFilter", [{"instance_type": "m1.tiny, m1.nano"}], {"flavor_name": "m1.nano"}, None),
        (
            "AggregateTypeAffinityFilter",
            [{"instance_type": "m1.tiny"}],
            {"flavor_name": "m1.nano"},
            "is in an aggregate for the flavors m1.tiny",
        ),
    ],
)
def test_a_filter_goes_by_the_metadata_of_aggregates(
    check: str, metadata: list[dict[str, str]], wanted: dict[str, Any], reason: str | None
) -> None:
    host, known = aggregate(*metadata)
    answer(filters.FILTERS[check][1], host, {"rules": with_all_filters(), **known, **wanted}, reason)


@pytest.mark.parametrize(
    ("check", "host", "metadata", "reason"),
    [
        ("IoOpsFilter", {"building": 7}, {"max_io_ops_per_host": "2"}, None),
        ("IoOpsFilter", {"building": 8}, {}, "has 8 servers being built, 8 allowed"),
        ("AggregateIoOpsFilter", {"building": 2}, {}, None),
        ("AggregateIoOpsFilter", {"building": 2}, {"max_io_ops_per_host": "many"}, None),
        ("AggregateIoOpsFilter", {"building": 2}, {"max_io_ops_per_host": "2"}, "has 2 servers being built, 2 allowed"),
        ("NumInstancesFilter", {"servers": 49}, {"max_instances_per_host": "2"}, None),
        ("NumInstancesFilter", {"servers": 50}, {}, "has 50 servers, 50 allowed"),
        ("AggregateNumInstancesFilter", {"servers": 60}, {"max_instances_per_host": "80"}, None),
        ("AggregateNumInstancesFilter", {"servers": 3}, {"max_instances_per_host": "3,9"}, "has 3 servers, 3 allowed"),
    ],
)
def test_a_filter_counts_what_a_host_does(
    check: str, host: dict[str, Any], metadata: dict[str, str], reason: str | None
) -> None:
    joined, known = aggregate(metadata)
    answer(filters.FILTERS[check][1], {**host, **joined}, {"rules": Rules(filters=(check,)), **known}, reason)


@pytest.mark.parametrize(
    ("image", "rules", "reason"),
    [
        ("x", {}, None),
        ("x", {"isolated_hosts": frozenset({"node1"}), "isolated_images": frozenset({"x"})}, None),
        ("y", {"isolated_hosts": frozenset({"node1"})}, "is a host for isolated images alone"),
        (
            "y",
            {"isolated_hosts": frozenset({"node1"}), "restrict_isolated_hosts_to_isolated_images": False},
            None,
        ),
        ("x", {"isolated_images": frozenset({"x"})}, "is no host for isolated images"),
    ],
)
def test_isolated_images_and_hosts_belong_together(image: str, rules: dict[str, Any], reason: str | None) -> None:
    wanted = {"image_id": image, "rules": with_all_filters(**rules)}
    answer(filters.isolated_hosts_filter, {}, wanted, reason)


@pytest.mark.parametrize(
    ("hints", "reason"),
    [
        ({"build_near_host_ip": "10.0.0.77"}, None),
        ({"build_near_host_ip": "10.0.9.1", "cidr": "/16"}, None),
        ({"build_near_host_ip": "10.0.9.1"}, "is not in 10.0.9.0/24"),
        ({"build_near_host_ip": "10.0.0.77", "cidr": "30"}, "is not in 10.0.0.76/30"),
        ({"build_near_host_ip": "fe80::1", "cidr": "/64"}, "is not in fe80::/64"),
    ],
)
def test_a_server_may_be_wanted_near_an_address(hints: dict[str, Any], reason: str | None) -> None:
    host = {"inventory": {"host_ip": "10.0.0.5"}}
    wanted = {"scheduler_hints": hints, "rules": with_all_filters()}
    answer(filters.simple_cidr_affinity_filter, host, wanted, reason)


NOT = "is not what the hint query asks for"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ('[">=", "$free_ram_mb", 1024]', None),
        ('[">", "$free_ram_mb", 8192]', NOT),
        ('["and", [">=", "$free_ram_mb", 1], ["=", "$host", "node1"]]', None),
        ('["and", [">=", "$free_ram_mb", 1], ["=", "$host", "node2"]]', NOT),
        ('["or", ["<", "$vcpus_total", 1], ["=", "$hypervisor_type", "QEMU"]]', None),
        ('["not", ["=", "$host", "node1"]]', NOT),
        ('["in", "$host", "node1", "node2"]', None),
        ('["in", "node", "$host"]', None),
        ('["in", "$host", "node3"]', NOT),
        ('["<=", "$cpu_info.topology.cores", 4]', None),
        ('["=", "$there_is_no_such", 4]', NOT),
        ('["<", "$there_is_no_such", 4]', NOT),
        ('["<", "$host", 4]', NOT),
        ('["<", 1', "is asked a query that is no JSON: Input data was truncated"),
    ],
)
def test_a_caller_may_ask_a_query(query: str, reason: str | None) -> None:
    host = {"inventory": {"cpu_info": {"topology": {"cores": 4}}}}
    answer(json_filter, host, {"scheduler_hints": {"query": query}, "rules": with_all_filters()}, reason)


def test_no_host_here_has_a_device_to_pass_through() -> None:
    wanted = {"extra_specs": {"pci_passthrough:alias": "gpu:1"}, "rules": with_all_filters()}
    answer(filters.pci_passthrough_filter, {}, wanted, "has no devices for pci_passthrough:alias=gpu:1")


def test_an_image_without_architecture_may_have_a_default() -> None:
    rules = with_all_filters(image_properties_default_architecture="aarch64")
    answer(filters.image_properties_filter, {}, {"rules": rules}, "runs x86_64/qemu/hvm, not aarch64/*/*")


def test_the_filters_are_upstreams() -> None:
    there = set(filters.FILTERS) - {"RetryFilter", "AvailabilityZoneFilter", "RequestedHostFilter"}
    assert there == set(
        "AggregateImagePropertiesIsolation AggregateInstanceExtraSpecsFilter AggregateIoOpsFilter "
        "AggregateMultiTenancyIsolation AggregateNumInstancesFilter AggregateTypeAffinityFilter AllHostsFilter "
        "ComputeCapabilitiesFilter ComputeFilter DifferentHostFilter ImagePropertiesFilter IoOpsFilter "
        "IsolatedHostsFilter JsonFilter MetricsFilter NumInstancesFilter NUMATopologyFilter PciPassthroughFilter "
        "SameHostFilter ServerGroupAffinityFilter ServerGroupAntiAffinityFilter SimpleCIDRAffinityFilter".split()
    )


def test_what_holds_always_holds_whichever_filters_are_chosen() -> None:
    wanted = make_wanted(requested_host="node2", requested_zone="west", rules=Rules(filters=("AllHostsFilter",)))
    hosts = [make_host(), make_host("node2")]
    assert [(stage.name, stage.left) for stage in make_plan(hosts, ["id-of-node2"], wanted).stages] == [
        ("RequestedHostFilter", 1),
        ("placement", 1),
        ("AvailabilityZoneFilter", 0),
    ]
    down = make_host(is_disabled=True)
    assert make_plan([down], [down.id], make_wanted(rules=Rules(filters=("AllHostsFilter",)))).hosts == [down]


def test_filters_are_asked_in_the_order_of_the_file() -> None:
    rules = Rules(filters=("NumInstancesFilter", "ComputeFilter"))
    asked = make_wanted(rules=rules, requested_zone="nova")
    assert [name for name, _check in filters.chosen_for(asked)] == [
        "AvailabilityZoneFilter",
        "NumInstancesFilter",
        "ComputeFilter",
    ]
