"""The plan, and the account of the hosts that were left out: never empty, and it names the nearest miss."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.compute.scheduling import aggregate_filters, capabilities, filters, json_query, request_filters
from kilonova.compute.scheduling import plan as plans
from kilonova.compute.scheduling.hosts import GroupRule, HostState, Wanted
from kilonova.compute.scheduling.plan import PLURALS, account, make_plan, summary
from kilonova.compute.scheduling.requirements import Group
from tests.compute.scheduling.worlds import make_host, make_wanted, room_on


def tell(hosts: list[HostState], wanted: Wanted, *, with_hosts: bool = False) -> str:
    plan = make_plan(hosts, room_on(hosts, wanted), wanted)
    assert plan.hosts == []
    return account(plan, len(hosts), wanted, with_hosts=with_hosts)


def test_a_host_with_room_is_the_plan_and_the_fullest_one_comes_last() -> None:
    hosts = [make_host("b", used={"VCPU": 4}), make_host("a", used={"VCPU": 8}), make_host("c")]
    wanted = make_wanted()
    plan = make_plan(hosts, room_on(hosts, wanted), wanted)
    assert [each.host for each in plan.hosts] == ["c", "b", "a"]


def test_stages_that_refuse_nobody_are_left_out_and_the_rest_count_down() -> None:
    hosts = [
        make_host("full", used={"MEMORY_MB": 8000}),
        make_host("off", is_disabled=True),
        make_host("west", availability_zone="west"),
        make_host("good"),
    ]
    wanted = make_wanted(requested_zone="nova")
    plan = make_plan(hosts, room_on(hosts, wanted), wanted)
    assert [(stage.name, stage.left, sorted(stage.refused)) for stage in plan.stages] == [
        ("placement", 3, ["full"]),
        ("ComputeFilter", 2, ["off"]),
        ("AvailabilityZoneFilter", 1, ["west"]),
    ]
    assert [each.host for each in plan.hosts] == ["good"]


def test_without_any_host_the_account_says_that_none_has_registered() -> None:
    sentence = tell([], make_wanted())
    assert sentence == (
        "No valid host was found. No compute host has registered yet (wanted: 1 DISK_GB, 512 MEMORY_MB, 1 VCPU)."
    )


def test_the_account_goes_stage_by_stage() -> None:
    hosts = [
        make_host("one", used={"MEMORY_MB": 8000}),
        make_host("two", is_disabled=True, disabled_reason="new disk"),
        make_host("three", availability_zone="west"),
    ]
    assert tell(hosts, make_wanted(requested_zone="nova")) == (
        "No valid host was found. 3 hosts considered for 1 DISK_GB, 512 MEMORY_MB, 1 VCPU. "
        "placement left 2: 1 host without room, the nearest: 512 MEMORY_MB wanted, 192 free. "
        "ComputeFilter left 1: 1 host is disabled (new disk). "
        "AvailabilityZoneFilter left 0: 1 host is in zone west, not nova."
    )


def test_what_is_said_of_several_hosts_is_said_in_the_plural() -> None:
    hosts = [make_host(f"node{number}", is_up=False, seconds_since_answer=60.0 + number) for number in range(20)]
    hosts += [make_host("new1", is_up=False, seconds_since_answer=None), make_host("off", is_disabled=True)]
    hosts += [make_host("new2", is_up=False, seconds_since_answer=None), make_host("away", is_disabled=True)]
    assert (
        "ComputeFilter left 0: 20 hosts have not answered for 60 to 79 s; "
        "2 hosts have not answered since this service started; 2 hosts are disabled."
    ) in tell(hosts, make_wanted())


def test_what_differs_in_more_than_numbers_is_said_apart() -> None:
    hosts = [make_host("a", availability_zone="az1"), make_host("b", availability_zone="az2"), make_host("c")]
    told = tell(hosts, make_wanted(requested_zone="az3"))
    assert "1 host is in zone az1, not az3; 1 host is in zone az2, not az3; 1 host is in zone nova" in told


def test_every_reason_begins_with_a_verb_whose_plural_is_known() -> None:
    """A reason is the first text of what a filter returns, with the branches of what it is joined from."""
    for module in (filters, aggregate_filters, request_filters, json_query, capabilities):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Return) and node.value is not None:
                for first in _first_texts(node.value):
                    assert first.partition(" ")[0] in PLURALS, first


def _first_texts(value: ast.expr) -> list[str]:
    if isinstance(value, ast.IfExp):
        return [*_first_texts(value.body), *_first_texts(value.orelse)]
    if isinstance(value, ast.JoinedStr):
        return _first_texts(value.values[0])
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value else []


def test_administrators_are_told_which_hosts() -> None:
    hosts = [make_host("one", used={"MEMORY_MB": 8000}), make_host("two", is_disabled=True)]
    told = tell(hosts, make_wanted(), with_hosts=True)
    assert "one 512 MEMORY_MB wanted, 192 free" in told
    assert "two is disabled" in told


def test_the_nearest_miss_is_the_host_that_lacks_the_least_of_what_was_wanted() -> None:
    hosts = [
        make_host("far", used={"MEMORY_MB": 8192}),
        make_host("near", used={"MEMORY_MB": 8192 - 500}),
        make_host("both", used={"MEMORY_MB": 8192 - 511, "VCPU": 16}),
    ]
    assert "3 hosts without room, the nearest: 512 MEMORY_MB wanted, 500 free" in tell(hosts, make_wanted())


def test_a_miss_of_one_resource_is_nearer_than_a_miss_of_two() -> None:
    hosts = [
        make_host("one", used={"MEMORY_MB": 8192 - 511, "VCPU": 16}),
        make_host("two", used={"DISK_GB": 40}),
    ]
    assert "the nearest: 1 DISK_GB wanted, 0 free" in tell(hosts, make_wanted())


def test_a_choice_that_was_made_takes_no_time_over_what_others_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def shortage(host: HostState, _wanted: Wanted) -> str:
        asked.append(host.host)
        return "lacks something"

    monkeypatch.setattr(plans, "_shortage", shortage)
    hosts, wanted = [make_host("full", used={"MEMORY_MB": 8192}), make_host("good")], make_wanted()
    plan = make_plan(hosts, room_on(hosts, wanted), wanted)
    assert (summary(plan, 2), asked) == ("2 hosts considered, placement left 1", [])
    assert (plan.stages[0].refused, asked) == ({"full": "lacks something"}, ["full"])


def test_a_host_that_has_room_but_was_not_offered_is_explained_too() -> None:
    wanted = make_wanted()
    plan = make_plan([make_host()], [], wanted)
    assert "was not offered by placement" in account(plan, 1, wanted, with_hosts=False)


def test_traits_are_part_of_what_was_asked_for_and_of_the_reason() -> None:
    wanted = make_wanted(required_traits=("CUSTOM_GOLD",), forbidden_traits=("HW_CPU_X86_VMX",))
    plan = make_plan([make_host()], [], wanted)
    assert account(plan, 1, wanted, with_hosts=False) == (
        "No valid host was found. 1 host considered for 1 DISK_GB, 512 MEMORY_MB, 1 VCPU, trait CUSTOM_GOLD, "
        "no trait HW_CPU_X86_VMX. placement left 0: 1 host without room, the nearest: does not have the traits "
        "asked for (CUSTOM_GOLD required, HW_CPU_X86_VMX forbidden)."
    )


def test_groups_are_part_of_what_was_asked_for_and_of_the_reason() -> None:
    group = Group("1", {"VGPU": 2}, ("CUSTOM_GOLD",), ("CUSTOM_RED",))
    told = account(make_plan([make_host()], [], wanted := make_wanted(groups=(group,))), 1, wanted, with_hosts=False)
    said = "group 1 of 2 VGPU, trait CUSTOM_GOLD, no trait CUSTOM_RED"
    assert f"considered for 1 DISK_GB, 512 MEMORY_MB, 1 VCPU, {said}. " in told
    assert f"has no providers for the groups asked for ({said})" in told


RESOURCES = ("VCPU", "MEMORY_MB", "DISK_GB")
amounts = st.fixed_dictionaries({name: st.integers(0, 5) for name in RESOURCES})
zones = st.sampled_from(["nova", "west"])
INTEL, ARM = ("x86_64", "qemu", "hvm"), ("aarch64", "qemu", "hvm")
NAMES = [f"compute{number:02d}-secret" for number in range(6)]

GROUPS = [GroupRule(policy, 1, {NAMES[0]: 1}) for policy in ("affinity", "anti-affinity", "soft-affinity")]


@st.composite
def host_states(draw: st.DrawFn, name: str) -> HostState:
    is_up = draw(st.booleans())
    return make_host(
        name,
        availability_zone=draw(zones),
        is_up=is_up,
        is_disabled=draw(st.booleans()),
        disabled_reason=draw(st.sampled_from([None, "maintenance"])),
        seconds_since_answer=draw(st.sampled_from([None, 90.0])),
        supported_instances=draw(st.sampled_from([(), (INTEL,), (INTEL, ARM)])),
        capacity=draw(amounts),
        used=draw(amounts),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[HostState], list[str], Wanted]:
    hosts = [draw(host_states(name)) for name in NAMES[: draw(st.integers(0, len(NAMES)))]]
    hints: dict[str, Any] = draw(
        st.sampled_from([{}, {"same_host": ["a"]}, {"different_host": ["a", "b"]}, {"same_host": ["c"]}])
    )
    wanted = make_wanted(
        resources={name: amount for name, amount in draw(amounts).items() if amount},
        requested_zone=draw(st.sampled_from([None, "nova", "east"])),
        requested_host=draw(st.sampled_from([None, NAMES[0], "elsewhere"])),
        image_properties=draw(st.sampled_from([{}, {"hw_architecture": "aarch64"}])),
        required_traits=draw(st.sampled_from([(), ("HW_CPU_X86_VMX",)])),
        group=draw(st.sampled_from([None, *GROUPS])),
        excluded_hosts=tuple(draw(st.sets(st.sampled_from(NAMES), max_size=2))),
        scheduler_hints=hints,
        hosts_of_servers={"a": NAMES[0], "b": NAMES[1]},
    )
    offered = room_on(hosts, wanted)
    return hosts, draw(st.lists(st.sampled_from(offered), unique=True)) if offered else [], wanted


@given(worlds())
def test_whenever_nobody_is_left_the_account_counts_hosts_and_gives_a_reason(
    world: tuple[list[HostState], list[str], Wanted],
) -> None:
    hosts, candidates, wanted = world
    plan = make_plan(hosts, candidates, wanted)
    assert {each.host for each in plan.hosts} <= {each.host for each in hosts}
    refused = [host for stage in plan.stages for host in stage.refused]
    assert sorted([*refused, *(each.host for each in plan.hosts)]) == sorted(each.host for each in hosts)
    if plan.hosts:
        return
    told = account(plan, len(hosts), wanted, with_hosts=False)
    assert told.startswith("No valid host was found. ")
    assert told.endswith(".")
    assert re.search(r"\b(\d+ hosts?|No compute host)\b", told)
    # The one host that may be named is the one the caller named himself.
    assert not any(name in told for name in NAMES if name != wanted.requested_host)
    if hosts:
        reasons = [reason for stage in plan.stages for reason in stage.refused.values()]
        # Of several hosts the verb is said in the plural.
        assert any(reason in told or reason.partition(" ")[2] in told for reason in reasons)
        named = account(plan, len(hosts), wanted, with_hosts=True)
        assert all(f"{each.host} " in named for each in hosts)


@given(worlds())
def test_the_plan_does_not_depend_on_the_order_of_the_hosts(
    world: tuple[list[HostState], list[str], Wanted],
) -> None:
    hosts, candidates, wanted = world
    forwards = make_plan(hosts, candidates, wanted).hosts
    assert make_plan(hosts[::-1], candidates, wanted).hosts == forwards
