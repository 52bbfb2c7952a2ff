"""The region and its cells, opened for commands of `nova-manage` as they are needed."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.refusals import check_schema, require_placement
from kilonova.cli.daemons.region import SYNC, database_of, fill, naming, region_database, section_of_region
from kilonova.cli.daemons.schemas import migrations_of
from kilonova.cli.grounds.neighbours import Neighbours
from kilonova.compute.region import mappings
from kilonova.compute.region.directory import is_here, same_database
from kilonova.compute.tables import CellMapping, Server, metadata, servers
from kilonova.compute.transactions import cell_reading, region_reading
from kilonova.kit.db import Database
from kilonova.placement.client import PlacementClient

MIGRATIONS = migrations_of("compute")
LONGEST_NUMBER = 9


class Refused(Exception):
    """A refusal: a sentence for standard output, and the exit code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass
class Region:
    """The API database, and the cells' databases as they are needed."""

    config: Any
    database: Database
    stack: AsyncExitStack
    _placement: PlacementClient | None = None

    async def cell(self, cell_id: str, code: int = 1) -> CellMapping:
        """Raises Refused."""
        async with region_reading(self.database) as tx:
            for each in await mappings.list_cells(tx):
                if each.id == cell_id:
                    return each
        raise Refused(code, f"Cell with uuid {cell_id} was not found.")

    @property
    def placement(self) -> PlacementClient:
        """Placement, as the user of [placement]. Raises ConfigError."""
        if self._placement is None:
            require_placement(self.config)
            neighbours = Neighbours(self.config.keystone_authtoken)
            self.stack.push_async_callback(neighbours.close)
            self._placement = PlacementClient(neighbours.remote("placement", group=self.config.placement))
        return self._placement

    async def server(self, server_id: str, code: int) -> tuple[Database, Server]:
        """A server, and the database it is in. Raises Refused."""
        for database in await self.databases(everywhere=True):
            async with cell_reading(database) as tx:
                found = await tx.find(Server, servers, id=server_id)
            if found is not None:
                return database, found
        raise Refused(code, f"There is no server {server_id}.")

    def open(self, cell: CellMapping) -> Database:
        """A cell's database, its schema checked. Raises ConfigError, NotReady."""
        if is_here(self.filled(cell), self.database):
            return self.database
        database = Database(self.filled(cell).database_connection, metadata)
        self.stack.push_async_callback(database.close)
        with naming(f"cell {cell.name}"):
            check_schema(database, MIGRATIONS, "compute", SYNC["database"])
        return database

    async def databases(self, *, everywhere: bool) -> list[Database]:
        """The database of [database], or with `everywhere` the API database and that of each cell."""
        if not everywhere:
            section = "database" if self.config.database.connection else "api_database"
            own = database_of(self.config, section)
            if same_database(own.url, self.database.url):
                return [self.database]
            self.stack.push_async_callback(own.close)
            check_schema(own, MIGRATIONS, "compute", SYNC["database"])
            return [own]
        async with region_reading(self.database) as tx:
            known = await mappings.list_cells(tx)
        beside = [each for each in known if not is_here(self.filled(each), self.database)]
        return [self.database, *(self.open(each) for each in beside)]

    def filled(self, cell: CellMapping) -> CellMapping:
        return structs.replace(
            cell, database_connection=fill(cell.database_connection, self.config.database.connection)
        )


Work = Callable[[Region, Any], Coroutine[Any, Any, int | None]]


def whole(text: str, code: int, option: str, *, least: int = 1) -> int:
    """Raises Refused with the code for what is no whole number of at least `least`."""
    if not text.isdecimal() or len(text) > LONGEST_NUMBER or int(text) < least:
        raise Refused(code, f"{option}: a whole number of at least {least} is needed, got {text!r}.")
    return int(text)


def moment(text: str | None, code: int, option: str) -> datetime | None:
    """Reads a date, or a time of a date, in UTC unless it says otherwise. Raises Refused with the code."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(code, f"{option}: {text!r} is no date such as 2026-01-31 or 2026-01-31T12:00:00.") from None
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


@dataclass
class Command:
    """A command on the API database, whose schema has to be there."""

    parser: argparse.ArgumentParser
    work: Work

    def __call__(self, found: Read, given: Sequence[str]) -> int:
        asked = self.parser.parse_args(list(given))
        section = section_of_region(found.config)
        database = region_database(found.config)
        with naming(section):
            check_schema(database, MIGRATIONS, "compute", SYNC[section])

        async def run() -> int:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(database.close)
                return await self.run(Region(found.config, database, stack), asked)

        return asyncio.run(run())

    async def run(self, region: Region, asked: argparse.Namespace) -> int:
        """Does what was asked; returns the exit code."""
        try:
            return await self.work(region, asked) or 0
        except Refused as refused:
            print(refused)
            return refused.code


def command(
    name: str,
    work: Work,
    *options: str,
    words: Sequence[str] = (),
    flags: Sequence[str] = (),
    required: Sequence[str] = (),
    repeated: Sequence[str] = (),
) -> Command:
    """`words`: what stands without a name; `repeated`: options that are needed once or more."""
    parser = argparse.ArgumentParser(prog=f"nova-manage {name}")
    for each in words:
        parser.add_argument(each)
    for each in options:
        parser.add_argument(each, required=each in required, default=None, type=str)
    for each in repeated:
        parser.add_argument(each, action="append", required=True)
    for each in flags:
        parser.add_argument(each, action="store_true")
    return Command(parser, work)
