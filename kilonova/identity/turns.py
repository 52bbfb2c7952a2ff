"""Turns at what only a few can do at a time: hashing passwords holds a core.

The rule: whoever asks often waits behind himself. Addresses take turns, and so do the accounts that one address asks
for, because all users of a proxy come from its address.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kilonova.identity.errors import TooManyLogIns
from kilonova.kit.errors import ServiceUnavailable

MOST_WAITING = 4096
MOST_WAITING_OF_ADDRESS = 512

Lane = OrderedDict[str, deque[asyncio.Future[None]]]
"""Account → those who wait for it, of one address."""


class Turns:
    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, address: str, account: str) -> AsyncIterator[None]:
        """Waits until it is this one's turn, which lasts as long as the block. Raises TooManyLogIns,
        ServiceUnavailable."""
        await self._take(address, account)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, address: str, account: str) -> None:
        if self._free:
            self._free -= 1
            return
        lane = self._lanes.get(address, OrderedDict())
        if sum(map(len, lane.values())) >= MOST_WAITING_OF_ADDRESS:
            raise TooManyLogIns
        if self._waiting >= MOST_WAITING:
            raise ServiceUnavailable("Too many log-ins wait for their turn.", headers={"Retry-After": "5"})
        mine = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(address, lane).setdefault(account, deque()).append(mine)
        self._waiting += 1
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                # Its turn had come in the same moment.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._lanes:
            following = self._next()
            if not following.cancelled():
                following.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None]:
        """The first of the account whose turn it is, of the address whose turn it is; both go to the end of theirs."""
        address, lane = self._lanes.popitem(last=False)
        account, queue = lane.popitem(last=False)
        following = queue.popleft()
        self._waiting -= 1
        if queue:
            lane[account] = queue
        if lane:
            self._lanes[address] = lane
        return following
