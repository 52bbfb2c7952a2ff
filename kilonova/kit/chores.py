"""Chores: what a process has to do now and then.

A chore is no loop of its own. What it raises is logged, once for as long as it is the same, and the chore is done again
when it is next due. Those that one process of many does are in `tasks/chores.py`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from kilonova.kit.clock import Clock
from kilonova.kit.errors import Fault
from kilonova.kit.log import logger

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """`work` gets the time at which its last run began that came to its end; None: there was none."""

    name: str
    every_seconds: float
    work: Callable[[datetime | None], Awaitable[None]]


class ChoreKeeper:
    """Does chores until cancelled, each in its own time; the first time at once."""

    def __init__(self, chores: Iterable[Chore], clock: Clock) -> None:
        self._chores = tuple(chores)
        self._clock = clock
        self._done_at: dict[str, datetime] = {}
        self._complaints: dict[str, str] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for chore in self._chores:
                group.create_task(self._keep(chore))

    async def _keep(self, chore: Chore) -> None:
        while True:
            seconds = await self.take_turn(chore)
            # Processes that began together would else come together for ever.
            await self._clock.sleep(seconds * random.uniform(1.0, 1.1))  # noqa: S311 - jitter, not a secret

    async def take_turn(self, chore: Chore) -> float:
        """Does the chore. Returns the seconds until it is due again."""
        began = self._clock.now()
        if await self.do(chore, self._done_at.get(chore.name)):
            self._done_at[chore.name] = began
        return chore.every_seconds

    async def do(self, chore: Chore, done_at: datetime | None) -> bool:
        """Whether the work came to its end."""
        try:
            await chore.work(done_at)
        except Exception as error:  # noqa: BLE001 - it is told, and the chore is due again
            self.complain(chore, error)
            return False
        self._complaints.pop(chore.name, None)
        return True

    def complain(self, chore: Chore, error: Exception) -> None:
        """Logs why a chore could not be done, unless that was the reason the last time, too."""
        reason = error.message if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
        is_news = self._complaints.get(chore.name) != reason
        self._complaints[chore.name] = reason
        if not is_news:
            log.debug("a chore failed again", chore=chore.name, reason=reason)
        elif _is_expected(error):
            log.warning("a chore failed", chore=chore.name, reason=reason)
        else:
            log.exception("a chore failed", chore=chore.name)


def _is_expected(error: Exception) -> bool:
    """Whether it is of what happens, and no mistake of the chore's own: its stack would tell nobody anything."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("kilonova.", "sqlalchemy."))
