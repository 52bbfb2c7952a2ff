"""The ground of a daemon: what its configuration files name."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx

from kilonova.cli.daemons.broker import host_name, open_bus, transport_url
from kilonova.cli.daemons.files import Read
from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.kit.bus import Bus, InProcessBus
from kilonova.kit.http.client import RemoteService

if TYPE_CHECKING:
    from kilonova.cli.daemons.region import CellOpener
    from kilonova.cli.grounds.neighbours import Neighbours
    from kilonova.compute.service import Cell, Region
    from kilonova.kit.db import Database
    from kilonova.kit.http.tokens import TokenVerifier


class FilesGround(Ground):
    """Opens what a part asks for when it asks; `closing` closes it. Network agents load nothing of databases."""

    def __init__(self, found: Read) -> None:
        super().__init__()
        self.config = found.config
        self.closing = AsyncExitStack()
        self._found = found
        self._checks: list[Callable[[], Awaitable[None]]] = []
        self._bus: Bus | None = None
        self._neighbours: Neighbours | None = None
        self._opener: CellOpener | None = None

    async def check(self) -> None:
        """Looks, before anything is served, whether identity knows the users of the file.

        Raises ConfigError, NotReady. An identity that does not answer yet is waited for later.
        """
        for each in self._checks:
            await each()

    @property
    def hosts(self) -> Sequence[str]:
        return [host_name(self.config)]

    async def database(self, schema: Schema) -> "Database":
        from kilonova.cli.daemons.region import open_region_database
        from kilonova.cli.daemons.schemas import name_placement_database, open_database

        if schema.service == "compute":
            return open_region_database(self.config, self.closing)
        config = name_placement_database(self._found) if schema.service == "placement" else self.config
        database = open_database(config, schema.service, schema.metadata, schema.sync_command)
        self.closing.push_async_callback(database.close)
        return database

    async def bus(self, *, is_needed: bool = True) -> Bus:
        if self._bus is None:
            has_broker = bool(transport_url(self.config))
            self._bus = await open_bus(self.config) if is_needed or has_broker else InProcessBus()
            self.closing.push_async_callback(self._bus.close)
        return self._bus

    @property
    def neighbours(self) -> "Neighbours":
        """Raises ConfigError."""
        from kilonova.cli.grounds.neighbours import Neighbours

        if self._neighbours is None:
            self._neighbours = Neighbours(self.config.keystone_authtoken)
            self.closing.push_async_callback(self._neighbours.close)
            self._checks.append(self._neighbours.check)
        return self._neighbours

    async def verifier(self) -> "TokenVerifier":
        return self.neighbours.verifier(await self.bus(is_needed=False))

    def remote(
        self, service_type: str, *, section: str = "", url: str | None = None, streams: bool = False
    ) -> RemoteService:
        return self.neighbours.remote(service_type, url, self.config[section] if section else None)

    def require_placement(self) -> None:
        from kilonova.cli.daemons.refusals import require_placement

        require_placement(self.config)

    def transport(self, api: str) -> httpx.AsyncBaseTransport | None:
        return None

    async def open_cells(self, region: "Region") -> None:
        await self._cells(region)

    async def own_cell(self, region: "Region") -> "Cell":
        from kilonova.cli.daemons.region import open_own_cell

        return await open_own_cell(self.config, self.closing, await self._cells(region), region)

    async def _cells(self, region: "Region") -> "CellOpener":
        from kilonova.cli.daemons.region import open_cells

        return await self.shared("cells", functools.partial(open_cells, self.config, self.closing, region))
