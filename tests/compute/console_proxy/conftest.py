"""A console proxy on a port of its own, and a host whose consoles are whatever a test serves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from kilonova.cli.serving import ApiServer, wait_until_started
from kilonova.compute.agent.contract import CONSOLE_ADDRESS, ConsoleAddressArguments
from kilonova.compute.agent.spec import ConsoleAddress
from kilonova.compute.consoles import remote_consoles
from kilonova.compute.consoles.console_proxy.app import NOVNC, Kind, make_app
from kilonova.kit.auth import RequestContext
from kilonova.kit.http.server import Connections
from tests.compute.api.conftest import ComputeInProcess
from tests.compute.api.conftest import nova as nova  # the fixture

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Guests:
    """What the agent of node1 answers: server → where its console is."""

    addresses: dict[str, ConsoleAddress] = field(default_factory=dict)
    asked: int = 0
    servers: list[asyncio.Server] = field(default_factory=list)
    on_asked: Callable[[int], None] = lambda _count: None

    async def console_address(self, arguments: ConsoleAddressArguments) -> ConsoleAddress:
        self.asked += 1
        self.on_asked(self.asked)
        return self.addresses[arguments.server_id]

    async def serve(self, server_id: str, guest: Serve, boot: str = "1") -> None:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await guest(reader, writer)
            finally:
                writer.close()

        listening = await asyncio.start_server(run, "127.0.0.1", 0)
        self.servers.append(listening)
        port = listening.sockets[0].getsockname()[1]
        self.addresses[server_id] = ConsoleAddress("127.0.0.1", port, "http://127.0.0.1:6080/vnc_auto.html", boot)


@dataclass
class Proxy:
    nova: ComputeInProcess
    guests: Guests
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def server(self, guest: Serve) -> Any:
        server = await self.nova.insert_server()
        await self.guests.serve(server.id, guest)
        return server

    async def token(self, server: Any, kind: Any = "vnc", ctx: RequestContext | None = None) -> str:
        return (await remote_consoles.open_console(self.nova.service.here, server, kind, ctx)).token

    def connect(self, token: str, **options: Any) -> connect:
        """A WebSocket of a browser's page of this very proxy, unless told otherwise."""
        defaults = {"subprotocols": ["binary"], "origin": self.url, "compression": None, "max_size": None}
        path = f"/?token={token}" if token else "/websockify"
        return connect(f"ws://127.0.0.1:{self.port}{path}", **{**defaults, **options})


async def serve(nova: ComputeInProcess, guests: Guests, kind: Kind, **options: Any) -> AsyncIterator[Proxy]:
    app = make_app(nova.service, kind, allowed_origins=["cloud.example.org"], **options)
    server = ApiServer(app, "console", Connections(), takes_websockets=True)
    server.config.port = 0
    stop = nova.service.bus.serve("nova-compute.node1", dict([CONSOLE_ADDRESS.served_by(guests.console_address)]))
    serving = asyncio.create_task(server.serve())
    await wait_until_started([server])
    yield Proxy(nova, guests, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving
    stop()
    for each in guests.servers:
        each.close()


@pytest.fixture
async def proxy(nova: ComputeInProcess, tmp_path: Path) -> AsyncIterator[Proxy]:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "vnc_lite.html").write_text("<html>noVNC, which connects by itself</html>")
    (pages / "vnc_auto.html").write_text("<html>noVNC with a button</html>")
    (pages / "rfb.js").write_text("export default class RFB {}")
    async for made in serve(nova, Guests(), NOVNC, web=pages):
        yield made


async def read_all(socket: ClientConnection) -> bytes:
    """Everything until the other side closes."""
    return b"".join([each if isinstance(each, bytes) else each.encode() async for each in socket])
