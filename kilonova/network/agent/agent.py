"""A network agent of one host: asks for its document, converges, reports what is up.

One process plays the Linux bridge, DHCP, L3 and metadata agents that operators know, or only those it is told to.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from kilonova.kit.agents import Agent, AgentInfo
from kilonova.kit.bus import Bus
from kilonova.kit.log import logger
from kilonova.network import concerns, parts
from kilonova.network.agent.driver import NetworkDriver
from kilonova.network.topics import REGISTRY_TOPIC, WAKE_TOPIC
from kilonova.network.wanted import ConvergeReport, WantedState

log = logger(__name__)

NOTHING_YET = -1

SOON_SECONDS = 1.0
"""How long changes that many hosts hear of, and none waits for, are gathered before they are looked at together."""

SHORTEST_WAIT_SECONDS = 0.1
PATIENCE = 7
"""Looks in a row after which what a pass waits for is told: some ten seconds, while each look waits twice as long."""


class NetworkAgent:
    """`played` are the parts that the driver makes: each is registered, and the process answers under the first's name.

    `watch` starts telling about taps: it gets the function to call and gives back the one that stops it.
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
        interval_seconds: float = 5.0,
    ) -> None:
        self._driver = driver
        self._bus = bus
        self._host = host
        self._watch = watch
        self._wanted: WantedState | None = None
        self._concerned = concerns.Concerns()
        self._look_soon: asyncio.TimerHandle | None = None
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
            interval_seconds=interval_seconds,
        )

    async def run(self) -> None:
        """Works until cancelled. What it has built keeps carrying traffic afterwards."""
        stop_listening = self._bus.subscribe(WAKE_TOPIC, self._on_wake)
        stop_watching = self._watch(self.agent.wake) if self._watch is not None else None
        try:
            await self.agent.run()
        finally:
            stop_listening()
            if self._look_soon is not None:
                self._look_soon.cancel()
            if stop_watching is not None:
                stop_watching()
            await asyncio.shield(self._driver.close())

    async def _describe(self) -> dict[str, Any]:
        return {"parts": self._played}

    async def _on_wake(self, payload: Any) -> None:
        """Wanted state has changed: look now if it concerns this host, soon if it does not matter when."""
        if self._wanted is None or self._concerned.is_urgent(payload["concerned"]):
            self._look_now()
        elif self._look_soon is None and not self._concerned.soon.isdisjoint(payload["concerned"]):
            self._look_soon = asyncio.get_running_loop().call_later(SOON_SECONDS, self._look_now)

    def _look_now(self) -> None:
        if self._look_soon is not None:
            self._look_soon.cancel()
            self._look_soon = None
        self.agent.wake()

    async def _converge(self) -> None:
        since = NOTHING_YET if self._wanted is None else self._wanted.revision
        about = {"host": self._host, "parts": self._played}
        answer = await self._bus.call(REGISTRY_TOPIC, "wanted", {**about, "since": since})
        if not answer["known"]:
            self.agent.register_again()
            return
        if answer["wanted"] is not None:
            self._wanted = msgspec.convert(answer["wanted"], WantedState)
            self._concerned = concerns.of_host(self._host, self._played, self._wanted)
        if self._wanted is None:
            return
        report = await self._driver.converge(self._wanted)
        self._tell(report)
        told = {**about, "sent_at": datetime.now(UTC).isoformat(), "report": msgspec.to_builtins(report)}
        await self._bus.call(REGISTRY_TOPIC, "report", told)

    def _tell(self, report: ConvergeReport) -> None:
        """Log what is wrong, once; look again soon where another process has to act first, less often each time."""
        self._waits = self._waits + 1 if report.waiting else 0
        wrong = set(report.problems)
        if self._waits >= PATIENCE:
            wrong.update(report.waiting)
        elif self._waits:
            seconds = SHORTEST_WAIT_SECONDS * 2 ** (self._waits - 1)
            asyncio.get_running_loop().call_later(seconds, self.agent.wake)
        for resource_id, problem in wrong - self._told:
            log.warning("not converged", resource=resource_id, problem=problem)
        self._told = wrong
