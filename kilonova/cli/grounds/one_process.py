"""The ground of a cloud in one process: every service, agent and runner on one asyncio loop.

Services reach each other through their ASGI apps, not sockets; only what may be too large to be held in memory, image
data, goes over a socket.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import ASGIApp

from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.part import Part, Work
from kilonova.cli.serving import name_identity
from kilonova.compute.region import mappings
from kilonova.compute.service import Cell, Region
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus, InProcessBus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.http.client import RemoteService, ServiceSession
from kilonova.kit.http.edge import Authenticator
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC, TokenVerifier

WANT_TOKENS = ("placement", "image", "network", "compute", "block-storage")
"""The APIs that tell callers without a token where identity is."""
DATA_SECONDS = 60.0


@dataclass
class OneProcess(ABC):
    """Holds what all parts of a cloud share. `add` builds one part after the other, identity first.

    Each service works as the user that is called like its project: nova, neutron, glance, placement, cinder.
    """

    bus: InProcessBus = field(default_factory=InProcessBus)
    clock: Clock = field(default_factory=SystemClock)
    apps: dict[str, ASGIApp] = field(default_factory=dict)
    websockets: set[str] = field(default_factory=set)
    """The names of the apps that take WebSockets."""
    services: dict[str, Any] = field(default_factory=dict)
    """Service type → the service, and what else the parts share."""
    databases: dict[str, Database] = field(default_factory=dict)
    work: list[Work] = field(default_factory=list)
    """Runners, agents and watchers, which run beside the APIs until the cloud stops."""
    identity_url: str = ""
    """URL of identity, told to callers without a token; empty: they are told none."""
    _closing: ExitStack = field(default_factory=ExitStack)

    @property
    @abstractmethod
    def hosts(self) -> Sequence[str]:
        """The hosts whose agents run here."""

    @abstractmethod
    def config_of(self, part: Part) -> Any:
        """A part's options."""

    @abstractmethod
    def open_database(self, schema: Schema) -> Database:
        """A service's database at this release's schema."""

    @abstractmethod
    def session(self, user: str) -> ServiceSession:
        """A service's own user at identity."""

    def verifier(self, user: str) -> Authenticator:
        """Checks tokens at identity as a service's user, and hears of revocations."""
        verifier = TokenVerifier(self.client("identity"), self.session(user))
        self.bus.subscribe(REVOCATIONS_TOPIC, verifier.forget)
        return verifier

    def data_url(self, service_type: str) -> str | None:
        """Where a service's socket is, for what goes over one; None: nothing does."""
        return None

    def agent_calls(self, bus: Bus, binary: str) -> AgentCalls:
        return AgentCalls(bus, binary)

    def liveness(self, bus: Bus) -> Liveness:
        return Liveness(bus, self.clock)

    async def open_cells(self, region: Region) -> None:
        """Maps the one database as a cell, and as cell0."""
        async with region.transaction() as tx:
            await mappings.ensure_here(tx, region.clock.now())

    async def add(self, part: Part) -> None:
        """Builds a part. Raises ConfigError."""
        running = await part.build(PartGround(self, part))
        for each in running.apis:
            is_told = bool(self.identity_url) and each.name in WANT_TOKENS
            self.apps[each.name] = name_identity(each.app, self.identity_url) if is_told else each.app
            if each.takes_websockets:
                self.websockets.add(each.name)
        self.work += running.work
        for end in running.closing:
            self._closing.callback(end)

    def client(self, service_type: str) -> httpx.AsyncClient:
        """Returns a client of an API of this process."""
        return httpx.AsyncClient(transport=self.transport(service_type), base_url=f"http://{service_type}")

    def transport(self, api: str) -> httpx.AsyncBaseTransport:
        """Returns the way to an API, which may be built later: it is looked up at the first call."""
        return _LateTransport(lambda: self.apps[api])

    async def close(self) -> None:
        self._closing.close()
        await self.bus.close()
        for database in self.databases.values():
            await database.close()


class PartGround(Ground):
    """The ground of one part: its own options, and everything else of the process."""

    is_alone = True

    def __init__(self, process: OneProcess, part: Part) -> None:
        super().__init__()
        self.config = process.config_of(part)
        self.clock = process.clock
        self._shared = process.services
        self._process = process
        self._part = part

    @property
    def hosts(self) -> Sequence[str]:
        return self._process.hosts

    async def database(self, schema: Schema) -> Database:
        known = self._process.databases
        if schema.service not in known:
            known[schema.service] = self._process.open_database(schema)
        return known[schema.service]

    async def bus(self, *, is_needed: bool = True) -> Bus:
        return self._process.bus

    async def verifier(self) -> Authenticator:
        return self._process.verifier(self._part.project)

    def remote(
        self, service_type: str, *, section: str = "", url: str | None = None, streams: bool = False
    ) -> RemoteService:
        socket_url = self._process.data_url(service_type) if streams else None
        session = self._process.session(self._part.project)
        if socket_url is not None:
            return RemoteService(service_type, httpx.AsyncClient(base_url=socket_url, timeout=DATA_SECONDS), session)
        # It may be built later than this: it is looked up at each call.
        client, apps = self._process.client(service_type), self._process.apps
        return RemoteService(service_type, client, session, app=lambda: apps[service_type])

    def require_placement(self) -> None:
        """Placement is here."""

    def transport(self, api: str) -> httpx.AsyncBaseTransport | None:
        return self._process.transport(api)

    async def open_cells(self, region: Region) -> None:
        await self._process.open_cells(region)

    async def own_cell(self, region: Region) -> Cell:
        return region.here

    def agent_calls(self, bus: Bus, binary: str) -> AgentCalls:
        return self._process.agent_calls(bus, binary)

    def liveness(self, bus: Bus) -> Liveness:
        return self._process.liveness(bus)


class _LateTransport(httpx.AsyncBaseTransport):
    def __init__(self, find: Callable[[], ASGIApp]) -> None:
        self._find = find
        self._transport: httpx.ASGITransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._transport is None:
            # No address: what services ask each other counts against nobody.
            self._transport = httpx.ASGITransport(app=self._find(), client=("", 0))
        return await self._transport.handle_async_request(request)
