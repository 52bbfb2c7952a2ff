"""The network agent of one host: asks for its document, converges, reports what is up.

Linux bridge, DHCP, L3 and metadata are one process here; operators see them as the four agents they know.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from kilonova.kit.agents import Agent, AgentInfo
from kilonova.kit.bus import Bus
from kilonova.kit.log import logger
from kilonova.network.agent.driver import NetworkDriver
from kilonova.network.topics import AGENT_BINARY, REGISTRY_TOPIC, WAKE_TOPIC
from kilonova.network.wanted import WantedState

log = logger(__name__)

NOTHING_YET = -1


class NetworkAgent:
    """`watch` starts telling about taps: it gets the function to call and gives back the one that stops it."""

    def __init__(
        self,
        driver: NetworkDriver,
        bus: Bus,
        *,
        host: str,
        configurations: Mapping[str, Any],
        watch: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
        interval_seconds: float = 5.0,
    ) -> None:
        self._driver = driver
        self._bus = bus
        self._host = host
        self._watch = watch
        self._wanted: WantedState | None = None
        self._told: set[tuple[str, str]] = set()
        """What the last pass could not converge: told when it begins, not with every pass that it lasts."""
        info = AgentInfo(
            AGENT_BINARY,
            host,
            agent_type="Linux bridge agent",
            configurations=dict(configurations),
            started_at=datetime.now(UTC),
        )
        self.agent = Agent(
            info, bus, REGISTRY_TOPIC, methods={}, converge=self._converge, interval_seconds=interval_seconds
        )

    async def run(self) -> None:
        """Works until cancelled. What it has built keeps carrying traffic afterwards."""
        stop_listening = self._bus.subscribe(WAKE_TOPIC, self._on_wake)
        stop_watching = self._watch(self.agent.wake) if self._watch is not None else None
        try:
            await self.agent.run()
        finally:
            stop_listening()
            if stop_watching is not None:
                stop_watching()
            await asyncio.shield(self._driver.close())

    async def _on_wake(self, _payload: Any) -> None:
        self.agent.wake()

    async def _converge(self) -> None:
        since = NOTHING_YET if self._wanted is None else self._wanted.revision
        answer = await self._bus.call(REGISTRY_TOPIC, "wanted", {"host": self._host, "since": since})
        if not answer["known"]:
            self.agent.register_again()
            return
        if answer["wanted"] is not None:
            self._wanted = msgspec.convert(answer["wanted"], WantedState)
        if self._wanted is None:
            return
        report = await self._driver.converge(self._wanted)
        for resource_id, problem in set(report.problems) - self._told:
            log.warning("not converged", resource=resource_id, problem=problem)
        self._told = set(report.problems)
        told = {"host": self._host, "sent_at": datetime.now(UTC).isoformat(), "report": msgspec.to_builtins(report)}
        await self._bus.call(REGISTRY_TOPIC, "report", told)
