"""A decision as data: complete for a few hosts, never larger than what can be kept."""

import json

from hypothesis import given

from kilonova.compute.scheduling import decisions
from kilonova.compute.scheduling.decisions import LONGEST, MOST_TOLD, Amount, Decision, Refusal, StageRecord
from kilonova.compute.scheduling.hosts import HostState, Wanted
from kilonova.compute.scheduling.plan import account, make_plan
from tests.compute.scheduling.test_plan import worlds
from tests.compute.scheduling.worlds import make_host, make_wanted, room_on


def decide(hosts: list[HostState], wanted: Wanted) -> Decision:
    plan = make_plan(hosts, room_on(hosts, wanted), wanted)
    chosen = plan.hosts[0].host if plan.hosts else None
    said = "it" if chosen else account(plan, len(hosts), wanted, with_hosts=False)
    return decisions.record(plan, wanted, hosts=hosts, said=said, chosen=chosen)


def test_each_host_that_is_refused_has_its_first_reason_and_the_amounts() -> None:
    hosts = [
        make_host("far", used={"MEMORY_MB": 8192, "VCPU": 16}, is_disabled=True),
        make_host("near", used={"MEMORY_MB": 8000}),
        make_host("off", is_disabled=True),
    ]
    found = decide(hosts, make_wanted(requested_zone="nova", required_traits=("CUSTOM_GOLD",)))
    assert (found.considered, found.chosen) == (3, None)
    near = Refusal("near", "512 MEMORY_MB wanted, 192 free", {"MEMORY_MB": Amount(512, 192)})
    far_reason = "512 MEMORY_MB wanted, 0 free; 1 VCPU wanted, 0 free"
    far = Refusal("far", far_reason, {"MEMORY_MB": Amount(512, 0), "VCPU": Amount(1, 0)})
    off = Refusal("off", "is disabled")
    assert found.stages == (StageRecord("placement", 3, 1, (near, far)), StageRecord("ComputeFilter", 1, 0, (off,)))
    assert found.nearest == off, "it came further than the one that is short of little"
    assert (found.wanted.availability_zone, found.wanted.required_traits) == ("nova", ("CUSTOM_GOLD",))
    assert found.wanted.resources == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}


def test_of_a_choice_that_was_made_the_full_hosts_are_counted_and_the_others_told() -> None:
    hosts = [make_host("full", used={"VCPU": 16}), make_host("off", is_disabled=True), make_host("good")]
    found = decide(hosts, make_wanted())
    assert found.stages == (
        StageRecord("placement", 3, 2, (), 1),
        StageRecord("ComputeFilter", 2, 1, (Refusal("off", "is disabled"),)),
    )
    assert (found.chosen, found.nearest) == ("good", None)


def test_so_much_is_kept_as_fits_and_the_rest_counted() -> None:
    hosts = [make_host(f"node{n:05}", is_disabled=True, disabled_reason="ü" * 255) for n in range(300)]
    found = decide(hosts, make_wanted())
    (_, stage) = found.stages
    assert (len(stage.refused), stage.untold) == (MOST_TOLD, 300 - MOST_TOLD)
    kept = decisions.encode(found)
    assert len(kept.encode()) <= LONGEST
    again = decisions.decode(kept)
    assert again is not None
    assert len(again.stages[1].refused) + again.stages[1].untold == 300
    assert again.stages[1].refused


def test_what_earlier_releases_kept_is_no_decision() -> None:
    assert decisions.decode("host node1: 5 hosts considered") is None


@given(worlds())
def test_every_host_is_chosen_from_or_counted_at_one_stage(world: tuple[list[HostState], list[str], Wanted]) -> None:
    hosts, candidates, wanted = world
    plan = make_plan(hosts, candidates, wanted)
    chosen = plan.hosts[0].host if plan.hosts else None
    found = decisions.record(plan, wanted, hosts=hosts, said="so", chosen=chosen)
    lost = sum(len(stage.refused) + stage.untold for stage in found.stages)
    assert (found.considered, lost + len(plan.hosts)) == (len(hosts), len(hosts))
    assert all(stage.before - stage.after == len(stage.refused) + stage.untold for stage in found.stages)
    assert (found.nearest is None) == (chosen is not None or not hosts)
    assert decisions.decode(decisions.encode(found)) == found
    assert json.loads(decisions.encode(found))["said"] == "so"
