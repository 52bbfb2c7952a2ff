"""What strangers may do to a socket of an API: over real connections, with limits small enough to reach."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.server import ServerState

from kilonova.kit.http import server as server_module
from kilonova.kit.http.server import Connections, Limits, complain_once, protocols

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with how many bytes the body had; /large with 64 MiB."""
    if scope["path"] == "/large":
        await Response(b"x" * (64 << 20))(scope, receive, send)
        return
    size = sum([len(chunk) async for chunk in Request(scope, receive).stream()])
    await Response(f"read {size}")(scope, receive, send)


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[tuple[Connections, Callable[[], Any]]]:
    ledger = Connections(limits)
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", proxy_headers=False)
    config.load()
    http, _ = protocols(ledger)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: http(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Stream:
        reader, writer = await asyncio.open_connection(*address)
        opened.append(writer)
        return reader, writer

    try:
        yield ledger, connect
    finally:
        for each in opened:
            each.transport.abort()
        server.close()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SWEEP_SECONDS", 0.02)


async def said(stream: Stream, sent: bytes) -> bytes:
    reader, writer = stream
    writer.write(sent)
    return await asyncio.wait_for(reader.read(200), 5)


async def ends(stream: Stream) -> bool:
    """Whether the other side closes it, whatever it said before."""
    try:
        while await asyncio.wait_for(stream[0].read(65536), 5):
            pass
    except ConnectionError:
        pass
    return True


async def flood(stream: Stream, first: bytes, piece: bytes) -> bytes:
    """Sends `piece` without end, until the other side answers or closes; returns its answer."""
    reader, writer = stream
    writer.write(first)
    try:
        async with asyncio.timeout(10):
            for _ in range(100_000):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
                if writer.transport.is_closing() or reader.at_eof():
                    break
    except ConnectionError:
        pass
    else:
        assert reader.at_eof() or writer.transport.is_closing(), "all of it was taken"
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""


async def test_an_ordinary_request_is_answered_and_the_connection_kept() -> None:
    async with serving(Limits()) as (ledger, connect):
        stream = await connect()
        assert (await said(stream, GET)).endswith(b"read 0")
        assert (await said(stream, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")).endswith(b"read 3")
        assert len(ledger) == 1


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"GET / HTTP/1.1\r\n", b"X-Many: 1\r\n"),
        (b"GET / HTTP/1.1\r\nX-Long: ", b"x" * 4096),
        (b"GET / HTTP/1.1\r\nX-", b"n" * 4096),
        (b"GET /", b"p" * 4096),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"e" * 4096),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: ", b"t" * 4096),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-Trailer: t\r\n"),
    ],
    ids=["many headers", "a long value", "a long name", "a long path", "chunk extension", "trailer", "trailers"],
)
async def test_headers_without_end_are_not_kept_in_memory(first: bytes, piece: bytes) -> None:
    async with serving(Limits(header_bytes=16_384)) as (ledger, connect):
        answer = await flood(await connect(), first, piece)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 200")), answer
        await asyncio.sleep(0.05)
        assert len(ledger) == 0


async def test_too_many_headers_at_once_are_refused_with_a_sentence() -> None:
    async with serving(Limits()) as (_ledger, connect):
        answer = await said(await connect(), b"GET / HTTP/1.1\r\n" + b"X-Many: 1\r\n" * 101 + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 431")
        assert b"at most 100 headers" in answer


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nX-", GET + b"GET /"], ids=["nothing", "half", "half of two"])
async def test_headers_that_do_not_come_are_given_up(sent: bytes) -> None:
    async with serving(Limits(header_seconds=0.1)) as (_ledger, connect):
        stream = await connect()
        stream[1].write(sent)
        assert await ends(stream)


async def test_dripping_headers_win_no_time() -> None:
    async with serving(Limits(header_seconds=0.2)) as (ledger, connect):
        _reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(100):
            writer.write(b"x")
            await asyncio.sleep(0.02)
            if not len(ledger):
                return
        pytest.fail("a byte now and then kept the connection")


async def test_a_body_that_comes_to_a_halt_is_given_up() -> None:
    async with serving(Limits(body_seconds=0.1)) as (_ledger, connect):
        stream = await connect()
        stream[1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert await ends(stream)


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async with serving(Limits(answer_seconds=0.1)) as (ledger, connect):
        reader, writer = await connect()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            await asyncio.sleep(0.02)
            if not len(ledger):
                return
        pytest.fail("the answer is still held")


async def test_idle_connections_make_room_for_others() -> None:
    async with serving(Limits(connections=4, connections_per_address=0)) as (ledger, connect):
        silent = [await connect() for _ in range(3)]
        used = await connect()
        assert (await said(used, GET)).endswith(b"read 0")
        for _ in range(10):
            assert (await said(await connect(), GET)).endswith(b"read 0")
        assert len(ledger) == 4
        assert all([await ends(each) for each in silent])


async def test_one_address_has_no_more_than_its_share() -> None:
    async with serving(Limits(connections=8, connections_per_address=2)) as (ledger, connect):
        for _ in range(6):
            await connect()
            await asyncio.sleep(0.01)
        assert len(ledger) == 2


async def test_who_is_under_way_is_not_pushed_out_and_the_log_stays_short(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Limits(connections=2, connections_per_address=0)) as (ledger, connect):
        busy = [await connect() for _ in range(2)]
        for _reader, writer in busy:
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        await asyncio.sleep(0.05)
        for _ in range(50):
            assert await ends(await connect())
        for stream in busy:
            assert (await said(stream, b"defghij")).endswith(b"read 10")
        assert len([each for each in caplog.records if "connections are refused" in each.getMessage()]) == 1
        assert len(ledger) == 2


@pytest.mark.parametrize(
    "sent", [b"\xff\xfe\x00\x01\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX\xff: 1\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_and_fills_no_log(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Limits()) as (_ledger, connect):
        answer = await said(await connect(), sent)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 200"))
    assert not [each for each in caplog.records if each.levelname in ("ERROR", "CRITICAL")]


def test_connections_leave_descriptors_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    assert Connections(Limits()).most == 576
    assert Connections(Limits()).most_per_address == 288
    assert Connections(Limits(connections=10)).most == 10
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (64, 64))
    assert 1 <= Connections(Limits()).most < 64


def test_the_soft_limit_of_descriptors_becomes_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))
    assert server_module.raise_descriptor_limit() == 4096
    assert asked == [(4096, 4096)]


async def test_accepting_without_descriptors_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    complain_once(loop)
    try:
        for _ in range(1000):
            loop.call_exception_handler(
                {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many open files")}
            )
    finally:
        loop.set_exception_handler(before)
    assert len(caplog.records) == 1
