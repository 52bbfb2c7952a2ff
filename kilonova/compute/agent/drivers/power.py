"""Which step brings a domain from the power state it has to the one it should have; pure."""

from typing import Literal

from kilonova.compute.agent.spec import PowerState, WantedPower

PowerAction = Literal[
    "none", "start", "start_paused", "resume", "pause", "power_off", "shut_down", "save", "reboot_soft", "reboot_hard"
]
LONG_ACTIONS: tuple[PowerAction, ...] = ("shut_down", "save", "reboot_soft")
"""These wait for the guest or for the disk, so they run in the background."""


def plan_power(state: PowerState, wanted: WantedPower, reboot: Literal["SOFT", "HARD"] | None = None) -> PowerAction:
    """The next step; `reboot` is the kind of an accepted reboot that has not been carried out yet.

    A reboot of a server that does not run is its start. A paused guest answers no power button, so it is cut off;
    what a suspended one had in memory is given up by a reboot, and taken up again by a start.
    """
    if wanted == "running":
        return _towards_running(state, reboot)
    if wanted == "stopped":
        steps: dict[PowerState, PowerAction] = {
            "running": "shut_down",
            "paused": "power_off",
            "suspended": "power_off",
        }
    elif wanted == "paused":
        steps = {
            "running": "pause",
            "stopped": "start_paused",
            "crashed": "start_paused",
            "suspended": "start_paused",
        }
    else:
        steps = {"running": "save", "paused": "save"}
    return steps.get(state, "none")


def _towards_running(state: PowerState, reboot: Literal["SOFT", "HARD"] | None) -> PowerAction:
    if state == "running":
        if reboot is None:
            return "none"
        return "reboot_soft" if reboot == "SOFT" else "reboot_hard"
    if state in ("paused", "suspended") and reboot is not None:
        return "reboot_hard"
    if state == "paused":
        return "resume"
    return "start"
