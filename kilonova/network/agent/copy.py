"""The agent's copy of its host's wanted state: asked for whole once, then kept by what has changed."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from kilonova.kit.bus import Bus
from kilonova.network.state import Delta, HostState, Touched
from kilonova.network.topics import REGISTRY_TOPIC


class Answer(msgspec.Struct):
    """The server's answer (`registry.Answer`)."""

    known: bool
    delta: Delta | None
    serial: str
    pending: list[tuple[str, str, str]]
    is_all: bool


class Copy:
    def __init__(self, bus: Bus, host: str, played: Sequence[str]) -> None:
        self._bus, self._host, self._played = bus, host, tuple(played)
        self.answered_in_seconds = 0.0
        """How long the server took for its last answer."""
        self._forget()

    def _forget(self) -> None:
        self.state = HostState(self._host)
        self.touched = Touched()
        """The changes that the driver has not seen yet."""
        self.is_new = True
        """Whether the driver has not seen it at all."""
        self.is_all = False
        """Whether it is complete: a part of it may not be converged to."""
        self._serial = ""
        self._pending: list[tuple[str, str, str]] = []

    def was_seen(self) -> None:
        """The driver has made the host as the state wants it."""
        self.touched, self.is_new = Touched(), False

    async def catch_up(self) -> bool:
        """Asks the server, which tells much in pieces, until the copy is complete. False: it knows no such agent."""
        has_to_say = False
        while True:
            asked: dict[str, Any] = {
                "host": self._host,
                "parts": self._played,
                "sent_at": datetime.now(UTC).isoformat(),
            }
            asked |= {"since": self.state.revision, "serial": self._serial, "pending": self._pending}
            if has_to_say or self._pending:
                asked["has"] = self.state.owners()
            began = time.monotonic()
            told = await self._bus.call(REGISTRY_TOPIC, "changes", asked)
            self.answered_in_seconds = time.monotonic() - began
            answer = msgspec.convert(told, Answer)
            if not answer.known:
                return False
            has_to_say = answer.delta is None
            if answer.delta is not None:
                self._take_in(answer, answer.delta)
                if answer.is_all:
                    return True

    def _take_in(self, answer: Answer, delta: Delta) -> None:
        if delta.is_whole:
            self._forget()
        self.state.apply(delta, self.touched)
        self._serial, self._pending, self.is_all = answer.serial, answer.pending, answer.is_all
