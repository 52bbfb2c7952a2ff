"""The sockets that the APIs are served on."""

import asyncio
import socket

import pytest
from starlette.responses import Response

from kilonova.cli.serving import ApiServer, PortTaken, listen, wait_until_started
from kilonova.kit.http.server import Connections

NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_named_with_what_needs_it() -> None:
    with listen("compute", "127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is needed by the image API"):
            listen("image", "127.0.0.1", port)


async def test_small_answers_are_sent_at_once() -> None:
    listening = listen("compute", "127.0.0.1", 0)
    accepted: list[bool] = []

    async def app(scope: object, receive: object, send: object) -> None:
        for connection in server.server_state.connections:
            accepted.append(bool(connection.transport.get_extra_info("socket").getsockopt(*NODELAY)))  # type: ignore[union-attr]
        await Response("x")(scope, receive, send)  # type: ignore[arg-type]

    server = ApiServer(app, "compute", Connections())
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until_started([server])
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"x")
    writer.close()
    await writer.wait_closed()
    server.should_exit = True
    await serving
    assert accepted == [True]
