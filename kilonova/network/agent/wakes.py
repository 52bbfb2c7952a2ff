"""What is heard of changed wanted state: once for all agents of a process, which may play many hosts.

The rule: a message only wakes. Lost ones cost a pause between two passes.
"""

from collections.abc import Callable, Collection
from typing import Any

from kilonova.kit.bus import Bus, Unsubscribe
from kilonova.network.topics import WAKE_TOPIC

Hear = Callable[[Collection[str]], None]
"""Called with the names of what has changed (`concerns.py`)."""


class Wakes:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listeners: list[Hear] = []
        self._stop: Unsubscribe | None = None

    def listen(self, hear: Hear) -> Unsubscribe:
        """Calls `hear` from now on; returns what ends that."""
        self._listeners.append(hear)
        if self._stop is None:
            self._stop = self._bus.subscribe(WAKE_TOPIC, self._on_wake)

        def stop() -> None:
            self._listeners.remove(hear)
            if not self._listeners and self._stop is not None:
                self._stop()
                self._stop = None

        return stop

    async def _on_wake(self, payload: Any) -> None:
        for hear in list(self._listeners):
            hear(payload["concerned"])
