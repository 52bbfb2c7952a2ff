"""Whether agents are alive: a question asked over and over, measured on the asker's own monotonic clock.

Two hosts' clocks are never compared (design §3): an agent is up unless it left the last few questions unanswered. Time
that this process itself has slept through counts against nobody. The wall clock an agent sends along only yields its
skew, which is shown, not judged by.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from kilonova.kit.agents.calls import agent_topic
from kilonova.kit.bus import Bus, CallTimedOut, RemoteError
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger
from kilonova.kit.metrics import agent_alive, agent_clock_skew_seconds

log = logger(__name__)

AgentKey = tuple[str, str]
"""(binary, host)"""


PATIENCE = 3
"""How many times as long as an agent that has answered before, one that never did is waited for."""


class Liveness:
    """Asks every known agent each `interval_seconds`; one that misses every question of `leeway_seconds` is down."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock | None = None,
        *,
        interval_seconds: float = 5.0,
        leeway_seconds: float = 20.0,
    ) -> None:
        self._bus = bus
        self._clock = clock or SystemClock()
        self._interval_seconds = interval_seconds
        self._most_missed = max(round(leeway_seconds / interval_seconds), 1)
        self._answered: dict[AgentKey, float] = {}
        self._missed: dict[AgentKey, int] = {}
        """Questions in a row that were not answered."""
        self._skew_seconds: dict[AgentKey, float] = {}
        self._shown: list[AgentKey] = []

    def heard(self, binary: str, host: str) -> None:
        """An agent has just said something: that is an answer too."""
        self._answered[(binary, host)] = self._clock.monotonic()
        self._missed[(binary, host)] = 0

    def is_alive(self, binary: str, host: str) -> bool:
        key = (binary, host)
        return key in self._answered and self._missed[key] < self._most_missed

    def is_awaited(self, binary: str, host: str) -> bool:
        """Whether it has never answered this process and may yet: after a start, agents find their servers again."""
        key = (binary, host)
        return key not in self._answered and self._missed.get(key, 0) < PATIENCE * self._most_missed

    def seconds_since_answer(self, binary: str, host: str) -> float | None:
        answered = self._answered.get((binary, host))
        return None if answered is None else self._clock.monotonic() - answered

    def skew_seconds(self, binary: str, host: str) -> float | None:
        """How far the agent's wall clock was from ours at its last answer; None when it never answered."""
        return self._skew_seconds.get((binary, host))

    async def watch(self, list_agents: Callable[[], Awaitable[Iterable[AgentKey]]]) -> None:
        """Asks until cancelled. While it cannot be read who the agents are, those known last are asked."""
        agents: list[AgentKey] = []
        while True:
            with contextlib.suppress(ServiceUnavailable):
                agents = list(await list_agents())
            await self.ask(agents)
            await self._clock.sleep(self._interval_seconds)

    async def ask(self, agents: Iterable[AgentKey]) -> None:
        """One round, all agents at once."""
        asked = list(agents)
        await asyncio.gather(*(self._ask_one(binary, host) for binary, host in asked))
        for key in asked:
            agent_alive.labels(*key).set(self.is_alive(*key))
        for key in [key for key in self._shown if key not in asked]:
            agent_alive.remove(*key)
        self._shown = asked

    async def _ask_one(self, binary: str, host: str) -> None:
        try:
            answer = await self._bus.call(
                agent_topic(binary, host), "ping", {"known": True}, timeout_seconds=self._interval_seconds
            )
        except (CallTimedOut, RemoteError) as error:
            log.debug("agent did not answer", agent=binary, host=host, reason=str(error))
            self._missed[(binary, host)] = self._missed.get((binary, host), 0) + 1
            return
        self.heard(binary, host)
        skew = datetime.fromisoformat(answer["now"]) - self._clock.now()
        self._skew_seconds[(binary, host)] = skew.total_seconds()
        agent_clock_skew_seconds.labels(binary, host).set(skew.total_seconds())
