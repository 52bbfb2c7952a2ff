"""Whether agents are alive: a question asked over and over, measured on the asker's own monotonic clock.

Two hosts' clocks are never compared (design §3): an agent is up unless it left the last few questions unanswered. Time
that this process itself has slept through counts against nobody. The wall clock an agent sends along only yields its
skew, which is shown, not judged by.

Who has heard an agent tells the other processes on the bus, and those need not ask it in that round: many processes ask
hardly more than one does. What is told is only ever good news; an agent that answers nobody is asked by everybody.
"""

import asyncio
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kilonova.kit.agents.calls import agent_topic
from kilonova.kit.bus import Bus, CallTimedOut, RemoteError
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.log import logger
from kilonova.kit.metrics import agent_alive, agent_clock_skew_seconds

log = logger(__name__)

AgentKey = tuple[str, str]
"""(binary, host)"""


HEARD_TOPIC = "agents.heard"
SOON_SECONDS = 1.0
FRESH = 0.8
"""The part of an interval after which an agent is asked again."""
PATIENCE = 3
"""How many times as long as an agent that has answered before, one that never did is waited for."""


class Liveness:
    """Asks each known agent that nobody has heard for about `interval_seconds`; one that misses every question of
    `leeway_seconds` is down."""

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
        self.interval_seconds = interval_seconds
        self._most_missed = max(round(leeway_seconds / interval_seconds), 1)
        self._answered: dict[AgentKey, float] = {}
        self._missed: dict[AgentKey, int] = {}
        """Questions in a row that were not answered."""
        self._skew_seconds: dict[AgentKey, float] = {}
        self._shown: set[AgentKey] = set()
        self._name = uuid.uuid4().hex
        bus.subscribe(HEARD_TOPIC, self._on_heard)

    async def announce(self, binary: str, host: str) -> None:
        """An agent has just said something, which the other processes are told."""
        self.heard(binary, host)
        await self._tell([(binary, host)])

    def heard(self, binary: str, host: str) -> None:
        """An agent has just said something: that is an answer too."""
        self._answered[(binary, host)] = self._clock.monotonic()
        self._missed[(binary, host)] = 0

    def is_alive(self, binary: str, host: str) -> bool:
        key = (binary, host)
        return key in self._answered and self._missed[key] < self._most_missed

    def all_alive(self) -> set[AgentKey]:
        """Those that `is_alive` is true of, for who asks about many."""
        return {key for key in self._answered if self._missed[key] < self._most_missed}

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

    async def look(self, agents: Iterable[AgentKey]) -> None:
        """One round: asks those of all agents that nobody has heard lately."""
        known = list(agents)
        await self.ask(key for key in known if not self._is_fresh(key))
        for key in known:
            agent_alive.labels(*key).set(self.is_alive(*key))
        for key in self._shown.difference(known):
            agent_alive.remove(*key)
        self._shown = set(known)

    async def ask(self, agents: Iterable[AgentKey]) -> None:
        """Asks these, all at once."""
        waiting = {asyncio.create_task(self._ask_one(*key)) for key in agents}
        try:
            # What has been heard is told without waiting for those that say nothing.
            for seconds in (SOON_SECONDS, None):
                if waiting:
                    answered, waiting = await asyncio.wait(waiting, timeout=seconds)
                    await self._tell([key for key in (each.result() for each in answered) if key is not None])
        finally:
            for each in waiting:
                each.cancel()

    def _is_fresh(self, key: AgentKey) -> bool:
        seconds = self.seconds_since_answer(*key)
        return seconds is not None and seconds < FRESH * self.interval_seconds

    async def _tell(self, keys: list[AgentKey]) -> None:
        if keys:
            heard = [(*key, self._skew_seconds.get(key)) for key in keys]
            await self._bus.publish(HEARD_TOPIC, {"by": self._name, "heard": heard})

    async def _on_heard(self, payload: Any) -> None:
        if payload["by"] == self._name:
            return
        for binary, host, skew_seconds in payload["heard"]:
            self.heard(binary, host)
            if skew_seconds is not None:
                self._note_skew((binary, host), skew_seconds)

    def _note_skew(self, key: AgentKey, seconds: float) -> None:
        self._skew_seconds[key] = seconds
        agent_clock_skew_seconds.labels(*key).set(seconds)

    async def _ask_one(self, binary: str, host: str) -> AgentKey | None:
        """The agent, if it answered."""
        try:
            answer = await self._bus.call(
                agent_topic(binary, host), "ping", {"known": True}, timeout_seconds=self.interval_seconds
            )
        except (CallTimedOut, RemoteError) as error:
            log.debug("agent did not answer", agent=binary, host=host, reason=str(error))
            self._missed[(binary, host)] = self._missed.get((binary, host), 0) + 1
            return None
        self.heard(binary, host)
        skew = datetime.fromisoformat(answer["now"]) - self._clock.now()
        self._note_skew((binary, host), skew.total_seconds())
        return binary, host
