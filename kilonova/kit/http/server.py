"""Connections of an API's socket: how many, how long, and how large what comes before a body may be.

uvicorn speaks HTTP; this adds what it leaves open. One ledger serves all sockets of a process, because descriptors are
the process's. A connection that says nothing costs a descriptor only until somebody else needs it: at a limit the one
that has been idle longest makes room, and only when none is idle the newcomer is turned away.
"""

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from kilonova.kit.log import logger

log = logger(__name__)

MAX_DESCRIPTORS = 1 << 20
"""The highest soft limit that is set: some programs started here walk through every descriptor there could be."""
RESERVED_DESCRIPTORS = 256
"""Kept from connections, for databases, files and the programs that are run."""
API_SHARE, GUEST_SHARE = 0.75, 0.25
"""How the rest is dealt out: guests that ask for their metadata take nothing from the APIs."""
OUT_OF_DESCRIPTORS = "socket.accept() out of system resource"
"""The context that asyncio gives its exception handler."""
SWEEP_SECONDS = 1.0
COMPLAINT_SECONDS = 60.0
"""Between two lines of the log about refused connections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what a process takes from the network. A number of seconds is one without progress of its kind."""

    connections: int = 0
    """In all; 0: as many as the process may have descriptors, less a reserve."""
    connections_per_address: int = 512
    """0: as many as in all, for a cloud behind a proxy."""
    headers: int = 100
    header_bytes: int = 65_536
    """Of one request: its first line, its headers, or what stands between two pieces of a chunked body."""
    header_seconds: float = 30.0
    """From a connection's or a request's first byte to the end of its headers."""
    body_seconds: float = 60.0
    keep_alive_seconds: float = 75.0
    """Longer than what clients and proxies keep a connection for, so that they close first."""
    answer_seconds: float = 120.0
    """Without the other side taking a byte of an answer."""


def raise_descriptor_limit() -> int:
    """Raises the soft limit of open descriptors to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


class Connections:
    """The ledger of a process's connections, whatever socket they came in by."""

    def __init__(self, limits: Limits | None = None, share: float = API_SHARE) -> None:
        self.limits = limits or Limits()
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        possible = max(int((descriptors - min(RESERVED_DESCRIPTORS, descriptors // 2)) * share), 1)
        self.most = min(self.limits.connections or possible, possible)
        # One address never has all, however few there are.
        per_address = self.limits.connections_per_address
        self.most_per_address = min(per_address, max(self.most // 2, 1)) if per_address else self.most
        self._held: dict[asyncio.BaseProtocol, str] = {}
        self._by_address: Counter[str] = Counter()
        self._sweep: asyncio.TimerHandle | None = None
        self._refused = 0
        self._complained_at = float("-inf")

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, connection: asyncio.BaseProtocol, address: str) -> bool:
        """Enters a new connection, closing an idle one where there are as many as may be; False: there is no room."""
        if self._by_address[address] >= self.most_per_address and not self._make_room(address):
            return self._refuse("one address has as many connections as it may", address)
        if len(self._held) >= self.most and not self._make_room(None):
            return self._refuse("there are as many connections as there may be", address)
        self._held[connection] = address
        self._by_address[address] += 1
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look)
        return True

    def release(self, connection: asyncio.BaseProtocol) -> None:
        """Safe to repeat."""
        address = self._held.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _make_room(self, address: str | None) -> bool:
        """Closes the connection that has been idle longest, of one address or of all."""
        idle = [
            each
            for each, owner in self._held.items()
            if isinstance(each, LimitedHttpProtocol) and each.is_idle and address in (None, owner)
        ]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each.since)
        longest.transport.abort()
        self.release(longest)
        return True

    def _refuse(self, why: str, address: str) -> bool:
        # One line a minute, with their number: whoever floods a cloud must not fill its disk with lines.
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            log.warning("connections are refused", reason=why, address=address, refused=self._refused)
            self._complained_at, self._refused = now, 0
        return False

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(SWEEP_SECONDS, self._look) if self._held else None
        now = loop.time()
        for each in list(self._held):
            if isinstance(each, LimitedHttpProtocol):
                each.close_if_overdue(now)


class LimitedHttpProtocol(HttpToolsProtocol):
    """One HTTP connection, held to the limits of its ledger."""

    def __init__(
        self, ledger: Connections, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self.ledger = ledger
        self.limits = ledger.limits
        self.since = self.loop.time()
        """When what it waits for began; of a body, when bytes came last."""
        self._in_headers = False
        self._has_begun = False
        self._unread_bytes = 0
        """Bytes since the request's headers or a piece of its body were complete."""
        self._header_bytes = 0
        self._excess = False
        self._stuck: tuple[int, float] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way: none has begun, or the answer of the last one is sent."""
        if self._in_headers or self.transport.get_write_buffer_size():
            return False
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        peer = transport.get_extra_info("peername")
        if not self.ledger.admit(self, str(peer[0]) if isinstance(peer, tuple) else ""):
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ledger.release(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        # The WebSocket's own protocol enters the ledger in its place.
        self.ledger.release(self)
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        self.since = self.loop.time() if not self._in_headers else self.since
        self._unread_bytes += len(data)
        self._has_begun = True
        super().data_received(data)
        if self._unread_bytes > self.limits.header_bytes and not self.transport.is_closing():
            self._excess = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        self.since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._measure(len(name) + len(value) + 4)
        if len(self.headers) >= self.limits.headers:
            self._measure(self.limits.header_bytes)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._unread_bytes = 0
        self.since = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def _measure(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.limits.header_bytes:
            self._excess = True
            raise _Excess

    def send_400_response(self, msg: str) -> None:
        if not self._excess:
            super().send_400_response(msg)
            return
        sentence = (
            f"A request has at most {self.limits.headers} headers, "
            f"and {self.limits.header_bytes} bytes before and between the pieces of its body.\n"
        ).encode()
        head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(sentence)
        # Without a status of its own for the request's answer: an answer that has begun only breaks off.
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(STATUS_LINE[431] + head + sentence)
        self.transport.close()

    def close_if_overdue(self, now: float) -> None:
        """Ends a connection that waits for something that does not come."""
        # First, and in every state: an answer may be complete here and closed, and still not be taken over there.
        self._abort_if_stuck(now)
        if self._in_headers or not self._has_begun:
            if now - self.since > self.limits.header_seconds:
                self.transport.abort()
        elif self.cycle is not None and not self.cycle.response_complete:
            if self.flow.read_paused or not self.cycle.more_body:
                self.since = now
            elif now - self.since > self.limits.body_seconds:
                self.transport.abort()

    def _abort_if_stuck(self, now: float) -> None:
        left = self.transport.get_write_buffer_size()
        if not left:
            self._stuck = None
        elif self._stuck is None or self._stuck[0] != left:
            self._stuck = (left, now)
        elif now - self._stuck[1] > self.limits.answer_seconds:
            self.transport.abort()


class _Excess(Exception):
    """Breaks off the parser: httptools passes it on as an error of its own."""


class LimitedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket, counted among the connections of its ledger for as long as it is open."""

    def __init__(
        self, ledger: Connections, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self.ledger = ledger

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        peer = transport.get_extra_info("peername")
        self.ledger.admit(self, str(peer[0]) if isinstance(peer, tuple) else "")
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ledger.release(self)
        super().connection_lost(exc)


def protocols(ledger: Connections) -> tuple[type[HttpToolsProtocol], type[WebSocketsSansIOProtocol]]:
    """The two protocols for uvicorn's configuration, which makes them by itself with three arguments."""

    class Http(LimitedHttpProtocol):
        def __init__(
            self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None
        ) -> None:
            super().__init__(ledger, config, server_state, app_state)

    class WebSocket(LimitedWebSocketProtocol):
        def __init__(
            self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None
        ) -> None:
            super().__init__(ledger, config, server_state, app_state)

    return Http, WebSocket


def complain_once(loop: asyncio.AbstractEventLoop) -> None:
    """Lets the loop say once a minute what it would say with each connection it cannot accept."""
    complained_at = float("-inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal complained_at
        if context.get("message") != OUT_OF_DESCRIPTORS:
            loop.default_exception_handler(context)
        elif loop.time() - complained_at >= COMPLAINT_SECONDS:
            complained_at = loop.time()
            log.error("no connection can be accepted", reason=str(context.get("exception", OUT_OF_DESCRIPTORS)))

    loop.set_exception_handler(handle)
