"""Chores that one process of many does.

A shared chore has a row that says when it is due; whoever takes it holds a lease meanwhile. Looking whether it is due
is one read by the row's key, and takes no write lock.
"""

import asyncio
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Column, MetaData, String, Table, or_, update

from kilonova.kit.chores import Chore, ChoreKeeper
from kilonova.kit.clock import Clock
from kilonova.kit.db import Database, Tx, UtcDateTime
from kilonova.kit.log import logger

log = logger(__name__)

LEASE = timedelta(seconds=60)
"""How long a process that died keeps a chore from others; one that lives renews it three times as often."""


class ChoreRow(Struct):
    name: str
    due_at: datetime
    lease_until: datetime | None
    holder: str | None
    """Of the process that holds the lease."""
    done_at: datetime | None
    """When the last run began that came to its end."""


class ChoreTable:
    """The table of one database's shared chores, and the statements on it."""

    def __init__(self, metadata: MetaData) -> None:
        self.chores = Table(
            "chores",
            metadata,
            Column("name", String(64), primary_key=True),
            Column("due_at", UtcDateTime, nullable=False),
            Column("lease_until", UtcDateTime),
            Column("holder", String(36)),
            Column("done_at", UtcDateTime),
        )

    async def find(self, tx: Tx, name: str) -> ChoreRow | None:
        return await tx.find(ChoreRow, self.chores, name=name)

    async def claim(self, tx: Tx, name: str, holder: str, now: datetime) -> ChoreRow | None:
        """Takes the lease of a chore that is due; None: it is not, or another process has it."""
        table = self.chores.c
        await tx.insert_new(self.chores, ChoreRow(name, now, None, None, None))
        is_free = or_(table.lease_until.is_(None), table.lease_until < now)
        taken = await tx.execute(
            update(self.chores)
            .where(table.name == name, table.due_at <= now, is_free)
            .values(lease_until=now + LEASE, holder=holder)
        )
        return await self.find(tx, name) if taken else None

    async def renew(self, tx: Tx, name: str, holder: str, now: datetime) -> bool:
        """False: the lease has lapsed, and another process has taken it."""
        mine = (self.chores.c.name == name) & (self.chores.c.holder == holder)
        return bool(await tx.execute(update(self.chores).where(mine).values(lease_until=now + LEASE)))

    async def finish(self, tx: Tx, row: ChoreRow, due_at: datetime, done_at: datetime | None) -> None:
        """Gives the lease back. `done_at` None: the work did not come to its end."""
        mine = (self.chores.c.name == row.name) & (self.chores.c.holder == row.holder)
        values = {"due_at": due_at, "lease_until": None, "holder": None, "done_at": done_at or row.done_at}
        await tx.execute(update(self.chores).where(mine).values(**values))


class SharedChoreKeeper(ChoreKeeper):
    """Does chores until cancelled, those that are due and that no other process has taken."""

    def __init__(self, chores: Iterable[Chore], clock: Clock, database: Database, table: ChoreTable) -> None:
        super().__init__(chores, clock)
        self._database = database
        self._table = table
        self._holder = str(uuid.uuid4())

    async def take_turn(self, chore: Chore) -> float:
        """Does the chore if it is due and free. Returns the seconds until it may be due."""
        try:
            async with self._database.reading() as tx:
                row = await self._table.find(tx, chore.name)
            left = 0.0 if row is None else self._seconds_left(row)
            if left > 0:
                return min(left, chore.every_seconds)
            async with self._database.transaction() as tx:
                mine = await self._table.claim(tx, chore.name, self._holder, self._clock.now())
            if mine is not None:
                await self._do_leased(chore, mine)
        except Exception as error:  # noqa: BLE001 - it is told, and the chore is due again
            self.complain(chore, error)
        return chore.every_seconds

    def _seconds_left(self, row: ChoreRow) -> float:
        free_at = max(row.due_at, row.lease_until or row.due_at)
        return (free_at - self._clock.now()).total_seconds()

    async def _do_leased(self, chore: Chore, row: ChoreRow) -> None:
        began = self._clock.now()
        working = asyncio.create_task(self.do(chore, row.done_at))
        try:
            while not (await asyncio.wait([working], timeout=LEASE.total_seconds() / 3))[0]:
                async with self._database.transaction() as tx:
                    if not await self._table.renew(tx, chore.name, self._holder, self._clock.now()):
                        log.warning("a chore went to another process", chore=chore.name)
                        return
        finally:
            working.cancel()
            await asyncio.wait([working])
        due_at = self._clock.now() + timedelta(seconds=chore.every_seconds)
        async with self._database.transaction() as tx:
            await self._table.finish(tx, row, due_at, began if working.result() else None)
