"""Every pair of power states has its step; and a guest that cannot be cut off."""

from typing import get_args

import libvirt
import pytest

from kilonova.compute.agent.drivers import domains
from kilonova.compute.agent.drivers.fake import STATES_AFTER
from kilonova.compute.agent.drivers.power import plan_power
from kilonova.compute.agent.spec import PowerState, WantedPower
from kilonova.kit.host_commands import HostError

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


class HeldDomain:
    """What libvirt shows of a guest in whose start it was killed."""

    def __init__(self, reason: int) -> None:
        self.reason = reason

    def destroy(self) -> None:
        error = libvirt.libvirtError("cannot acquire state change lock")
        error.err = (libvirt.VIR_ERR_OPERATION_TIMEOUT, 0, "Timed out", 0, "", None, None, 0, 0)
        raise error

    def isActive(self) -> int:
        return 1

    def state(self) -> list[int]:
        return [libvirt.VIR_DOMAIN_PAUSED, self.reason]

    def name(self) -> str:
        return "instance-00000001"


def test_a_guest_that_libvirtd_holds_as_starting_up_is_told_with_its_cure() -> None:
    with pytest.raises(HostError, match=r"remove /run/libvirt/qemu/instance-00000001\.xml and start it again"):
        domains._cut_off(HeldDomain(libvirt.VIR_DOMAIN_PAUSED_STARTING_UP))
    with pytest.raises(libvirt.libvirtError, match="state change lock"):
        domains._cut_off(HeldDomain(libvirt.VIR_DOMAIN_PAUSED_USER))
