"""SQLite, inline on the loop.

Every write transaction begins IMMEDIATE, because a deferred one that turns into a writer loses to "database is locked"
and no time-out cures that.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy.exc
from sqlalchemy import URL, Connection, Dialect, Engine, Executable, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from kilonova.kit.db.ballast import Ballast
from kilonova.kit.db.prepared import Answer, DriverAnswer, Statements
from kilonova.kit.errors import DiskFull

ResultT = TypeVar("ResultT")

MOST_IDLE = 5
KEPT_BY_DRIVER = 512
"""Texts that a connection of the driver keeps parsed."""
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


@cache
def _statements() -> Statements:
    """Every database is spoken to in the same dialect, so all share what was prepared."""
    return Statements(sqlite.dialect(dbapi=sqlite3, json_deserializer=msgspec.json.decode))


class SqliteConnection:
    """A connection that says itself when a transaction begins and ends, and asks the driver past SQLAlchemy where it
    can (`prepared`). SQLAlchemy's own errors are raised either way, without parameters: those are password hashes.
    """

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - SQLAlchemy's type is of any driver
        self._driver = driver

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    def execute(self, statement: Executable, values: dict[str, Any] | None = None) -> Answer:
        prepared = self._statements.find(statement, values or {})
        if prepared is None:
            return self._connection.execute(statement, values)
        text, values_taken = prepared
        cursor = self._ask(text.sql, text.bind(values_taken))
        if len(cursor.description or ()) != len(text.names):
            raise TypeError(f"{len(text.names)} columns are known of {text.sql}")
        return DriverAnswer(cursor, text)

    def begin(self, *, writes: bool) -> None:
        self._ask("BEGIN IMMEDIATE" if writes else "BEGIN")

    def commit(self) -> None:
        self._ask("COMMIT")

    def roll_back(self) -> None:
        """Ends what was read, or was not committed, if anything is left to end."""
        if self._driver.in_transaction:
            self._ask("ROLLBACK")

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._driver.execute(sql, values)
        except sqlite3.Error as error:
            kind: type[DBAPIError] = getattr(sqlalchemy.exc, type(error).__name__, sqlalchemy.exc.DatabaseError)
            raise kind(sql, None, error, hide_parameters=True) from error

    def close(self) -> None:
        self._connection.close()


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
        self._idle: list[SqliteConnection] = []

    def _make(self, **pool: Any) -> Engine:
        # An error's text ends up in the log, and parameters are password hashes and keys.
        engine = create_engine(
            self._url,
            hide_parameters=True,
            json_deserializer=msgspec.json.decode,
            connect_args={"cached_statements": KEPT_BY_DRIVER},
            **pool,
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[SqliteConnection]:
        async with self._writing:
            if self._ballast is not None:
                self._ballast.trim()
            try:
                with self._lent() as connection:
                    connection.begin(writes=True)
                    yield connection
                    connection.commit()
            except DBAPIError as error:
                if getattr(error.orig, "sqlite_errorcode", None) in FULL:
                    raise DiskFull from error
                raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqliteConnection]:
        with self._lent() as connection:
            connection.begin(writes=False)
            yield connection

    @contextmanager
    def _lent(self) -> Iterator[SqliteConnection]:
        """A connection that is kept for the next one: the pool takes longer to give one than SQLite to answer."""
        connection = self._idle.pop() if self._idle else SqliteConnection(self._engine.connect(), _statements())
        is_kept = False
        try:
            yield connection
        finally:
            try:
                connection.roll_back()
                is_kept = len(self._idle) < MOST_IDLE
            finally:
                if is_kept:
                    self._idle.append(connection)
                else:
                    connection.close()

    def run_alone(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Does `work` in one write transaction, on a connection that is closed after it: migrations."""
        # A database in memory is its connection.
        engine = self._make(poolclass=NullPool) if self._url.database else self._engine
        with engine.connect().execution_options(kilonova_writes=True) as connection, connection.begin():
            return work(connection)

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()


def _prepare(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN handling is switched off: _begin says which kind of transaction it is.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Of a migration. A `SqliteConnection` begins by itself, and SQLAlchemy's idea of its transaction means nothing."""
    if connection.get_execution_options().get("kilonova_writes", False):
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101 - begun on a connection that is open
        driver.execute("BEGIN IMMEDIATE")
