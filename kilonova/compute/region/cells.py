"""The cells of a region as this process reaches them: which there are, and what is asked of all of them.

Functions here open transactions; what they hand out is of the database that a thing lives in. Where every cell's
database is the API database (`kilonova up`), all of them come down to its plain transactions. The one rule: a
transaction of a cell may be opened inside one of the API database, never the other way round.

Source: the Compute administrator guide, "Cells (v2)" and "Handling cell failures".
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from kilonova.compute.region import mappings
from kilonova.compute.region.mappings import CELL1_ID
from kilonova.compute.tables import CellMapping
from kilonova.kit.clock import Clock
from kilonova.kit.db import Database, Tx
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

if TYPE_CHECKING:
    from kilonova.compute.service import Compute

log = logger(__name__)

READ_AGAIN_SECONDS = 5.0
"""How old what is known of the mappings may be."""
LIMIT_SECONDS = 5.0
"""How long a cell has for its share of an answer."""
SPARED_SECONDS = 5.0
"""How long a cell that did not answer is left alone."""

AnswerT = TypeVar("AnswerT")


class CellDown(ServiceUnavailable):
    """A cell's database cannot be reached now."""

    def __init__(self, name: str) -> None:
        sentence = f"Cell {name} is not responding and hence instance info is not available."
        super().__init__(sentence, headers={"Retry-After": str(int(SPARED_SECONDS))})


def is_here(mapping: CellMapping, database: Database) -> bool:
    """Whether the cell's database is this one."""
    return not mapping.database_connection or same_database(make_url(mapping.database_connection), database.url)


def same_database(one: URL, other: URL) -> bool:
    """Whoever logs in, and by whichever driver."""
    return _place(one) == _place(other)


def _place(url: URL) -> tuple[str, str | None, int | None, str | None]:
    name = url.get_backend_name()
    return "mysql" if name == "mariadb" else name, url.host, url.port, url.database


class Cells:
    """What is known of the region's cells, and the service on the database of each, opened when it is first needed.

    `here` is the service on the API database; `connect` makes the others, and is not there where there are none. A
    conductor that has no API database takes its own for it, and is a region of one cell to itself.
    """

    def __init__(
        self,
        database: Database,
        here: "Compute",
        clock: Clock,
        connect: "Callable[[CellMapping], Awaitable[Compute]] | None" = None,
    ) -> None:
        self.here = here
        self.connect = connect
        self.resolve: Callable[[CellMapping], CellMapping] = lambda mapping: mapping
        """Fills in what a mapping leaves to the host that reads it."""
        self.here_id = CELL1_ID
        """The cell with hosts that is the API database."""
        self._database = database
        self._clock = clock
        self._read_at: float | None = None
        self._elsewhere: dict[str, CellMapping] = {}
        self._opened: dict[str, tuple[CellMapping, Compute]] = {}
        self._opening = asyncio.Lock()
        self._spared: dict[str, float] = {}

    async def elsewhere(self) -> dict[str, CellMapping]:
        """The cells whose database is not the API's, by id. None of them: the region is one database."""
        if self.connect is None:
            return {}
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at > READ_AGAIN_SECONDS:
            async with self._database.reading() as tx:
                found = [self.resolve(each) for each in await mappings.list_cells(tx)]
            self._elsewhere = {each.id: each for each in found if not is_here(each, self._database)}
            ours = [each.id for each in found if is_here(each, self._database) and each.id != mappings.CELL0_ID]
            self.here_id = ours[0] if ours else CELL1_ID
            self._read_at = now
        return self._elsewhere

    def look_again(self) -> None:
        """The mappings have changed."""
        self._read_at = None

    async def member(self, cell_id: str) -> "Compute":
        """The service on a cell's database. Raises CellDown for one that is not mapped, or just did not answer."""
        mapping = (await self.elsewhere()).get(cell_id)
        if mapping is None:
            self.look_again()
            mapping = (await self.elsewhere()).get(cell_id)
        if mapping is None and cell_id not in (self.here_id, mappings.CELL0_ID):
            raise CellDown(cell_id)
        return self.here if mapping is None else await self._open(mapping)

    async def _open(self, mapping: CellMapping) -> "Compute":
        if self._clock.monotonic() < self._spared.get(mapping.id, 0.0):
            raise CellDown(mapping.name)
        async with self._opening:
            known = self._opened.get(mapping.id)
            if known is not None and _same_place(known[0], mapping):
                return known[1]
            if self.connect is None:
                raise CellDown(mapping.name)
            member = await self.connect(mapping)
            self._opened[mapping.id] = mapping, member
            return member

    def spare(self, mapping: CellMapping, reason: str) -> None:
        """It did not answer: nobody waits for it for a while."""
        if self._clock.monotonic() >= self._spared.get(mapping.id, 0.0) + SPARED_SECONDS:
            log.warning("a cell does not answer", cell=mapping.name, reason=reason)
        self._spared[mapping.id] = self._clock.monotonic() + SPARED_SECONDS


def _same_place(one: CellMapping, other: CellMapping) -> bool:
    return (one.database_connection, one.transport_url) == (other.database_connection, other.transport_url)


@dataclass(frozen=True, slots=True)
class Gathered(Generic[AnswerT]):
    """What the cells that answer have said. The API database's own answer comes first."""

    answers: "list[tuple[Compute, AnswerT]]"
    down: list[CellMapping] = field(default_factory=list)

    def values(self) -> list[AnswerT]:
        return [answer for _cell, answer in self.answers]


async def gather(
    compute: "Compute",
    ask: "Callable[[Compute, Tx], Awaitable[AnswerT]]",
    *,
    only: "Callable[[CellMapping], bool] | None" = None,
) -> Gathered[AnswerT]:
    """Asks the API database, then all cells at once. A cell that is down costs its share, not the answer.

    In this order, because a server that is being placed is copied into its cell before it leaves the API database.
    """
    elsewhere = [each for each in (await compute.cells.elsewhere()).values() if only is None or only(each)]
    async with compute.database.reading() as tx:
        here = (compute, await ask(compute, tx))
    if not elsewhere or not compute.is_region:
        return Gathered([here])
    asked = await asyncio.gather(*(_ask_one(compute, each, ask) for each in elsewhere))
    down = [mapping for mapping, answer in zip(elsewhere, asked, strict=True) if answer is None]
    return Gathered([here, *(answer for answer in asked if answer is not None)], down)


async def _ask_one(
    compute: "Compute", mapping: CellMapping, ask: "Callable[[Compute, Tx], Awaitable[AnswerT]]"
) -> "tuple[Compute, AnswerT] | None":
    """None: the cell is down."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            member = await compute.cells.member(mapping.id)
            async with member.database.reading() as tx:
                return member, await ask(member, tx)
    except CellDown:
        return None
    except (ServiceUnavailable, SQLAlchemyError, TimeoutError, OSError) as error:
        compute.cells.spare(mapping, f"{type(error).__name__}: {error}")
        return None


@asynccontextmanager
async def reading(compute: "Compute", server_id: str) -> "AsyncIterator[tuple[Compute, Tx]]":
    """A read of the database the server lives in, and the service on that. Raises CellDown."""
    if not await compute.cells.elsewhere():
        async with compute.database.reading() as tx:
            yield compute, tx
        return
    async with compute.database.reading() as tx:
        cell_id = await mappings.cell_of_server(tx, server_id)
        if await _is_elsewhere(compute, cell_id) is None:
            yield compute, tx
            return
    async with AsyncExitStack() as stack:
        yield await _enter(compute, str(cell_id), stack, writes=False)


@asynccontextmanager
async def writing(compute: "Compute", server_id: str) -> "AsyncIterator[tuple[Compute, Tx]]":
    """A write transaction of the database the server lives in, and the service on that. Raises CellDown."""
    if not await compute.cells.elsewhere():
        async with compute.database.transaction() as tx:
            yield compute, tx
        return
    async with compute.database.reading() as tx:
        cell_id = await mappings.cell_of_server(tx, server_id)
    if await _is_elsewhere(compute, cell_id) is None:
        async with compute.database.transaction() as tx:
            # It may have been placed meanwhile; under the lock it is not.
            cell_id = await mappings.cell_of_server(tx, server_id)
            if await _is_elsewhere(compute, cell_id) is None:
                yield compute, tx
                return
    async with AsyncExitStack() as stack:
        yield await _enter(compute, str(cell_id), stack, writes=True)


async def _is_elsewhere(compute: "Compute", cell_id: str | None) -> CellMapping | None:
    return None if cell_id is None else (await compute.cells.elsewhere()).get(cell_id)


async def _enter(compute: "Compute", cell_id: str, stack: AsyncExitStack, *, writes: bool) -> "tuple[Compute, Tx]":
    mapping = (await compute.cells.elsewhere())[cell_id]
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            member = await compute.cells.member(cell_id)
            opened = member.database.transaction() if writes else member.database.reading()
            return member, await stack.enter_async_context(opened)
    except CellDown:
        raise
    except (ServiceUnavailable, SQLAlchemyError, TimeoutError, OSError) as error:
        compute.cells.spare(mapping, f"{type(error).__name__}: {error}")
        raise CellDown(mapping.name) from error


@asynccontextmanager
async def everywhere(compute: "Compute", tx: Tx) -> AsyncIterator[Sequence[Tx]]:
    """Inside `tx`, of the API database: a write transaction of each cell that answers, with `tx` for those here.

    They commit one after the other, the API database last.
    """
    async with AsyncExitStack() as stack:
        opened = [tx]
        for cell_id in await compute.cells.elsewhere():
            try:
                _member, theirs = await _enter(compute, cell_id, stack, writes=True)
            except CellDown as fault:
                log.warning("a change was not told to a cell", reason=fault.message)
                continue
            opened.append(theirs)
        yield opened


@asynccontextmanager
async def beside(tx: Tx, compute: "Compute", cell: "Compute") -> AsyncIterator[Tx]:
    """Inside `tx`, of the API database: a write transaction of a cell's, which is `tx` itself where they are one."""
    if cell is compute:
        yield tx
        return
    async with cell.database.transaction() as theirs:
        yield theirs


async def home_of(compute: "Compute", server_id: str) -> "Compute":
    """The service on the database the server lives in. Raises CellDown."""
    if not await compute.cells.elsewhere():
        return compute
    async with compute.database.reading() as tx:
        cell_id = await mappings.cell_of_server(tx, server_id)
    return compute if await _is_elsewhere(compute, cell_id) is None else await compute.cells.member(str(cell_id))
