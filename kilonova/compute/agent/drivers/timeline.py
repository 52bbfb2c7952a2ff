"""When a driver did what to bring a server into being, by this host's clock; kept in memory until the server goes.

Only the first time counts: what is repeated later is repair, or another operation.
"""

import contextlib
from collections.abc import Iterator

from kilonova.compute.agent.spec import Milestone
from kilonova.kit.clock import Clock, SystemClock


class Timeline:
    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._of: dict[str, dict[str, Milestone]] = {}

    def begin(self, server_id: str, what: str) -> None:
        """Something that `end` will be told of, in another call maybe."""
        done = self._of.setdefault(server_id, {})
        if what not in done:
            done[what] = Milestone(what, self._clock.now(), None)

    def end(self, server_id: str, what: str) -> None:
        """It is done; what never began was there already, and took no time."""
        self.begin(server_id, what)
        milestone = self._of[server_id][what]
        if milestone.finished_at is None:
            milestone.finished_at = self._clock.now()

    @contextlib.contextmanager
    def measured(self, server_id: str, what: str) -> Iterator[None]:
        self.begin(server_id, what)
        yield
        self.end(server_id, what)

    def of(self, server_id: str) -> tuple[Milestone, ...]:
        """What has been done, in the order it began."""
        return tuple(each for each in self._of.get(server_id, {}).values() if each.finished_at is not None)

    def forget(self, server_id: str) -> None:
        self._of.pop(server_id, None)
