"""What is kept of log-ins: where a user has logged in from, and how often it failed lately, for all processes.

An account is locked after so many failures in a row, for a while. Failures from addresses that the user has logged in
from count by themselves, each its own: whoever tries passwords from elsewhere does not lock the user, or a service,
out. What is tried without there being such a user is counted alike, so that nobody can tell the two apart.
"""

import hashlib
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import bindparam, delete, select, update

from kilonova.identity.names import fold
from kilonova.identity.tables import ANYWHERE_ELSE, LogIn, log_ins
from kilonova.kit.db import Tx

KNOWN_FOR = timedelta(days=30)
"""An address is a user's for so long after the last log-in from there."""

NOTED_EVERY = timedelta(days=1)
"""A log-in from such an address is written down only so often."""


class Limits(Struct, frozen=True):
    """Upstream's `[security_compliance]` options. `attempts`: 0 locks nobody."""

    attempts: int = 10
    seconds: int = 300

    @property
    def duration(self) -> timedelta:
        return timedelta(seconds=self.seconds)


class Record(Struct):
    """What is known of one account and one address."""

    own: LogIn | None
    """The address's, where the user has logged in from there."""
    others: LogIn | None

    @property
    def counting(self) -> LogIn | None:
        return self.own or self.others

    def is_locked(self, limits: Limits, now: datetime) -> bool:
        counted = self.counting
        if counted is None or not limits.attempts or counted.failed_at is None:
            return False
        return counted.failures >= limits.attempts and now < counted.failed_at + limits.duration

    def has_to_be_noted(self, now: datetime) -> bool:
        """Whether a log-in that succeeds changes anything."""
        if self.own is None or self.own.succeeded_at is None or self.own.failures:
            return True
        return now - self.own.succeeded_at > NOTED_EVERY


def account_of_names(domain: str, name: str) -> str:
    """The account of a user who does not exist."""
    return hashlib.sha256(f"{fold(domain)}\0{fold(name)}".encode()).hexdigest()


_OF_ACCOUNT = select(log_ins).where(
    log_ins.c.account == bindparam("account"),
    (log_ins.c.source == bindparam("source")) | (log_ins.c.source == ANYWHERE_ELSE),
)


async def read(tx: Tx, account: str, source: str, now: datetime) -> Record:
    found = {each.source: each for each in await tx.all(LogIn, _OF_ACCOUNT, account=account, source=source)}
    found = {source: each for source, each in found.items() if each.kept_until > now}
    return Record(found.get(source), found.get(ANYWHERE_ELSE))


async def note_failure(tx: Tx, account: str, source: str, limits: Limits, now: datetime) -> None:
    """Failures that are older than a lock would last are forgotten."""
    await tx.execute(delete(log_ins).where(log_ins.c.kept_until <= now))
    record = await read(tx, account, source, now)
    counted = record.counting
    if counted is None:
        fresh = LogIn(account, ANYWHERE_ELSE, 1, now, None, now + limits.duration)
        await tx.insert_new(log_ins, fresh)
        return
    is_over = counted.failed_at is None or now >= counted.failed_at + limits.duration
    failures = 1 if is_over else counted.failures + 1
    until = max(counted.kept_until, now + limits.duration)
    await _change(tx, counted, failures=failures, failed_at=now, kept_until=until)


async def note_success(tx: Tx, account: str, source: str, now: datetime) -> None:
    """The address is the user's from now on, and the failures that counted for it are forgotten."""
    record = await read(tx, account, source, now)
    if record.counting is not None:
        await _change(tx, record.counting, failures=0, failed_at=None)
    noted = LogIn(account, source, 0, None, now, now + KNOWN_FOR)
    if not await tx.insert_new(log_ins, noted):
        await _change(tx, noted, succeeded_at=now, kept_until=noted.kept_until)


async def forget(tx: Tx, account: str) -> None:
    """Unlocks: a user with a new password, or one that is gone."""
    await tx.remove(log_ins, account=account)


async def _change(tx: Tx, row: LogIn, **values: object) -> None:
    same = (log_ins.c.account == row.account) & (log_ins.c.source == row.source)
    await tx.execute(update(log_ins).where(same).values(**values))
