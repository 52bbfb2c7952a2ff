"""The interface between a part and what it stands on."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.http.client import RemoteService

if TYPE_CHECKING:
    # An agent stands on a ground too, and loads nothing of databases.
    from sqlalchemy import MetaData

    from kilonova.compute.service import Cell, Region
    from kilonova.kit.db import Database
    from kilonova.kit.http.edge import Authenticator

SharedT = TypeVar("SharedT")


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a service, and the command that an operator brings them up with."""

    service: str
    metadata: "MetaData"
    sync_command: str


class Ground(ABC):
    """Gives a part its options, database, bus and neighbours. Whoever makes a ground closes it.

    `config` holds the part's options, `config.GROUP.NAME`. `is_alone`: no other process has a part of this cloud.
    """

    config: Any
    clock: Clock = SystemClock()
    is_alone = False

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}

    @property
    @abstractmethod
    def hosts(self) -> Sequence[str]:
        """The hosts whose agents run in this process: this one, or as many as are simulated."""

    @abstractmethod
    async def database(self, schema: Schema) -> "Database":
        """A service's database at this release's schema. Raises ConfigError, NotReady."""

    @abstractmethod
    async def bus(self, *, is_needed: bool = True) -> Bus:
        """The way to the other processes.

        A service that does without hears of revocations when a token is next asked about. Raises ConfigError.
        """

    @abstractmethod
    async def verifier(self) -> "Authenticator":
        """Checks callers' tokens at identity, as the part's own user, and hears of revocations."""

    @abstractmethod
    def remote(
        self, service_type: str, *, section: str = "", url: str | None = None, streams: bool = False
    ) -> RemoteService:
        """Another service, at `url` or where the catalog says, as the user of `section` or the part's own.

        `streams`: answers may be too large to be held in memory. Raises ConfigError.
        """

    @abstractmethod
    def require_placement(self) -> None:
        """Raises ConfigError where the configuration does not say as whom placement is called."""

    @abstractmethod
    def transport(self, api: str) -> httpx.AsyncBaseTransport | None:
        """The way to an API that this process serves itself; None where another one does."""

    @abstractmethod
    async def open_cells(self, region: "Region") -> None:
        """Lets the region reach the cells it has apart from its own database."""

    @abstractmethod
    async def own_cell(self, region: "Region") -> "Cell":
        """The service on the cell that this process serves: the region itself where they are one database."""

    async def shared(self, name: str, make: Callable[[], Awaitable[SharedT]]) -> SharedT:
        """Returns the object that all parts of the process share under a name; the first part that asks makes it."""
        if name not in self._shared:
            self._shared[name] = await make()
        found: SharedT = self._shared[name]
        return found

    def is_first(self, name: str) -> bool:
        """Whether this is the first part of the process to ask: what all of them need done is done once."""
        is_first = name not in self._shared
        self._shared[name] = True
        return is_first

    def agent_calls(self, bus: Bus, binary: str) -> AgentCalls:
        return AgentCalls(bus, binary)

    def liveness(self, bus: Bus) -> Liveness:
        return Liveness(bus, self.clock)
