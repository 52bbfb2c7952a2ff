"""Delays by address: who has failed to log in often waits before the next try, in this process.

Guessing a few passwords of many accounts locks none of them. A user who has logged in from an address before waits for
nobody else there.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from kilonova.identity.errors import TooManyLogIns
from kilonova.kit.clock import Clock

FORGIVEN_EVERY_SECONDS = 6.0
"""One failure is forgotten after so long."""

FIRST_SECONDS, MOST_SECONDS = 0.25, 4.0
MOST_WAITING = 64
"""Of one address, for their delay to end."""

MOST_ADDRESSES = 10_000


@dataclass
class _Failing:
    failures: float = 0.0
    counted_at: float = 0.0
    waiting: int = 0


class Delays:
    """`after` failures in a row are free; 0: nobody is delayed."""

    def __init__(self, clock: Clock, after: int) -> None:
        self._clock = clock
        self._after = after
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    async def wait(self, address: str) -> None:
        """Raises TooManyLogIns."""
        found = self._failing.get(address)
        if found is None or not (seconds := self.seconds(address)):
            return
        if found.waiting >= MOST_WAITING:
            raise TooManyLogIns
        found.waiting += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            found.waiting -= 1

    def seconds(self, address: str) -> float:
        """How long the next try from there has to wait: twice as long with each failure, up to a limit."""
        found = self._failing.get(address)
        if found is None or not self._after:
            return 0.0
        beyond = self._left(found) - self._after
        return min(FIRST_SECONDS * 2 ** min(beyond, 10.0), MOST_SECONDS) if beyond >= 0 else 0.0

    def failed(self, address: str) -> None:
        found = self._failing.setdefault(address, _Failing())
        found.failures, found.counted_at = self._left(found) + 1, self._clock.monotonic()
        self._failing.move_to_end(address)
        if len(self._failing) > MOST_ADDRESSES:
            self._failing.popitem(last=False)

    def _left(self, found: _Failing) -> float:
        return max(0.0, found.failures - (self._clock.monotonic() - found.counted_at) / FORGIVEN_EVERY_SECONDS)


def source_of(address: str) -> str:
    """What counts as one address: of IPv6 the first half, because whoever has one address has all of those."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return f"{IPv6Address(int(found) >> 64 << 64)}/64"
    return str(found)
