"""Weighing: spread by what is free, then by the number of servers, and the same every time."""

import random
from typing import Any

from kilonova.compute.scheduling import weighers
from kilonova.compute.scheduling.hosts import GroupRule, HostState
from kilonova.compute.scheduling.rules import WEIGHTS, Rules
from tests.compute.scheduling.worlds import CAPACITY, in_aggregates, make_host, make_wanted


def order(hosts: list[HostState], **wishes: Any) -> list[HostState]:
    return weighers.order(hosts, make_wanted(**wishes))


def names(hosts: list[HostState]) -> list[str]:
    return [each.host for each in hosts]


def test_the_emptiest_host_comes_first() -> None:
    hosts = [
        make_host("full", used=CAPACITY),
        make_host("half", used={name: amount // 2 for name, amount in CAPACITY.items()}),
        make_host("empty"),
    ]
    assert names(order(hosts)) == ["empty", "half", "full"]


def test_of_two_with_the_same_room_the_one_with_fewer_servers_comes_first() -> None:
    assert names(order([make_host("a", servers=2), make_host("b", servers=1)])) == ["b", "a"]


def test_the_number_of_servers_never_outweighs_room() -> None:
    roomy = make_host("roomy", servers=100)
    assert names(order([make_host("tight", used={"VCPU": 1}), roomy])) == ["roomy", "tight"]


def test_a_resource_of_which_all_have_the_same_does_not_count() -> None:
    hosts = [
        make_host("a", used={"MEMORY_MB": 1024, "VCPU": 4, "DISK_GB": 9}),
        make_host("b", used={"MEMORY_MB": 512, "VCPU": 4, "DISK_GB": 9}),
    ]
    assert names(order(hosts)) == ["b", "a"]


def test_measures_are_scaled_before_they_are_added() -> None:
    # Thousands of MiB must not outweigh a few CPUs and disks: two of three measures win.
    memory = make_host("memory", used={"VCPU": 16, "DISK_GB": 40})
    others = make_host("others", used={"MEMORY_MB": 8192})
    assert names(order([memory, others])) == ["others", "memory"]


def test_equals_come_in_the_order_of_their_names_whatever_order_they_came_in() -> None:
    hosts = [make_host(f"node{number}") for number in range(9)]
    shuffled = random.Random(7).sample(hosts, len(hosts))
    assert names(order(shuffled)) == names(hosts)


def test_no_hosts_is_no_order() -> None:
    assert order([]) == []


def test_a_host_where_servers_are_being_built_comes_after_one_that_is_quiet() -> None:
    assert names(order([make_host("a", building=1), make_host("b", servers=5)])) == ["b", "a"]


def test_a_host_whose_builds_fail_comes_last_however_much_room_it_has() -> None:
    tight = make_host("tight", used={name: amount - 1 for name, amount in CAPACITY.items()})
    assert names(order([make_host("failing", failed_builds=1), tight])) == ["tight", "failing"]


def test_a_newer_hypervisor_is_preferred_among_equals() -> None:
    hosts = [make_host("a", hypervisor_version=7), make_host("b", hypervisor_version=8)]
    assert names(order(hosts)) == ["b", "a"]


def test_soft_rules_of_a_group_are_wishes_that_outweigh_room() -> None:
    hosts = [make_host("empty"), make_host("joined", used={"VCPU": 4, "MEMORY_MB": 2048, "DISK_GB": 10})]
    together = GroupRule("soft-affinity", 1, {"joined": 2})
    assert names(order(hosts, group=together)) == ["joined", "empty"]
    apart = GroupRule("soft-anti-affinity", 1, {"empty": 1})
    assert names(order(hosts, group=apart)) == ["joined", "empty"]
    assert names(order(hosts, group=GroupRule("affinity", 1, {"joined": 2}))) == ["empty", "joined"]


def test_the_weighers_are_upstreams() -> None:
    assert set(weighers.WEIGHERS) == {
        f"{name}Weigher"
        for name in "BuildFailure CPU CrossCell Disk HypervisorVersion ImageProperties IoOps Metrics NumInstances PCI "
        "RAM ServerGroupSoftAffinity ServerGroupSoftAntiAffinity".split()
    }
    options = {option for _measure, option in weighers.WEIGHERS.values() if option}
    assert options == set(WEIGHTS)


def test_only_the_weighers_chosen_count_and_as_much_as_the_operator_says() -> None:
    hosts = [make_host("memory", used={"VCPU": 8}), make_host("cpu", used={"MEMORY_MB": 512}, servers=9)]
    assert names(order(hosts, rules=Rules(weighers=("RAMWeigher", "NumInstancesWeigher")))) == ["memory", "cpu"]
    assert names(order(hosts, rules=Rules(weights={**WEIGHTS, "cpu_weight_multiplier": 2.0}))) == ["cpu", "memory"]
    packing = Rules(weights={**WEIGHTS, "ram_weight_multiplier": -5.0})
    assert names(order(hosts, rules=packing)) == ["cpu", "memory"]


def test_an_aggregate_may_say_how_much_a_measure_counts_on_its_hosts() -> None:
    key = "ram_weight_multiplier"
    metadata = ({key: "-3"}, {key: "7"}, {key: "much"})
    hosts = [make_host("told", aggregates=in_aggregates(*metadata)), make_host("full", used={"MEMORY_MB": 8192})]
    assert names(order(hosts)) == ["told", "full"]
    assert names(order(hosts, aggregate_keys=frozenset([key]))) == ["full", "told"]


def test_images_like_it_draw_a_server_where_that_is_weighed() -> None:
    hosts = [make_host("empty"), make_host("like", used={"VCPU": 1})]
    rules = Rules(weights={**WEIGHTS, "image_props_weight_multiplier": 5.0})
    assert names(order(hosts, images_like_it={"like": 2.0}, rules=rules)) == ["like", "empty"]
    assert names(order(hosts, images_like_it={"like": 2.0})) == ["empty", "like"]


def test_images_are_alike_by_the_properties_that_count() -> None:
    properties = {"os_distro": "debian", "hw_disk_bus": "scsi"}
    others = [("a", properties), ("a", {"os_distro": "debian"}), ("b", {"os_distro": "fedora"}), ("c", {})]
    assert weighers.likeness(properties, others, Rules()) == {"a": 3.0, "b": 0.0, "c": 0.0}
    counting = Rules(image_props_weight_setting={"os_distro": 2.5})
    assert weighers.likeness(properties, others, counting) == {"a": 5.0, "b": 0.0, "c": 0.0}


def test_chance_takes_one_of_the_best_and_of_the_equals_and_can_be_repeated() -> None:
    hosts = [make_host(f"node{number}") for number in range(5)] + [make_host("full", used=CAPACITY)]
    for rules in (Rules(shuffle_best_same_weighed_hosts=True), Rules(host_subset_size=5)):
        found = [names(order(hosts, server_id=f"server{number}", rules=rules)) for number in range(60)]
        assert {each[0] for each in found} == {f"node{number}" for number in range(5)}
        assert all(each[-1] == "full" and len(set(each)) == 6 for each in found)
        assert found == [names(order(hosts, server_id=f"server{number}", rules=rules)) for number in range(60)]
