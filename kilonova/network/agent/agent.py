"""A network agent of one host: asks what has changed for it, converges, reports what has come up or gone down.

One process plays the Linux bridge, DHCP, L3 and metadata agents that operators know, or only those it is told to.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kilonova.kit.agents import Agent, AgentInfo, Pace, Turns
from kilonova.kit.bus import Bus
from kilonova.kit.log import logger
from kilonova.network import concerns, parts
from kilonova.network.agent.copy import Copy
from kilonova.network.agent.driver import NetworkDriver
from kilonova.network.agent.upkeep import UpKeep
from kilonova.network.agent.wakes import Wakes
from kilonova.network.state import Touched
from kilonova.network.topics import REGISTRY_TOPIC
from kilonova.network.wanted import ConvergeReport

log = logger(__name__)

INTERVAL_SECONDS = 5.0
SOON_SECONDS = 1.0
"""How long changes that many hosts hear of, and none waits for, are gathered before they are looked at together."""
REST_FOR_SERVER = 20
"""Such changes are gathered at least so many times as long as the server took for its last answer."""
LONGEST_SOON_SECONDS = 30.0

SHORTEST_WAIT_SECONDS = 0.1
PATIENCE = 7
"""Looks in a row after which what a pass waits for is told: some ten seconds, while each look waits twice as long."""
WHOLE_REPORT_SECONDS = 300.0
"""How often everything is reported that is up, whatever the server has heard."""


class NetworkAgent:
    """`played` are the parts that the driver makes: each is registered, and the process answers under the first's name.

    `watch` starts telling about taps: it gets the function to call and gives back the one that stops it. Agents of one
    process share their `wakes` and `turns`.

    Hundreds of hosts that have a process each get no turns. Each gathers what all of them hear of for 20 times as long
    as the server took for its last answer: at most a twentieth of them wait for a server that is behind with its
    answers, and other callers find it free. A server that answers within 25 ms is asked after `SOON_SECONDS`.
    """

    def __init__(
        self,
        driver: NetworkDriver,
        bus: Bus,
        *,
        host: str,
        configurations: Mapping[str, Any],
        played: Sequence[str] = parts.ALL,
        watch: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
        wakes: Wakes | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._driver = driver
        self._bus = bus
        self._host = host
        self._watch = watch
        self._wakes = wakes or Wakes(bus)
        self._copy = Copy(bus, host, played)
        self._concerned = concerns.Concerns()
        self._up_keep = UpKeep()
        self._has_other_taps = False
        """Whether a tap has come or gone since the driver looked."""
        self._looks_through_at = self._reports_all_at = 0.0
        """On the loop's clock: when the whole host is looked at, and reported of, next."""
        self._told: set[tuple[str, str]] = set()
        """What the last pass could not converge: told when it begins, not with every pass that it lasts."""
        self._played = tuple(played)
        self._waits = 0
        """Passes in a row that had to wait for another process."""
        info = AgentInfo(
            played[0],
            host,
            agent_type=parts.AGENT_TYPES[played[0]],
            configurations=dict(configurations),
            started_at=datetime.now(UTC),
        )
        self.agent = Agent(
            info,
            bus,
            REGISTRY_TOPIC,
            converge=self._converge,
            describe=self._describe,
            pace=Pace(INTERVAL_SECONDS),
            turns=turns,
        )

    async def run(self) -> None:
        """Works until cancelled. What it has built keeps carrying traffic afterwards."""
        stop_listening = self._wakes.listen(self._hear)
        stop_watching = self._watch(self.on_tap) if self._watch is not None else None
        try:
            await self.agent.run()
        finally:
            stop_listening()
            if stop_watching is not None:
                stop_watching()
            await asyncio.shield(self._driver.close())

    async def _describe(self) -> dict[str, Any]:
        return {"parts": self._played}

    def _hear(self, changed: Collection[str]) -> None:
        """Wanted state has changed: look now if it concerns this host, soon if it does not matter when."""
        if not self._concerned.at_once.isdisjoint(changed):
            self.agent.wake()
        elif not self._copy.is_all or not self._concerned.in_turn.isdisjoint(changed):
            self.agent.wake_soon()
        elif not self._concerned.soon.isdisjoint(changed):
            # Many hosts hear of it, and are not to look all in one moment.
            seconds = SOON_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret
            rest = min(REST_FOR_SERVER * self._copy.answered_in_seconds, LONGEST_SOON_SECONDS)
            self.agent.wake_soon(max(seconds, rest))

    def on_tap(self) -> None:
        """A tap has come or gone: look for it now."""
        self._has_other_taps = True
        self.agent.wake()

    async def _converge(self) -> None:
        copy = self._copy
        if not await copy.catch_up():
            self._up_keep.tell_all()
            self.agent.register_again()
            return
        if copy.is_new:
            self._up_keep.tell_all()
        if copy.is_new or copy.touched.owners:
            self._concerned = concerns.of_host(self._host, self._played, copy.state.owners())
        now = asyncio.get_running_loop().time()
        if (copy.touched or self._has_other_taps) and not copy.is_new:
            self._has_other_taps = False
            await self._converge_to(copy.touched)
        if copy.is_new or now >= self._looks_through_at:
            # A little less than the pause between two passes, which is not always as long.
            self._looks_through_at = now + 0.8 * INTERVAL_SECONDS
            await self._converge_to(None)
        if now >= self._reports_all_at:
            self._reports_all_at = now + WHOLE_REPORT_SECONDS
            self._up_keep.tell_all()
        await self._report()

    async def _converge_to(self, touched: Touched | None) -> None:
        """The driver makes what was touched, or looks through the whole host."""
        report = await self._driver.converge(self._copy.state, touched)
        self._up_keep.tell_again(self._copy.touched)
        self._copy.was_seen()
        self._up_keep.note(report)
        self._tell(report, is_whole=touched is None)

    async def _report(self) -> None:
        report = self._up_keep.render()
        if report is not None:
            told = {"host": self._host, "parts": self._played, "report": report}
            await self._bus.call(REGISTRY_TOPIC, "report", told)
            self._up_keep.told()

    def _tell(self, report: ConvergeReport, *, is_whole: bool) -> None:
        """Log what is wrong, once; look again soon where another process has to act first, less often each time."""
        if report.waiting:
            self._looks_through_at = 0.0
        self._waits = self._waits + 1 if report.waiting else 0
        wrong = set(report.problems)
        if self._waits >= PATIENCE:
            wrong.update(report.waiting)
        elif self._waits:
            seconds = SHORTEST_WAIT_SECONDS * 2 ** (self._waits - 1)
            asyncio.get_running_loop().call_later(seconds, self.agent.wake)
        for resource_id, problem in wrong - self._told:
            log.warning("not converged", resource=resource_id, problem=problem)
        self._told = wrong if is_whole else self._told | wrong
