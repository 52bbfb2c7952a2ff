"""The aggregates of each host in memory, as the API database has them.

The one rule: nothing is taken from memory before the database was asked what has changed. A row's id and the time of
its last change are its version: each change of a row is later than the one before (`aggregates.py`).
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from sqlalchemy import select

from kilonova.compute.scheduling.hosts import HostAggregate
from kilonova.compute.tables import Aggregate, aggregates
from kilonova.compute.transactions import RegionTx

Version = tuple[str, datetime | None]
"""A row's version: its id, and when it was last changed."""


class Memberships(Struct, frozen=True):
    """All aggregates as of one moment. Never changed: who got it may go on while a newer one is made."""

    versions: tuple[Version, ...] = ()
    by_host: Mapping[str, tuple[HostAggregate, ...]] = {}
    keys: frozenset[str] = frozenset()
    """Those that some aggregate with hosts has in its metadata."""
    everybody: tuple[HostAggregate, ...] = ()

    def of(self, host: str) -> tuple[HostAggregate, ...]:
        return self.by_host.get(host, ())


class AggregateIndex:
    """One for each region of a process. Empty until it is first asked."""

    def __init__(self) -> None:
        self._known = Memberships()
        self._refreshing = asyncio.Lock()

    async def refresh(self, tx: RegionTx) -> Memberships:
        """All aggregates as `tx` sees them; the same object as long as nothing has changed."""
        async with self._refreshing:
            versions = tuple((one, changed) for one, changed in await tx.tuples(_VERSIONS))
            if versions != self._known.versions:
                self._known = _read(versions, await tx.all(Aggregate, _ALL))
            return self._known


def _read(versions: tuple[Version, ...], rows: list[Aggregate]) -> Memberships:
    by_host: dict[str, tuple[HostAggregate, ...]] = {}
    everybody = []
    for row in rows:
        aggregate = HostAggregate(row.id, row.metadata)
        everybody.append(aggregate)
        for host in row.hosts:
            by_host[host] = (*by_host.get(host, ()), aggregate)
    keys = frozenset(key for row in rows if row.hosts for key in row.metadata)
    return Memberships(versions, by_host, keys, tuple(everybody))


_VERSIONS = select(aggregates.c.id, aggregates.c.updated_at).order_by(aggregates.c.number)
_ALL = select(aggregates).order_by(aggregates.c.number)
