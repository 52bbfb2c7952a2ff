"""The order in which a pass goes through the parts of a host, and when it looks through all of it again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kilonova.network.agent.drivers import linux
from kilonova.network.agent.drivers.linux import LinuxDriver
from kilonova.network.agent.ledger import HostProblem
from kilonova.network.agent.links import LinkTable
from kilonova.network.agent.linux.part import Part, Setting, Work
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.state import HostState, Touched
from kilonova.network.wanted import WantedState

Deeds = list[tuple[str, str]]


class Recorder:
    """A part that notes what is asked of it, and finds its things otherwise once it is told so."""

    def __init__(self, name: str, deeds: Deeds) -> None:
        self.name, self.deeds = name, deeds
        self.is_otherwise = False
        self.told: set[str] = set()

    def devices(self, wanted: WantedState) -> set[str]:
        return {f"tap-{self.name}"}

    def release(self, work: Work) -> None:
        self.told = set(work.devices)
        self.deeds.append(("release", self.name))

    def converge(self, work: Work) -> None:
        self.deeds.append(("change" if work.touched is not None else "converge", self.name))
        if work.touched is not None and self.is_otherwise:
            raise HostProblem("Not as it was left.")

    def observe(self, table: LinkTable) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (self.name,)}


@pytest.fixture
def deeds() -> Deeds:
    return []


@pytest.fixture
def recorders(deeds: Deeds, monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    made = [Recorder(name, deeds) for name in ("networks", "ports", "routers")]

    def make_parts(_setting: Setting) -> Sequence[Part]:
        return made

    monkeypatch.setattr(linux, "make_parts", make_parts)
    return made


WHOLE = [("release", each) for each in ("routers", "ports", "networks")]
WHOLE += [("converge", each) for each in ("networks", "ports", "routers")]


def touching(section: str) -> Touched:
    touched = Touched()
    touched.note((section, "owner", "id"), None)
    return touched


async def test_parts_let_go_from_the_last_and_are_made_from_the_first(
    deeds: Deeds, recorders: list[Recorder], tmp_path: Path
) -> None:
    driver = LinuxDriver(LinuxOptions(state_dir=tmp_path))
    await driver.converge(HostState("node1"))
    assert deeds == WHOLE
    assert all(each.told == {"tap-networks", "tap-ports", "tap-routers"} for each in recorders)
    observed = await driver.observe()
    assert (observed.networks, observed.ports, observed.routers) == (("networks",), ("ports",), ("routers",))
    await driver.close()


async def test_a_change_takes_away_only_where_something_of_the_host_was_touched(
    deeds: Deeds, recorders: list[Recorder], tmp_path: Path
) -> None:
    driver, state = LinuxDriver(LinuxOptions(state_dir=tmp_path)), HostState("node1")
    await driver.converge(state)
    deeds.clear()
    changed = [("change", each.name) for each in recorders]
    await driver.converge(state, touching("peers"))
    assert deeds == changed
    deeds.clear()
    await driver.converge(state, touching("ports"))
    assert deeds == [*WHOLE[:3], *changed]
    await driver.close()


async def test_a_host_that_is_not_as_it_was_left_is_looked_through(
    deeds: Deeds, recorders: list[Recorder], tmp_path: Path
) -> None:
    driver, state = LinuxDriver(LinuxOptions(state_dir=tmp_path)), HostState("node1")
    await driver.converge(state)
    deeds.clear()
    recorders[1].is_otherwise = True
    report = await driver.converge(state, touching("peers"))
    assert deeds == [("change", "networks"), ("change", "ports"), *WHOLE]
    assert (report.is_whole, report.problems) == (True, ())
    await driver.close()
