"""Reaching a region's cells: transactions on the database that a thing lives in, and questions to all cells at once.

Where every cell's database is the API database (`kilonova up`), all of them come down to its plain transactions. The
one rule: a transaction of a cell may be opened inside one of the API database, never the other way round.

Source: the Compute administrator guide, "Cells (v2)" and "Handling cell failures".
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from kilonova.compute.region import mappings
from kilonova.compute.region.directory import CellDown
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import CellMapping
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

log = logger(__name__)

LIMIT_SECONDS = 5.0
"""How long a cell has for its share of an answer."""

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Gathered(Generic[AnswerT]):
    """The answers of the cells that gave one. The API database's own comes first."""

    answers: list[tuple[Cell, AnswerT]]
    down: list[CellMapping] = field(default_factory=list)

    def values(self) -> list[AnswerT]:
        return [answer for _cell, answer in self.answers]


async def gather(
    region: Region,
    ask: Callable[[Cell, CellTx], Awaitable[AnswerT]],
    *,
    only: Callable[[CellMapping], bool] | None = None,
) -> Gathered[AnswerT]:
    """Asks the API database, then all cells at once. A cell that is down costs its share, not the answer.

    In this order, because a server that is being placed is copied into its cell before it leaves the API database.
    """
    elsewhere = [each for each in (await region.cells.elsewhere()).values() if only is None or only(each)]
    async with region.reading() as tx:
        here = (region.here, await ask(region.here, region.local(tx)))
    if not elsewhere:
        return Gathered([here])
    asked = await asyncio.gather(*(_ask_one(region, each, ask) for each in elsewhere))
    down = [mapping for mapping, answer in zip(elsewhere, asked, strict=True) if answer is None]
    return Gathered([here, *(answer for answer in asked if answer is not None)], down)


async def _ask_one(
    region: Region, mapping: CellMapping, ask: Callable[[Cell, CellTx], Awaitable[AnswerT]]
) -> tuple[Cell, AnswerT] | None:
    """None: the cell is down."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            member = await region.cells.member(mapping.id)
            async with member.reading() as tx:
                return member, await ask(member, tx)
    except CellDown:
        return None
    except (ServiceUnavailable, SQLAlchemyError, TimeoutError, OSError) as error:
        region.cells.spare(mapping, f"{type(error).__name__}: {error}")
        return None


@asynccontextmanager
async def reading(region: Region, server_id: str) -> AsyncIterator[tuple[Cell, CellTx]]:
    """A read of the database the server lives in, and the service on that. Raises CellDown."""
    if not await region.cells.elsewhere():
        async with region.reading() as tx:
            yield region.here, region.local(tx)
        return
    async with region.reading() as tx:
        cell_id = await mappings.cell_of_server(tx, server_id)
        if await _is_elsewhere(region, cell_id) is None:
            yield region.here, region.local(tx)
            return
    async with AsyncExitStack() as stack:
        yield await _enter(region, str(cell_id), stack, writes=False)


@asynccontextmanager
async def writing(region: Region, server_id: str) -> AsyncIterator[tuple[Cell, CellTx]]:
    """A write transaction of the database the server lives in, and the service on that. Raises CellDown."""
    if not await region.cells.elsewhere():
        async with region.transaction() as tx:
            yield region.here, region.local(tx)
        return
    async with region.reading() as tx:
        cell_id = await mappings.cell_of_server(tx, server_id)
    if await _is_elsewhere(region, cell_id) is None:
        async with region.transaction() as tx:
            # It may have been placed meanwhile; under the lock it is not.
            cell_id = await mappings.cell_of_server(tx, server_id)
            if await _is_elsewhere(region, cell_id) is None:
                yield region.here, region.local(tx)
                return
    async with AsyncExitStack() as stack:
        yield await _enter(region, str(cell_id), stack, writes=True)


async def _is_elsewhere(region: Region, cell_id: str | None) -> CellMapping | None:
    return None if cell_id is None else (await region.cells.elsewhere()).get(cell_id)


async def _enter(region: Region, cell_id: str, stack: AsyncExitStack, *, writes: bool) -> tuple[Cell, CellTx]:
    mapping = (await region.cells.elsewhere())[cell_id]
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            member = await region.cells.member(cell_id)
            opened = member.transaction() if writes else member.reading()
            return member, await stack.enter_async_context(opened)
    except CellDown:
        raise
    except (ServiceUnavailable, SQLAlchemyError, TimeoutError, OSError) as error:
        region.cells.spare(mapping, f"{type(error).__name__}: {error}")
        raise CellDown(mapping.name) from error


@asynccontextmanager
async def everywhere(region: Region, tx: RegionTx) -> AsyncIterator[Sequence[CellTx]]:
    """Inside `tx`, of the API database: a write transaction of each cell that answers, with `tx` for those here.

    They commit one after the other, the API database last.
    """
    async with AsyncExitStack() as stack:
        opened = [region.local(tx)]
        for cell_id in await region.cells.elsewhere():
            try:
                _member, theirs = await _enter(region, cell_id, stack, writes=True)
            except CellDown as fault:
                log.warning("a change was not told to a cell", reason=fault.message)
                continue
            opened.append(theirs)
        yield opened


@asynccontextmanager
async def beside(tx: RegionTx, region: Region, cell: Cell) -> AsyncIterator[CellTx]:
    """Inside `tx`, of the API database: a write transaction of a cell's, which is `tx` itself where they are one."""
    if cell is region.here:
        yield region.local(tx)
        return
    async with cell.transaction() as theirs:
        yield theirs


async def home_of(region: Region, server_id: str) -> Cell:
    """The service on the database the server lives in. Raises CellDown."""
    if not await region.cells.elsewhere():
        return region.here
    async with region.reading() as tx:
        cell_id = await mappings.cell_of_server(tx, server_id)
    return region.here if await _is_elsewhere(region, cell_id) is None else await region.cells.member(str(cell_id))
