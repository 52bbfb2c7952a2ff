"""Every pair of power states has its step."""

from typing import get_args

import pytest

from kilonova.compute.agent.drivers.fake import STATES_AFTER
from kilonova.compute.agent.drivers.power import plan_power
from kilonova.compute.agent.spec import PowerState, WantedPower

STATES = [state for state in get_args(PowerState) if state != "absent"]


@pytest.mark.parametrize("wanted", get_args(WantedPower))
@pytest.mark.parametrize("state", STATES)
def test_a_step_leads_to_the_wanted_state_and_then_there_is_none(state: PowerState, wanted: WantedPower) -> None:
    action = plan_power(state, wanted)
    if action == "none":
        is_off = state in ("stopped", "crashed")
        assert state == wanted or (is_off and wanted in ("stopped", "suspended"))
        return
    assert STATES_AFTER[action] == wanted
    assert plan_power(STATES_AFTER[action], wanted) == "none"


@pytest.mark.parametrize(
    ("state", "kind", "action"),
    [
        ("running", "SOFT", "reboot_soft"),
        ("running", "HARD", "reboot_hard"),
        ("paused", "SOFT", "reboot_hard"),
        ("stopped", "SOFT", "start"),
        ("crashed", "HARD", "start"),
        ("suspended", "HARD", "reboot_hard"),
    ],
)
def test_a_reboot_ends_running(state: PowerState, kind: str, action: str) -> None:
    assert plan_power(state, "running", "HARD" if kind == "HARD" else "SOFT") == action


def test_a_reboot_does_not_start_a_server_that_is_wanted_stopped() -> None:
    assert plan_power("stopped", "stopped", "HARD") == "none"
    assert plan_power("running", "stopped", "HARD") == "shut_down"
