"""Each filter says yes with None, and no with a phrase that holds the reason."""

from typing import Any

import pytest

from kilonova.compute.scheduling import filters
from kilonova.compute.scheduling.hosts import GroupRule
from kilonova.compute.scheduling.plan import make_plan
from tests.compute.scheduling.worlds import make_host, make_wanted


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
    one, asked = make_host(**host), make_wanted(**wanted)
    assert check(one, asked) == reason
    # A plan leaves out the filters that a server does not ask; never one that has something to say.
    plan = make_plan([one], {one.id}, asked)
    assert (reason is None) == bool(plan.hosts)
    assert reason in (None, *(each for stage in plan.stages for each in stage.refused.values()))


def test_the_filters_are_upstreams_and_each_stands_once() -> None:
    names = [name for name, _, _ in filters.DEFAULT_FILTERS]
    assert len(set(names)) == len(names)
    assert set(names) >= {
        "ComputeFilter",
        "ComputeCapabilitiesFilter",
        "ImagePropertiesFilter",
        "ServerGroupAntiAffinityFilter",
        "ServerGroupAffinityFilter",
        "SameHostFilter",
        "DifferentHostFilter",
    }
