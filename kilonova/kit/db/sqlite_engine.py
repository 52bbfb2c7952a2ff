"""SQLite, inline on the loop.

Every write transaction begins IMMEDIATE, because a deferred one that turns into a writer loses to "database is locked"
and no time-out cures that.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from kilonova.kit.db.ballast import Ballast
from kilonova.kit.errors import DiskFull

ResultT = TypeVar("ResultT")

MOST_IDLE = 5
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


class SqliteEngine:
    """Files are created readable by their owner only: they hold password hashes and keys."""

    def __init__(self, url: URL, *, has_ballast: bool = False) -> None:
        self._ballast: Ballast | None = None
        if url.database:
            path = Path(url.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            if has_ballast:
                # First of all: on a full disk a database cannot even be opened.
                self._ballast = Ballast(path)
                self._ballast.trim()
            path.touch(mode=0o600, exist_ok=True)
        self._url = url
        # A pool with a limit would make one reader too many wait inside the loop, for readers that it then cannot end.
        self._engine = self._make(**({"max_overflow": -1} if url.database else {}))
        # Two coroutines of this process take turns here, where waiting does not hold the loop; only another process's
        # write lock is waited for inside SQLite.
        self._writing = asyncio.Lock()
        self._idle_readers: list[Connection] = []
        self._idle_writers: list[Connection] = []

    def _make(self, **pool: Any) -> Engine:
        # An error's text ends up in the log, and parameters are password hashes and keys.
        engine = create_engine(self._url, hide_parameters=True, json_deserializer=msgspec.json.decode, **pool)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        async with self._writing:
            if self._ballast is not None:
                self._ballast.trim()
            try:
                with self._lent(self._idle_writers) as connection, connection.begin():
                    yield connection
            except DBAPIError as error:
                if getattr(error.orig, "sqlite_errorcode", None) in FULL:
                    raise DiskFull from error
                raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        with self._lent(self._idle_readers) as connection:
            yield connection

    @contextmanager
    def _lent(self, idle: list[Connection]) -> Iterator[Connection]:
        """A connection that is kept for the next one: the pool takes longer to give one than SQLite to answer."""
        writes = idle is self._idle_writers
        connection = idle.pop() if idle else self._engine.connect().execution_options(kilonova_writes=writes)
        try:
            yield connection
        finally:
            try:
                # Ends what was read, or was not committed.
                if connection.in_transaction():
                    connection.rollback()
            finally:
                if len(idle) < MOST_IDLE and not connection.closed and not connection.invalidated:
                    idle.append(connection)
                else:
                    connection.close()

    def run_alone(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Does `work` in one write transaction, on a connection that is closed after it: migrations."""
        # A database in memory is its connection.
        engine = self._make(poolclass=NullPool) if self._url.database else self._engine
        with engine.connect().execution_options(kilonova_writes=True) as connection, connection.begin():
            return work(connection)

    async def close(self) -> None:
        for idle in (self._idle_readers, self._idle_writers):
            while idle:
                idle.pop().close()
        self._engine.dispose()


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN handling is switched off: _begin says which kind of transaction it is.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("kilonova_writes", False)
    # Past SQLAlchemy, which takes ten times as long over it as SQLite.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - begun on a connection that is open
    try:
        driver.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    except sqlite3.Error as error:
        raise OperationalError("BEGIN", None, error) from error
