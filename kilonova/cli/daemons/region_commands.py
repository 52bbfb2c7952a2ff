"""What commands of `nova-manage` stand on: the region, and the cells as they are needed."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.manage import Act
from kilonova.cli.daemons.refusals import check_schema
from kilonova.cli.daemons.region import SYNC, fill, naming, region_database, section_of_region
from kilonova.cli.daemons.schemas import migrations_of
from kilonova.compute.region import mappings
from kilonova.compute.region.directory import is_here
from kilonova.compute.tables import CellMapping, metadata
from kilonova.compute.transactions import region_reading
from kilonova.kit.db import Database

MIGRATIONS = migrations_of("compute")


class Refused(Exception):
    """What cannot be done as asked: a sentence for standard output, and the exit code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass
class Region:
    """The API database, and the cells' databases as they are needed."""

    config: Any
    database: Database
    stack: AsyncExitStack

    async def cell(self, cell_id: str, code: int = 1) -> CellMapping:
        """Raises Refused."""
        async with region_reading(self.database) as tx:
            for each in await mappings.list_cells(tx):
                if each.id == cell_id:
                    return each
        raise Refused(code, f"Cell with uuid {cell_id} was not found.")

    def open(self, cell: CellMapping) -> Database:
        """A cell's database, its schema checked. Raises ConfigError, NotReady."""
        if is_here(self.filled(cell), self.database):
            return self.database
        database = Database(self.filled(cell).database_connection, metadata)
        self.stack.push_async_callback(database.close)
        with naming(f"cell {cell.name}"):
            check_schema(database, MIGRATIONS, "compute", SYNC["database"])
        return database

    def filled(self, cell: CellMapping) -> CellMapping:
        return structs.replace(
            cell, database_connection=fill(cell.database_connection, self.config.database.connection)
        )


Work = Callable[[Region, Any], Coroutine[Any, Any, int | None]]


def command(
    name: str,
    work: Work,
    *options: str,
    words: Sequence[str] = (),
    flags: Sequence[str] = (),
    required: Sequence[str] = (),
) -> Act:
    """Returns a command on the API database, whose schema has to be there. `words`: what stands without a name."""
    parser = argparse.ArgumentParser(prog=f"nova-manage {name}")
    for each in words:
        parser.add_argument(each)
    for each in options:
        parser.add_argument(each, required=each in required, default=None, type=str)
    for each in flags:
        parser.add_argument(each, action="store_true")

    def act(found: Read, given: Sequence[str]) -> int:
        asked = parser.parse_args(list(given))
        section = section_of_region(found.config)
        database = region_database(found.config)
        with naming(section):
            check_schema(database, MIGRATIONS, "compute", SYNC[section])

        async def run() -> int:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(database.close)
                try:
                    return await work(Region(found.config, database, stack), asked) or 0
                except Refused as refused:
                    print(refused)
                    return refused.code

        return asyncio.run(run())

    return act
