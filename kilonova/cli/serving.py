"""Opening an API's socket, and serving on it with uvicorn."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kilonova.kit.http.server import Connections, Limits, protocols

MOST_MESSAGE_BYTES = 1 << 20
"""Of a WebSocket: a client sends keys, a pointer's moves, and what was pasted."""

NEW_OBJECTS = 10_000
"""After so many garbage is looked for. With Python's 700 a busy cloud spends a tenth of its time on that, and holds the
loop for some 90 ms whenever all objects are looked at."""

BACKLOG = 1024
"""Connections that wait to be accepted."""


def limits_of(config: Any) -> Limits:
    """The limits that `[wsgi]` sets."""
    return Limits(
        connections=config.wsgi.max_connections,
        connections_per_address=config.wsgi.max_connections_per_address,
        header_bytes=config.wsgi.max_header_bytes,
        header_seconds=config.wsgi.header_timeout,
        body_seconds=config.wsgi.client_socket_timeout,
        keep_alive_seconds=config.wsgi.keep_alive_timeout,
    )


def proxies_of(config: Any) -> Sequence[str]:
    """The addresses whose forwarded headers `[oslo_middleware]` lets be believed."""
    proxies: Sequence[str] = config.oslo_middleware.trusted_proxies
    return proxies if config.oslo_middleware.enable_proxy_headers_parsing else ()


class PortTaken(Exception):
    """A port of an API is in use: the message names it and the service it is for."""


def listen(name: str, address: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket for an API; `shared` with processes of the same user that ask for it too. Raises PortTaken."""
    # The protocol is named because asyncio sends small pieces at once only where it is: else an answer's body
    # waits 40 ms behind its head, for the client to acknowledge that.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise PortTaken(
            f"port {port} on {address} is needed by the {name} API and cannot be had ({error.strerror}): "
            f"stop what uses it (`ss -ltnp sport = :{port}` shows it)"
        ) from error
    listening.set_inheritable(False)
    return listening


class ApiServer(uvicorn.Server):
    """Signals belong to the process, not to any one of its servers; so do the connections in the ledger.

    `trusted_proxies`: addresses whose X-Forwarded-Proto and X-Forwarded-For are believed.
    """

    def __init__(
        self,
        app: ASGIApp,
        name: str,
        ledger: Connections,
        *,
        takes_websockets: bool = False,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        http, websocket = protocols(ledger)
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                http=http,
                ws=websocket if takes_websockets else "none",
                backlog=BACKLOG,
                timeout_keep_alive=round(ledger.limits.keep_alive_seconds),
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                ws_max_size=MOST_MESSAGE_BYTES,
                # A screen's bytes are compressed by its own protocol.
                ws_per_message_deflate=False,
                # It writes the URL of each WebSocket, with the token in it, at INFO.
                # And a line for each request that is not HTTP, as a warning: strangers could fill a disk with them.
                log_level="error",
                timeout_graceful_shutdown=3,
            )
        )
        self.name = name

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def wait_until_started(servers: Sequence[ApiServer]) -> None:
    """Returns when every API answers; the process is complete then."""
    while not all(each.started for each in servers):  # noqa: ASYNC110 - uvicorn tells it by a flag only
        await asyncio.sleep(0.01)
    # What is there now stays. A collection that looks at all of it again holds the loop for tens of milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def name_identity(app: ASGIApp, url: str) -> ASGIApp:
    """Tells callers that are refused for want of a token where to get one (RFC 9110, WWW-Authenticate)."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.UNAUTHORIZED:
                MutableHeaders(scope=message)["www-authenticate"] = f'Keystone uri="{url}"'
            await send(message)

        await app(scope, receive, send_named)

    return named
