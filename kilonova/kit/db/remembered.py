"""Remembering what was read, for as long as it cannot have changed.

An answer is forgotten when this process has written to its database, and after a second in any case, because another
process may have. Used where the same few rows are asked for hundreds of times a second: tokens and the catalog.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from kilonova.kit.clock import Clock
from kilonova.kit.db.engine import Database, Tx

ValueT = TypeVar("ValueT")

SECONDS = 1.0


class Remembered(Generic[ValueT]):
    def __init__(self, database: Database, clock: Clock, *, capacity: int = 10_000) -> None:
        self._database = database
        self._clock = clock
        self._capacity = capacity
        self._known: OrderedDict[Hashable, tuple[int, float, ValueT]] = OrderedDict()

    async def get(self, key: Hashable, read: Callable[[Tx], Awaitable[ValueT]]) -> ValueT:
        """Returns the value remembered, or reads it in a transaction of its own. Exceptions are not remembered."""
        known = self._known.get(key)
        now = self._clock.monotonic()
        if known is not None and known[0] == self._database.writes and now < known[1]:
            return known[2]
        writes = self._database.writes
        async with self._database.reading() as tx:
            value = await read(tx)
        self._known[key] = (writes, now + SECONDS, value)
        self._known.move_to_end(key)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return value
