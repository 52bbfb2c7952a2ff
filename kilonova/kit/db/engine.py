"""Databases and transactions: one interface, `transaction()` and `reading()`, on every engine.

SQLite runs inline on the loop: measured, a thread costs five times the statement itself. PostgreSQL and MariaDB run
through their asynchronous drivers. On all three a database has one writer at a time (docs/decisions/0003, 0012): what a
write transaction has read cannot change before it commits.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import URL, ColumnElement, Connection, Executable, FromClause, MetaData, Table, make_url, select

from kilonova.kit.db.prepared import Answer
from kilonova.kit.db.sqlite_engine import SqliteConnection, SqliteEngine
from kilonova.kit.db.statements import bound_by, changing, described, inserting, inserting_new, removing, rows_by
from kilonova.kit.log import logger

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kilonova.kit.db.server_engine import ServerEngine

SERVERS = ("postgresql", "mysql", "mariadb")

Row = TypeVar("Row", bound=msgspec.Struct)
ResultT = TypeVar("ResultT")

Act = Callable[[frozenset[Any]], Awaitable[None]]
"""Done after a commit; it gets what the commit's effect is about."""

log = logger(__name__)


class Tx:
    """One open transaction. Statements run in order; leaving the block commits, an exception rolls back."""

    def __init__(self, connection: "SqliteConnection | AsyncConnection") -> None:
        self._connection = connection
        self.effects: dict[str, set[Hashable]] = {}
        """Effect → what it is about."""

    def after(self, effect: str, *about: Hashable) -> None:
        """Says that the commit has an effect (`Database.on`). Said again, it happens once, about all that was named."""
        self.effects.setdefault(effect, set()).update(about)

    async def _run(self, statement: Executable, values: dict[str, Any] | None = None) -> Answer:
        if isinstance(self._connection, SqliteConnection):
            return self._connection.execute(statement, values)
        return await self._connection.execute(statement, values)

    async def execute(self, statement: Executable, **values: Any) -> int:
        """Runs a statement; returns the number of rows it changed (the answer of a compare-and-set)."""
        return (await self._run(statement, values or None)).rowcount

    # Making a statement takes several times as long as running it. What is asked often is made once, with `bindparam`
    # where it differs, and gets these `values`; where only columns are compared, `find`, `change` and `remove` keep it.

    async def all(self, row_type: type[Row], statement: Executable, **values: Any) -> list[Row]:
        """Every row as `row_type`, whose field names are the selected columns' names."""
        result = await self._run(statement, values)
        names = tuple(result.keys())
        return [row_type(**dict(zip(names, row, strict=True))) for row in result]

    async def first(self, row_type: type[Row], statement: Executable, **values: Any) -> Row | None:
        result = await self._run(statement, values)
        names = tuple(result.keys())
        row = result.first()
        return None if row is None else row_type(**dict(zip(names, row, strict=True)))

    async def find(self, row_type: type[Row], table: FromClause, **by: Any) -> Row | None:
        """The row of `table` whose columns are as `by` says, as `row_type`."""
        return await self.first(row_type, rows_by(table, *described(by)), **bound_by(by))

    async def find_all(self, row_type: type[Row], table: FromClause, **by: Any) -> list[Row]:
        """The rows of `table` whose columns are as `by` says, in no order."""
        return await self.all(row_type, rows_by(table, *described(by)), **bound_by(by))

    async def scalar(self, statement: Executable, **values: Any) -> Any:
        return (await self._run(statement, values)).scalar()

    async def tuples(self, statement: Executable, **values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._run(statement, values)]

    async def insert(self, table: Table, row: msgspec.Struct) -> None:
        await self._run(inserting(table), msgspec.structs.asdict(row))

    async def insert_new(self, table: Table, row: msgspec.Struct) -> bool:
        """Inserts unless a row with one of its unique keys exists; False if so. Never aborts the transaction."""
        statement = inserting_new(table, self._connection.dialect.name)
        return (await self._run(statement, msgspec.structs.asdict(row))).rowcount == 1

    async def change(self, table: Table, by: Mapping[str, Any], **values: Any) -> int:
        """Writes `values`, each a value or an expression, into the rows whose columns are as `by` says; returns the
        number of rows changed (the answer of a compare-and-set).
        """
        if not values:
            raise ValueError(f"nothing to change in {table.name}")
        statement = changing(table, *described(by))
        computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
        if computed:
            statement = statement.values(computed)
        given = {name: value for name, value in values.items() if name not in computed}
        return (await self._run(statement, {**given, **bound_by(by)})).rowcount

    async def remove(self, table: Table, **by: Any) -> int:
        """Deletes the rows whose columns are as `by` says; returns their number."""
        return (await self._run(removing(table, *described(by)), bound_by(by))).rowcount


class Database:
    """One database of one service.

    `url` is SQLAlchemy's: `sqlite:////var/lib/kilonova/identity.db`, `mysql+pymysql://nova:…@controller/nova`,
    `postgresql://…`. Raises ValueError for an engine that is not served.
    """

    def __init__(self, url: str, metadata: MetaData, *, has_ballast: bool = False) -> None:
        """`has_ballast`: room is set aside beside a database of this host, for when its disk is full."""
        self.url = make_url(url)
        self.metadata = metadata
        self._engine = _make_engine(self.url, has_ballast)
        self._acts: dict[str, list[Act]] = {}
        self.writes = 0
        """Write transactions this process has begun: what was read before one may have changed after it."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A write transaction. What it says comes `after` it happens when it is committed."""
        async with self._engine.write() as connection:
            self.writes += 1
            tx = Tx(connection)
            yield tx
        # Again after the commit: a reader in between has seen neither the old state for good nor the new one.
        self.writes += 1
        for effect, about in tx.effects.items():
            for act in self._acts.get(effect, ()):
                await _act(effect, act, frozenset(about))

    def on(self, effect: str, act: Act) -> None:
        """Has `act` done after each commit that has this effect, with what the effect is about."""
        self._acts.setdefault(effect, []).append(act)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """A read of one snapshot. Nothing written in it is kept."""
        async with self._engine.read() as connection:
            yield Tx(connection)

    def run_alone(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Does `work` in one write transaction that waits for everybody and holds the thread: migrations."""
        return self._engine.run_alone(work)

    async def check(self) -> None:
        """Raises when the database cannot be read just now."""
        async with self.reading() as tx:
            await tx.scalar(select(1))

    async def close(self) -> None:
        await self._engine.close()


async def _act(effect: str, act: Act, about: frozenset[Hashable]) -> None:
    try:
        await act(about)
    except Exception:
        # What was committed stands, and its caller has to hear so; whoever was not told looks by himself after a while.
        log.exception("what follows a commit failed", effect=effect)


def _make_engine(url: URL, has_ballast: bool) -> "SqliteEngine | ServerEngine":
    name = url.get_backend_name()
    if name == "sqlite":
        return SqliteEngine(url, has_ballast=has_ballast)
    if name not in SERVERS:
        raise ValueError(f"{name} is not served: use sqlite:///FILE, {', '.join(f'{each}://' for each in SERVERS)}")
    # Seven MiB, most of them SQLAlchemy's ORM, that a cloud on SQLite has no use for.
    from kilonova.kit.db.server_engine import ServerEngine

    return ServerEngine(url)
