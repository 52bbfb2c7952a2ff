"""Engines and transactions.

SQLite runs inline on the loop: measured, a thread costs five times the statement itself. Every write transaction
begins IMMEDIATE, because a deferred one that turns into a writer loses to "database is locked" and no time-out cures
that (docs/decisions/0003).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from sqlalchemy import Connection, Engine, Executable, MetaData, Table, create_engine, event, make_url
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import CursorResult

Row = TypeVar("Row", bound=msgspec.Struct)


class Tx:
    """One open transaction. Statements run in order; leaving the block commits, an exception rolls back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, statement: Executable) -> int:
        """Runs a statement; returns the number of rows it changed (the answer of a compare-and-set)."""
        result = self._connection.execute(statement)
        return cast(CursorResult[Any], result).rowcount

    async def all(self, row_type: type[Row], statement: Executable) -> list[Row]:
        """Every row as `row_type`, whose field names are the selected columns' names."""
        return [row_type(**row._mapping) for row in self._connection.execute(statement)]

    async def first(self, row_type: type[Row], statement: Executable) -> Row | None:
        row = self._connection.execute(statement).first()
        return None if row is None else row_type(**row._mapping)

    async def scalar(self, statement: Executable) -> Any:
        return self._connection.execute(statement).scalar()

    async def tuples(self, statement: Executable) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(statement)]

    async def insert(self, table: Table, row: msgspec.Struct) -> None:
        self._connection.execute(table.insert().values(**msgspec.structs.asdict(row)))

    async def insert_new(self, table: Table, row: msgspec.Struct) -> bool:
        """Inserts unless a row with one of its unique keys exists; False if so. Never aborts the transaction."""
        values = msgspec.structs.asdict(row)
        name = self._connection.dialect.name
        statement: Executable
        if name == "sqlite":
            statement = sqlite.insert(table).values(**values).on_conflict_do_nothing()
        elif name == "postgresql":
            statement = postgresql.insert(table).values(**values).on_conflict_do_nothing()
        else:
            statement = mysql.insert(table).values(**values).prefix_with("IGNORE")
        return await self.execute(statement) == 1


class Database:
    """One database of one service.

    `url` is SQLAlchemy's (`sqlite:////var/lib/kilonova/identity.db`). SQLite files are created readable by their
    owner only: they hold password hashes and keys.
    """

    def __init__(self, url: str, metadata: MetaData) -> None:
        self.url = make_url(url)
        self.metadata = metadata
        if self.url.get_backend_name() != "sqlite":
            raise ValueError(f"{self.url.get_backend_name()} is not served by this release: use sqlite:///FILE")
        if self.url.database:
            path = Path(self.url.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=True)
        # A pool with a limit would make one reader too many wait inside the loop, for readers that it then cannot end.
        unlimited = {"max_overflow": -1} if self.url.database else {}
        self.engine: Engine = create_engine(self.url, **unlimited)
        event.listen(self.engine, "connect", _prepare_sqlite)
        event.listen(self.engine, "begin", _begin_sqlite)
        # Two coroutines of this process take turns here, where waiting does not hold the loop; only another process's
        # write lock is waited for inside SQLite.
        self._writing = asyncio.Lock()
        self.writes = 0
        """Write transactions this process has begun: what was read before one may have changed after it."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A write transaction."""
        async with self._writing:
            self.writes += 1
            with self.engine.connect().execution_options(kilonova_writes=True) as connection, connection.begin():
                yield Tx(connection)
                # Again at its end: a reader in between has seen neither the old state for good nor the new one.
                self.writes += 1

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """A read of one snapshot. Nothing written in it is kept."""
        with self.engine.connect() as connection:
            yield Tx(connection)

    def close(self) -> None:
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN handling is switched off: _begin_sqlite says which kind of transaction it is.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("kilonova_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
