"""The directory of a region's cells: which there are, and the cell on the database of each.

A cell is opened when it is first needed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from sqlalchemy import URL, make_url

from kilonova.compute.region import mappings
from kilonova.compute.region.mappings import CELL0_ID, CELL1_ID
from kilonova.compute.tables import CellMapping
from kilonova.compute.transactions import region_reading
from kilonova.kit.clock import Clock
from kilonova.kit.db import Database
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

log = logger(__name__)

READ_AGAIN_SECONDS = 5.0
"""How old what is known of the mappings may be."""
SPARED_SECONDS = 5.0
"""How long a cell that did not answer is left alone."""


class CellDown(ServiceUnavailable):
    """A cell's database cannot be reached now."""

    def __init__(self, name: str) -> None:
        sentence = f"Cell {name} is not responding and hence instance info is not available."
        super().__init__(sentence, headers={"Retry-After": str(int(SPARED_SECONDS))})


def is_here(mapping: CellMapping, database: Database) -> bool:
    """Whether the cell's database is this one."""
    return not mapping.database_connection or same_database(make_url(mapping.database_connection), database.url)


def same_database(one: URL, other: URL) -> bool:
    """Whether both lead to one database, whoever logs in and by whichever driver."""
    return _place(one) == _place(other)


def _place(url: URL) -> tuple[str, str | None, int | None, str | None]:
    name = url.get_backend_name()
    return "mysql" if name == "mariadb" else name, url.host, url.port, url.database


class Member(Protocol):
    """A cell, as far as the directory knows it."""

    id: str


MemberT = TypeVar("MemberT", bound=Member)


class Directory(Generic[MemberT]):
    """Which cells there are, and the one on the database of each.

    `here` is the cell on the API database, whose id is that of the cell with hosts that is mapped there; `connect`
    makes the others, and is None where there are none. A conductor that has no API database takes its own for it, and
    is a region of one cell to itself.
    """

    def __init__(self, database: Database, here: MemberT, clock: Clock) -> None:
        self.connect: Callable[[CellMapping], Awaitable[MemberT]] | None = None
        self.resolve: Callable[[CellMapping], CellMapping] = lambda mapping: mapping
        """Fills in what a mapping leaves to the host that reads it."""
        self._here = here
        self._database = database
        self._clock = clock
        self._read_at: float | None = None
        self._elsewhere: dict[str, CellMapping] = {}
        self._opened: dict[str, tuple[CellMapping, MemberT]] = {}
        self._opening = asyncio.Lock()
        self._spared: dict[str, float] = {}

    async def elsewhere(self) -> dict[str, CellMapping]:
        """The cells whose database is not the API's, by id. None of them: the region is one database."""
        if self.connect is None:
            return {}
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at > READ_AGAIN_SECONDS:
            async with region_reading(self._database) as tx:
                known = [self.resolve(each) for each in await mappings.list_cells(tx)]
            self._elsewhere = {each.id: each for each in known if not is_here(each, self._database)}
            ours = [each.id for each in known if is_here(each, self._database) and each.id != CELL0_ID]
            self._here.id = ours[0] if ours else CELL1_ID
            self._read_at = now
        return self._elsewhere

    def look_again(self) -> None:
        """Says that the mappings have changed."""
        self._read_at = None

    async def member(self, cell_id: str) -> MemberT:
        """The cell of that id. Raises CellDown for one that is not mapped, or just did not answer."""
        mapping = (await self.elsewhere()).get(cell_id)
        if mapping is None:
            self.look_again()
            mapping = (await self.elsewhere()).get(cell_id)
        if mapping is None and cell_id not in (self._here.id, CELL0_ID):
            raise CellDown(cell_id)
        return self._here if mapping is None else await self._open(mapping)

    async def _open(self, mapping: CellMapping) -> MemberT:
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
        """Leaves a cell that did not answer alone for a while: nobody waits for it."""
        if self._clock.monotonic() >= self._spared.get(mapping.id, 0.0) + SPARED_SECONDS:
            log.warning("a cell does not answer", cell=mapping.name, reason=reason)
        self._spared[mapping.id] = self._clock.monotonic() + SPARED_SECONDS


def _same_place(one: CellMapping, other: CellMapping) -> bool:
    return (one.database_connection, one.transport_url) == (other.database_connection, other.transport_url)
