"""PostgreSQL through asyncpg, MariaDB and MySQL through asyncmy.

A database has one writer at a time, as SQLite has: each write transaction takes the database's own lock first, so that
what it reads (a quota's use, the addresses taken) still holds when it commits. The lock lives in the database server
and goes with the connection: a process that dies lets go of it.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from kilonova.kit.errors import ServiceUnavailable

ResultT = TypeVar("ResultT")

DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy", "mariadb": "mysql+asyncmy"}
"""Backend of a URL, whichever driver it names (`mysql+pymysql://`) → what we reach it with."""

POSTGRESQL_GONE = ("08", "53300", "57P")
"""SQLSTATEs: connection exceptions, too many connections, shutting down or starting up."""
MARIADB_GONE = {1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055}
"""Too many connections, shutdown, killed, and the client's own for a server it cannot reach or lost."""
LOCK_SECONDS = 30
LOCK_NUMBER = zlib.crc32(b"kilonova")
"""PostgreSQL's locks are numbers, within one database."""
RETRY_AFTER_SECONDS = 5


class DatabaseUnavailable(ServiceUnavailable):
    """The database server cannot be reached, or went away in the middle."""

    def __init__(self, url: URL, error: BaseException) -> None:
        place = f"{url.get_backend_name()} on {url.host or 'localhost'}"
        super().__init__(
            f"The database ({place}) cannot be reached.", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
        )
        self.reason = f"{type(error).__name__}: {error}"


class ServerEngine:
    def __init__(self, url: URL, *, pool_size: int = 20) -> None:
        self._url = url.set(drivername=DRIVERS[url.get_backend_name()])
        self._is_postgresql = url.get_backend_name() == "postgresql"
        self._pool_size = pool_size
        self._writers = self._make("READ COMMITTED")
        # A read sees one snapshot, however many statements it has.
        self._readers = self._make("REPEATABLE READ")
        # Waiting here costs no connection, and is in turn.
        self._writing = asyncio.Lock()

    def _make(self, isolation_level: str, **pool: Any) -> AsyncEngine:
        limits = pool or {"pool_size": self._pool_size, "max_overflow": 0, "pool_pre_ping": True, "pool_timeout": 10}
        # An error's text ends up in the log, and parameters are password hashes and keys.
        return create_async_engine(
            self._url,
            isolation_level=isolation_level,
            hide_parameters=True,
            json_deserializer=msgspec.json.decode,
            **limits,
        )

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        async with self._writing, self._connected(self._writers) as connection:
            async with self._alone(connection):
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self._connected(self._readers) as connection:
            yield connection

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection; raises DatabaseUnavailable when there is none, or it breaks in the block."""
        try:
            async with engine.connect() as connection:
                yield connection
        except (OSError, TimeoutError) as error:
            raise DatabaseUnavailable(self._url, error) from error
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and not _is_gone(error):
                raise
            raise DatabaseUnavailable(self._url, error) from error

    @asynccontextmanager
    async def _alone(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """One transaction under the database's lock."""
        if self._is_postgresql:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})"))
            yield
            await connection.commit()
            return
        # MariaDB's lock belongs to the session, and has to outlive the commit.
        name = f"kilonova.{self._url.database}"
        got = await connection.execute(
            text("SELECT GET_LOCK(:name, :seconds)"), {"name": name, "seconds": LOCK_SECONDS}
        )
        if got.scalar() != 1:
            raise TimeoutError(f"the write lock of {self._url.database} was not free within {LOCK_SECONDS} s")
        try:
            yield
            await connection.commit()
        finally:
            if not connection.closed and not connection.invalidated:
                await connection.rollback()
                await connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
                await connection.commit()

    def run_alone(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Does `work` in one write transaction, before or beside the loop: migrations."""

        async def run() -> ResultT:
            engine = self._make("READ COMMITTED", poolclass=NullPool)
            try:
                async with self._connected(engine) as connection, self._alone(connection):
                    return await connection.run_sync(work)
            finally:
                await engine.dispose()

        # In a thread, because the caller's may have a loop that runs.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(run())).result()

    async def close(self) -> None:
        await self._writers.dispose()
        await self._readers.dispose()
        # A connection that was closed ends in the loop's next turn, which may not come after this.
        await asyncio.sleep(0)


def _is_gone(error: DBAPIError) -> bool:
    """Whether the server could not be reached, is starting or stopping, or takes no more connections."""
    if error.connection_invalidated or isinstance(error.orig, OSError | TimeoutError):
        return True
    arguments: tuple[object, ...] = getattr(error.orig, "args", ())
    if arguments and isinstance(arguments[0], int):
        # MariaDB's number says more than the SQLSTATE that may come with it.
        return arguments[0] in MARIADB_GONE
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(POSTGRESQL_GONE)
