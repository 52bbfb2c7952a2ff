"""Filters and weighers: which pool a volume goes to."""

from typing import Any

import msgspec
import pytest

from kilonova.block_storage.agent.spec import PoolStats
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.scheduling import filters, weighers
from kilonova.block_storage.scheduling.pools import Pool, Request


def make_pool(host: str = "node1@file#file", *, provisioned_gib: int = 0, volumes: int = 0, **stats: Any) -> Pool:
    told = {
        "pool_name": "file",
        "volume_backend_name": "file",
        "storage_protocol": "file",
        "total_capacity_gb": 100.0,
        "free_capacity_gb": 100.0,
        "max_over_subscription_ratio": "2.0",
        **stats,
    }
    return Pool(
        host=host,
        availability_zone="nova",
        stats=msgspec.to_builtins(PoolStats(**told)),
        volumes=volumes,
        provisioned_gib=provisioned_gib,
    )


def ask(size_gib: int = 1, **fields: Any) -> Request:
    return Request(size_gib=size_gib, availability_zone="nova", **fields)


@pytest.mark.parametrize(
    ("size_gib", "provisioned_gib", "stats", "fits"),
    [
        (200, 0, {}, True),
        (201, 0, {}, False),
        (100, 100, {}, True),
        (101, 100, {}, False),
        (1, 0, {"free_capacity_gb": 0.0}, False),
        (100, 0, {"free_capacity_gb": 60.0, "reserved_percentage": 10}, True),
        (101, 0, {"free_capacity_gb": 60.0, "reserved_percentage": 10}, False),
        (100, 0, {"thin_provisioning_support": False}, True),
        (101, 0, {"thin_provisioning_support": False}, False),
        (1, 0, {"total_capacity_gb": 0.0}, False),
        (2000, 0, {"max_over_subscription_ratio": "auto"}, True),
        (2001, 0, {"max_over_subscription_ratio": "auto"}, False),
        (200, 100, {"max_over_subscription_ratio": "auto", "free_capacity_gb": 50.0}, False),
        (150, 100, {"max_over_subscription_ratio": "auto", "free_capacity_gb": 50.0}, True),
    ],
)
def test_there_is_room_for_what_may_be_promised(
    size_gib: int, provisioned_gib: int, stats: dict[str, Any], fits: bool
) -> None:
    assert filters.has_capacity(make_pool(provisioned_gib=provisioned_gib, **stats), ask(size_gib)) is fits


def test_a_thick_volume_needs_what_is_free() -> None:
    assert not filters.has_capacity(make_pool(), ask(150, extra_specs={"provisioning:type": "thick"}))


@pytest.mark.parametrize(
    ("specs", "fits"),
    [
        ({}, True),
        ({"volume_backend_name": "file"}, True),
        ({"volume_backend_name": "lvm"}, False),
        ({"capabilities:volume_backend_name": "file"}, True),
        ({"capabilities:volume_backend_name": "lvm"}, False),
        ({"somebody:else": "knows"}, True),
        ({"golden": "yes"}, False),
        ({"thin_provisioning_support": "<is> True"}, True),
        ({"thin_provisioning_support": "True"}, True),
        ({"thick_provisioning_support": "<is> True"}, False),
        ({"multiattach": "<is> True"}, False),
        ({"multiattach": "<is> False"}, True),
        ({"total_capacity_gb": ">= 100"}, True),
        ({"total_capacity_gb": ">= 101"}, False),
        ({"total_capacity_gb": "== 100"}, True),
        ({"total_capacity_gb": "!= 100"}, False),
        ({"total_capacity_gb": "<= 99"}, False),
        ({"total_capacity_gb": "= many"}, False),
        ({"vendor_name": "<in> lono"}, True),
        ({"vendor_name": "<or> Other <or> Kilonova"}, True),
        ({"vendor_name": "s== Kilonova"}, True),
        ({"vendor_name": "s!= Kilonova"}, False),
        ({"vendor_name": "s< Z"}, True),
        ({"vendor_name": "s> Z"}, False),
    ],
)
def test_extra_specs_ask_for_capabilities(specs: dict[str, str], fits: bool) -> None:
    assert filters.has_capabilities(make_pool(), ask(extra_specs=specs)) is fits


def test_an_account_says_which_filter_has_left_how_many() -> None:
    pools = [make_pool("a@file#file"), make_pool("b@file#file", total_capacity_gb=1.0, free_capacity_gb=1.0)]
    left, account = filters.passing(pools, ask(50, attempted=("a@file#file",)), VolumeOptions().filters)
    assert left == []
    assert account == (
        "2 pools, IgnoreAttemptedHostsFilter leaves 1, SameBackendFilter leaves 1, DifferentBackendFilter leaves 1, "
        "AvailabilityZoneFilter leaves 1, CapacityFilter leaves 0, CapabilitiesFilter leaves 0"
    )


def test_hints_narrow_the_pools() -> None:
    pools = [make_pool("a"), make_pool("b")]
    same = ask(same_hosts=frozenset({"a"}))
    different = ask(different_hosts=frozenset({"a"}))
    assert [each.host for each in filters.passing(pools, same, ["SameBackendFilter"])[0]] == ["a"]
    assert [each.host for each in filters.passing(pools, different, ["DifferentBackendFilter"])[0]] == ["b"]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("CapacityWeigher",), "roomy"),
        (("AllocatedCapacityWeigher",), "few"),
        (("VolumeNumberWeigher",), "few"),
        ((), "few"),
    ],
)
def test_the_greatest_weight_wins_and_names_decide_among_equals(names: tuple[str, ...], chosen: str) -> None:
    pools = [
        make_pool("roomy", total_capacity_gb=900.0, provisioned_gib=50, volumes=9),
        make_pool("few", provisioned_gib=10, volumes=1),
    ]
    assert weighers.best(pools, VolumeOptions(weighers=names)).host == chosen


def test_chance_takes_one_of_them() -> None:
    pools = [make_pool("a"), make_pool("b")]
    chosen = {weighers.best(pools, VolumeOptions(weighers=("ChanceWeigher",))).host for _ in range(100)}
    assert chosen == {"a", "b"}
