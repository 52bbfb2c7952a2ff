"""Watches that nothing holds the event loop: a handler that blocks stops every other request of the process."""

import asyncio
from collections.abc import Callable

from kilonova.kit.log import logger
from kilonova.kit.metrics import loop_lag_seconds

log = logger(__name__)

MOST_LAG_SECONDS = 0.05
INTERVAL_SECONDS = 0.1


class LoopLag:
    """The longest time the loop was held since the start, and a line in the log for each time over the limit."""

    def __init__(self, on_lag: Callable[[float], None] | None = None) -> None:
        self.worst_seconds = 0.0
        self._on_lag = on_lag

    async def watch(self) -> None:
        """Measures until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(INTERVAL_SECONDS)
            lag = loop.time() - before - INTERVAL_SECONDS
            loop_lag_seconds.observe(max(lag, 0.0))
            self.worst_seconds = max(self.worst_seconds, lag)
            if lag > MOST_LAG_SECONDS:
                log.warning("the event loop was held", seconds=round(lag, 3))
                if self._on_lag is not None:
                    self._on_lag(lag)
