"""A region and its cells from nova.conf: [api_database] is the region's, [database] that of the cell of a conductor.

Without [api_database] the one database is both, and cell0, too.
"""

import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from msgspec import structs
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from kilonova.cli.daemons.broker import open_bus_at, transport_url
from kilonova.cli.daemons.not_ready import NotReady
from kilonova.cli.daemons.refusals import check_schema
from kilonova.cli.daemons.schemas import migrations_of
from kilonova.compute.region import mappings
from kilonova.compute.region.directory import CellDown, same_database
from kilonova.compute.region.mappings import CELL0_ID, NO_TRANSPORT
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import CellMapping, metadata
from kilonova.kit.bus import Bus
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database
from kilonova.kit.log import logger

log = logger(__name__)

SYNC = {"api_database": "nova-manage api_db sync", "database": "nova-manage db sync"}
"""Section → what brings its schema up."""


def section_of_region(config: Any) -> str:
    return "api_database" if config.api_database.connection else "database"


def region_database(config: Any) -> Database:
    """Not yet looked into. Raises ConfigError."""
    return database_of(config, section_of_region(config))


def database_of(config: Any, section: str) -> Database:
    """Returns the database without opening it. Raises ConfigError for a URL that is missing or wrong."""
    url = getattr(config, section).connection
    if not url:
        raise ConfigError(f"[{section}] connection is missing: mysql+pymysql://USER:PASSWORD@HOST/NAME")
    try:
        return Database(url, metadata)
    except Exception as error:
        raise ConfigError(f"[{section}] connection: {error}") from error


@contextmanager
def naming(section: str) -> Iterator[None]:
    """What is refused of a database names the section it stands in."""
    try:
        yield
    except (ConfigError, NotReady) as error:
        raise type(error)(str(error).replace("[database]", f"[{section}]")) from error


def open_region_database(config: Any, closing: AsyncExitStack) -> Database:
    """Raises ConfigError, NotReady."""
    section = section_of_region(config)
    database = database_of(config, section)
    with naming(section):
        check_schema(database, migrations_of("compute"), "compute", SYNC[section])
    closing.push_async_callback(database.close)
    return database


def fill(template: str, own: str) -> str:
    """A URL whose parts may be named, as in `{scheme}://{username}:{password}@{hostname}/{path}`: those of this host's
    own URL. Raises ConfigError. Source: the Compute administrator guide, "Template URLs in Cell Mappings".
    """
    if "{" not in template:
        return template
    parts = urlsplit(own.partition(",")[0])
    names = ("scheme", "username", "password", "hostname", "port", "query", "fragment")
    values = {name: getattr(parts, name) or "" for name in names}
    try:
        return template.format(**values, path=parts.path.lstrip("/"))
    except (KeyError, IndexError, ValueError) as error:
        shown = template.partition("@")[2] or template
        raise ConfigError(f"the cell's URL {shown} cannot be filled in: {error}") from error


class CellOpener:
    """Opens the service on a cell's database for this process; what it opens is closed with the daemon."""

    def __init__(self, config: Any, closing: AsyncExitStack, region: Region) -> None:
        self._config = config
        self._closing = closing
        self._region = region
        self._buses: dict[str, Bus] = {transport_url(config): region.bus, "": region.bus, NO_TRANSPORT: region.bus}
        self.own: Cell | None = None
        """The service on [database], where that is a cell's and not the region's."""

    def resolve(self, mapping: CellMapping) -> CellMapping:
        """The mapping with its templates filled in."""
        return structs.replace(
            mapping,
            database_connection=fill(mapping.database_connection, self._config.database.connection),
            transport_url=fill(mapping.transport_url, transport_url(self._config)),
        )

    async def open(self, mapping: CellMapping) -> Cell:
        """Opens a cell. Raises CellDown for a mapping whose URLs are wrong."""
        try:
            if self.own is not None and same_database(make_url(mapping.database_connection), self.own.database.url):
                return self.own
            database = Database(mapping.database_connection, metadata)
            bus = await self._bus(mapping.transport_url)
        except (ArgumentError, ValueError, ConfigError) as error:
            log.error("the URLs of a cell's mapping are wrong", cell=mapping.name, reason=str(error))
            raise CellDown(mapping.name) from error
        self._closing.push_async_callback(database.close)
        return self._region.cell_on(mapping.id, database, bus)

    async def _bus(self, url: str) -> Bus:
        if url not in self._buses:
            bus = await open_bus_at(url, self._config)
            self._closing.push_async_callback(bus.close)
            self._buses[url] = bus
        return self._buses[url]


async def open_cells(config: Any, closing: AsyncExitStack, region: Region) -> CellOpener:
    """Lets the region reach its cells."""
    opener = CellOpener(config, closing, region)
    region.cells.connect = opener.open
    region.cells.resolve = opener.resolve
    if section_of_region(config) == "database":
        await _write_here(region)
    return opener


async def _write_here(region: Region) -> None:
    async with region.reading() as tx:
        known = await mappings.list_cells(tx)
    if not known:
        async with region.transaction() as tx:
            await mappings.ensure_here(tx, region.clock.now())


async def open_own_cell(config: Any, closing: AsyncExitStack, opener: CellOpener, region: Region) -> Cell:
    """The service on [database], which a conductor serves beside the region's.

    Raises ConfigError where it is no cell's, naming what to run first.
    """
    if section_of_region(config) == "database":
        return region.here
    database = database_of(config, "database")
    if same_database(database.url, region.database.url):
        await _write_here(region)
        return region.here
    check_schema(database, migrations_of("compute"), "compute", SYNC["database"])
    closing.push_async_callback(database.close)
    mapping = await _own_mapping(config, opener, region, database.url)
    opener.own = region.cell_on(mapping.id, database, region.bus)
    region.cells.look_again()
    return opener.own


async def _own_mapping(config: Any, opener: CellOpener, region: Region, url: URL) -> CellMapping:
    """A region without any cell gets its first one by itself: there is nothing else that could be meant."""
    async with region.transaction() as tx:
        known = [opener.resolve(each) for each in await mappings.list_cells(tx)]
        for each in known:
            if each.database_connection and same_database(make_url(each.database_connection), url):
                return each
        if any(each.id != CELL0_ID for each in known):
            raise ConfigError(
                f"[database] connection: {url.database} is no cell's database: "
                "run `nova-manage cell_v2 create_cell --name NAME`, or name a cell's database"
            )
        now = region.clock.now()
        mapping = CellMapping(str(uuid.uuid4()), "cell1", transport_url(config), config.database.connection, False, now)
        await mappings.insert_cell(tx, mapping)
    log.warning("this region had no cell: mapped the database of [database] as cell1", cell=mapping.id)
    return mapping
