"""The latest revisions, and the objects that each concerned: one log in memory for all hosts, read as it grows."""

import bisect
from collections import defaultdict
from collections.abc import Iterable

from kilonova.kit.db import Tx
from kilonova.network import records
from kilonova.network.concerns import ALL

READ_AT_START = 2_000
"""Revisions that a process which has just started reads: agents that have one of them are told what has changed."""
CHANGES_KEPT = 10_000
"""Revisions of which it is remembered what they concerned; who has not looked for longer is told everything anew."""
FORGOTTEN_AT_ONCE = 500
"""Revisions: few enough that neither the loop nor the database is held by it."""


class News:
    def __init__(self) -> None:
        self.revision = -1
        """As far as it was read."""
        self._first = -1
        """Known is what the revisions after this one concerned."""
        self._changed: dict[str, list[tuple[int, str]]] = defaultdict(list)
        """Name → (revision, id of the object or ALL), in the order of revisions."""
        self._last: dict[tuple[str, str], int] = {}
        """(name, id or ALL) → the latest revision that was about it."""

    async def read(self, tx: Tx) -> int:
        """Returns the revision that the transaction sees."""
        revision = await records.current_revision(tx)
        if self.revision < 0 or revision - self.revision > CHANGES_KEPT:
            # Others that serve agents may have had forgotten what this one has not read.
            first = await records.first_kept(tx)
            oldest = revision if first is None else max(first - 1, revision - READ_AT_START)
            self.revision = self._first = min(oldest, revision)
            self._changed.clear()
            self._last.clear()
        if revision > self.revision:
            found = await records.changed_since(tx, self.revision, revision)
            # Somebody else's reading of the same may have ended while this one waited.
            for number, (name, about) in found:
                if number > self.revision:
                    self._changed[name].append((number, about))
                    self._last[name, about] = number
            self.revision = max(revision, self.revision)
        return revision

    def knows(self, revision: int) -> bool:
        """Whether all that changed after `revision` is known."""
        return revision >= self._first

    def has_changed(self, names: Iterable[str], since: int) -> bool:
        """Whether any of the names was concerned after `since`, wholly or about one object."""
        return any(name in self._changed and self._changed[name][-1][0] > since for name in names)

    def has_changed_wholly(self, name: str, since: int) -> bool:
        """Whether all that the name stands for was concerned after `since`."""
        return self._last.get((name, ALL), self._first) > since

    def changed_at(self, name: str, about: str) -> int:
        """A revision since which this object has not changed, as far as is known."""
        return max(self._last.get((name, about), self._first), self._last.get((name, ALL), self._first))

    def objects(self, name: str, since: int, until: int) -> set[str]:
        """Ids of the objects that changed after `since`, up to `until`; ALL among them: everything."""
        log = self._changed.get(name)
        if not log or log[-1][0] <= since:
            return set()
        end = len(log) if until >= log[-1][0] else bisect.bisect_right(log, until, key=_revision_of)
        found = set()
        # From the end: most who ask have missed the last few of thousands.
        for number, about in reversed(log[:end]) if end < len(log) else reversed(log):
            if number <= since:
                break
            found.add(about)
        return found

    def is_long(self) -> bool:
        return self.revision - self._first > CHANGES_KEPT + FORGOTTEN_AT_ONCE

    def forget(self) -> int:
        """Keeps the last `CHANGES_KEPT` revisions; returns the last that is forgotten."""
        self._first = self.revision - CHANGES_KEPT
        for name, log in list(self._changed.items()):
            end = bisect.bisect_right(log, self._first, key=_revision_of)
            for number, about in log[:end]:
                if self._last.get((name, about)) == number:
                    del self._last[name, about]
            del log[:end]
            if not log:
                del self._changed[name]
        return self._first


def _revision_of(change: tuple[int, str]) -> int:
    return change[0]
