"""A console proxy: serves the pages, and carries bytes between their WebSockets and the guests.

The rule: a token is followed when a connection comes, and again when the guest has been reached. A port that was
another guest's between the two questions is left again before a byte has passed.
"""

import asyncio
import socket
import time
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from kilonova.compute.agent.spec import ConsoleKind
from kilonova.compute.consoles import console_tokens, remote_consoles
from kilonova.compute.consoles.console_proxy.handshake import Refused, check_origin, check_scheme, token_of
from kilonova.compute.consoles.console_proxy.pages import make_pages
from kilonova.compute.consoles.console_proxy.relay import PIECE_BYTES, Counts, relay
from kilonova.compute.consoles.remote_consoles import Place
from kilonova.compute.service import Region
from kilonova.compute.tables import ConsoleToken
from kilonova.kit.errors import Fault
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC
from kilonova.kit.log import logger

log = logger(__name__)

CONNECT_SECONDS = 10.0
SUBPROTOCOL = "binary"
NOT_ALLOWED = 1008
"""Before the handshake is done, a browser sees 403 instead."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is particular to one of the proxies."""

    console: ConsoleKind
    directory: Path | None
    """Of its pages."""
    package: str
    """Debian's, that has them."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)


NOVNC = Kind(
    "vnc",
    Path("/usr/share/novnc"),
    "novnc",
    # The page of this name that connects by itself was renamed; what has the name since waits for a click.
    {"/vnc_auto.html": "/vnc_lite.html"},
)
SPICE = Kind("spice", Path("/usr/share/spice-html5"), "spice-html5")
SERIAL = Kind("serial", None, "")


def make_app(region: Region, kind: Kind, *, allowed_origins: Collection[str] = (), web: Path | None = None) -> ASGIApp:
    """`compute`: the service on the API database; `web`: a directory of pages other than the kind's own."""
    pages = make_pages(web or kind.directory, kind.package, kind.stand_ins)
    sessions = Sessions(region)
    region.bus.subscribe(REVOCATIONS_TOPIC, sessions.end)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await pages(scope, receive, send)
            return
        websocket = WebSocket(scope, receive, send)
        try:
            place, reader, writer = await _let_in(websocket, region, kind.console, allowed_origins)
        except Refused as refusal:
            log.warning("a console was not opened", client=_client(websocket), reason=str(refusal))
            await websocket.close(NOT_ALLOWED)
            return
        await _connect(websocket, place, reader, writer, sessions)

    return serve


class Sessions:
    """The consoles that are open through this proxy, and how they end before their users close them."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._open: dict[asyncio.Task[Counts], ConsoleToken] = {}

    async def carry(self, token: ConsoleToken, work: Coroutine[Any, Any, Counts]) -> Counts | None:
        """Runs `work` and returns its byte counts, or None when a revocation ended the session."""
        task = asyncio.create_task(work)
        self._open[task] = token
        try:
            await asyncio.wait([task])
        finally:
            del self._open[task]
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    async def end(self, event: Mapping[str, str]) -> None:
        """Handles a revocation event: a console lives no longer than the user, project or token it was opened by."""
        try:
            async with self._region.transaction() as tx:
                await console_tokens.revoke(tx, event)
        except (Fault, SQLAlchemyError) as error:
            # Those that are open end all the same; the others end by their time.
            log.warning("console tokens were not revoked", reason=type(error).__name__)
        for task, token in list(self._open.items()):
            if console_tokens.is_concerned(token, event):
                task.cancel()


Reached = tuple[Place, asyncio.StreamReader, asyncio.StreamWriter]


async def _let_in(websocket: WebSocket, region: Region, kind: ConsoleKind, allowed_origins: Collection[str]) -> Reached:
    """Raises Refused."""
    # The first message of every WebSocket; it says nothing.
    await websocket.receive()
    check_origin(websocket.headers, allowed_origins)
    offered = websocket.scope.get("subprotocols") or [SUBPROTOCOL]
    if SUBPROTOCOL not in offered:
        raise Refused(f"it speaks {', '.join(offered)}, and not {SUBPROTOCOL}")
    token = token_of(websocket.url.query, websocket.headers)
    if not token:
        raise Refused("it brings no token")
    try:
        place = await remote_consoles.follow(region, token, kind)
        check_scheme(websocket.headers, place.address.base_url)
        reader, writer = await _reach(place)
        try:
            if not await remote_consoles.leads_there_still(place):
                raise Refused(f"the guest of server {place.server.id} has just been started anew: try again")
        except BaseException:
            writer.transport.abort()
            raise
    except Fault as fault:
        raise Refused(fault.message) from fault
    except SQLAlchemyError as error:
        raise Refused(f"the token cannot be looked up: {type(error).__name__}") from error
    return place, reader, writer


async def _reach(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises Refused."""
    host, port = place.address.host, place.address.port
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, limit=PIECE_BYTES)
    except OSError as error:
        raise Refused(f"server {place.server.id} cannot be reached at {host}:{port}: {error or 'no answer'}") from error
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return reader, writer


async def _connect(
    websocket: WebSocket,
    place: Place,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    sessions: "Sessions",
) -> None:
    began, server_id = time.monotonic(), place.server.id
    asked = bool(websocket.scope.get("subprotocols"))
    try:
        await websocket.accept(SUBPROTOCOL if asked else None)
    except BaseException:
        writer.transport.abort()
        raise
    log.info("a console is open", kind=place.kind, server=server_id, client=_client(websocket))
    counts = await sessions.carry(place.token, relay(websocket, reader, writer))
    if counts is None:
        log.info("a console ended with what it was opened by", kind=place.kind, server=server_id)
        return
    log.info(
        "a console is closed",
        kind=place.kind,
        server=server_id,
        seconds=round(time.monotonic() - began, 1),
        to_guest_bytes=counts.to_guest_bytes,
        from_guest_bytes=counts.from_guest_bytes,
    )


def _client(websocket: WebSocket) -> str:
    return websocket.client.host if websocket.client is not None else "unknown"
