"""The proxy between a browser and a guest: bytes, ends, and everybody who is not let in."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kilonova.compute.consoles.console_proxy.app import NOVNC, SERIAL, SPICE, Kind
from kilonova.compute.region import mappings
from kilonova.compute.servers import servers
from tests.compute.console_proxy.conftest import Guests, Proxy, read_all, serve


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"RFB 003.008\n")
    while data := await reader.read(1 << 16):
        writer.write(data.upper())
        await writer.drain()


async def refused(proxy: Proxy, caplog: pytest.LogCaptureFixture, token: str, **options: Any) -> str:
    """The reason in the log for a WebSocket that is not let in."""
    caplog.clear()
    with pytest.raises(InvalidStatus) as refusal:
        async with proxy.connect(token, **options):
            pass
    assert refusal.value.response.status_code == 403
    (record,) = [each for each in caplog.records if each.message == "a console was not opened"]
    assert not token or token not in caplog.text
    return str(record.fields["reason"])  # type: ignore[attr-defined]


async def test_bytes_go_both_ways(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    server = await proxy.server(echo)
    token = await proxy.token(server)
    async with proxy.connect(token) as socket:
        assert socket.subprotocol == "binary"
        assert await socket.recv() == b"RFB 003.008\n"
        await socket.send(b"hello")
        assert await socket.recv() == b"HELLO"
        await socket.send("typed")
        assert await socket.recv() == b"TYPED"
    # SPICE opens a connection for each of its channels.
    async with proxy.connect(token) as one, proxy.connect(token) as other:
        assert await one.recv() == await other.recv() == b"RFB 003.008\n"
    async with asyncio.timeout(5):
        while caplog.text.count("a console is closed") < 3:
            await asyncio.sleep(0.01)
    assert token not in caplog.text
    closed = next(each for each in caplog.records if each.message == "a console is closed")
    fields: Any = closed.fields  # type: ignore[attr-defined]
    assert (fields["server"], fields["to_guest_bytes"], fields["from_guest_bytes"]) == (server.id, 10, 22)


async def test_the_page_of_old_brings_its_token_in_a_cookie(proxy: Proxy) -> None:
    server = await proxy.server(echo)
    token = await proxy.token(server)
    async with httpx.AsyncClient() as browser:
        page = await browser.get(f"{proxy.url}/vnc_auto.html?token={token}")
        assert "connects by itself" in page.text
        cookie = page.headers["set-cookie"].partition(";")[0]
    async with proxy.connect("", additional_headers={"cookie": f"lang=en; {cookie}"}) as socket:
        assert await socket.recv() == b"RFB 003.008\n"


async def test_pages_are_files_of_the_directory_and_nothing_else(proxy: Proxy) -> None:
    async with httpx.AsyncClient(base_url=proxy.url) as browser:
        assert "connects by itself" in (await browser.get("/vnc_auto.html?path=%3Ftoken%3Dabc")).text
        script = await browser.get("/rfb.js")
        assert script.status_code == 200 and "javascript" in script.headers["content-type"]
        for path in ("/", "/missing.html", "/%2e%2e/%2e%2e/etc/passwd", "/../conftest.py"):
            assert (await browser.get(path)).status_code == 404, path
        assert (await browser.post("/vnc_auto.html")).status_code == 405
        assert "set-cookie" not in (await browser.get("/vnc_auto.html?token=a%0d%0ab")).headers


async def test_whoever_brings_no_token_that_holds_is_not_let_in(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    server = await proxy.server(echo)
    assert await refused(proxy, caplog, "") == "it brings no token"
    assert "Token not found" in await refused(proxy, caplog, "1af18bea-5a64-490e-8251-29c8bed36125")
    assert "Token not found" in await refused(proxy, caplog, await proxy.token(server, "serial"))
    proxy.nova.service.console_token_seconds = -1
    assert "its time is over" in await refused(proxy, caplog, await proxy.token(server))
    assert proxy.guests.asked == 2  # only by those who made the tokens


async def test_a_page_of_another_host_is_not_let_in(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    server = await proxy.server(echo)
    token = await proxy.token(server)
    assert "evil.example.org" in await refused(proxy, caplog, token, origin="http://evil.example.org")
    assert "came by https" in await refused(proxy, caplog, token, origin="https://127.0.0.1")
    assert "speaks base64" in await refused(proxy, caplog, token, subprotocols=["base64"])
    async with proxy.connect(token, origin="http://cloud.example.org") as socket:
        assert await socket.recv()
    async with proxy.connect(token, origin=None, subprotocols=None) as socket:
        assert await socket.recv()


async def test_a_guest_that_was_started_anew_is_found_at_its_new_port(proxy: Proxy) -> None:
    server = await proxy.server(echo)
    token = await proxy.token(server)

    async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"the second boot")

    await proxy.guests.serve(server.id, other, boot="2")
    async with proxy.connect(token) as socket:
        assert await read_all(socket) == b"the second boot"


async def test_a_port_that_became_another_guests_is_left_before_a_byte_has_passed(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"another one's screen")
        with contextlib.suppress(ConnectionResetError):
            seen.append(await reader.read())
            return
        seen.append(b"")

    server = await proxy.server(other)
    token = await proxy.token(server)
    asked = proxy.guests.asked

    def restart(count: int) -> None:
        # Between the proxy's two questions the guest is started anew, and its old port is the other's.
        if count == asked + 2:
            before = proxy.guests.addresses[server.id]
            proxy.guests.addresses[server.id] = msgspec.structs.replace(before, port=1, boot="2")

    proxy.guests.on_asked = restart
    assert "just been started anew" in await refused(proxy, caplog, token)
    async with asyncio.timeout(5):
        while not seen:
            await asyncio.sleep(0.01)
    assert seen == [b""]


async def test_a_server_that_has_no_console_now_says_why_in_the_log(
    proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    server = await proxy.server(echo)
    token = await proxy.token(server)
    proxy.guests.servers[0].close()
    assert "cannot be reached at 127.0.0.1:" in await refused(proxy, caplog, token)
    proxy.guests.addresses.clear()
    assert "cannot be opened" in await refused(proxy, caplog, token)
    async with proxy.nova.service.database.transaction() as tx:
        await servers.forget(tx, server, proxy.nova.service.clock.now())
        assert await tx.scalar(servers.servers.select().where(servers.servers.c.id == server.id)) is None
    assert "could not be found" in await refused(proxy, caplog, token)
    async with proxy.nova.service.database.transaction() as tx:
        await mappings.end_server(tx, server.id, proxy.nova.service.clock.now())
    assert "Token not found" in await refused(proxy, caplog, token)


async def test_when_the_guest_ends_the_browser_is_told(proxy: Proxy) -> None:
    async def brief(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    server = await proxy.server(brief)
    async with proxy.connect(await proxy.token(server)) as socket:
        assert await read_all(socket) == b"bye"
        assert socket.close_code == 1000


async def test_when_the_browser_ends_the_guest_is_told_after_its_last_words(proxy: Proxy) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await heard.put(await reader.read())

    server = await proxy.server(listen)
    async with proxy.connect(await proxy.token(server)) as socket:
        await socket.send(b"last words")
    async with asyncio.timeout(5):
        assert await heard.get() == b"last words"
    gone = proxy.connect(await proxy.token(server))
    cut = await gone
    cut.transport.abort()
    async with asyncio.timeout(5):
        assert await heard.get() == b""


async def test_a_side_that_is_slow_slows_down_the_other(proxy: Proxy) -> None:
    taken = asyncio.Event()
    sent = received = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent, received
        if await reader.readexactly(4) == b"send":
            for _ in range(1000):
                writer.write(bytes(1 << 16))
                await writer.drain()
                sent += 1 << 16
        else:
            await taken.wait()
            while data := await reader.read(1 << 16):
                received += len(data)

    server = await proxy.server(flood)
    async with proxy.connect(await proxy.token(server), max_queue=1) as socket:
        await socket.send(b"send")
        await _stands_still(lambda: sent)
        # What the sockets of two connections hold, and no more.
        assert 0 < sent < 32 << 20
        assert len(await read_all(socket)) == 1000 << 16
    async with proxy.connect(await proxy.token(server)) as socket:
        await socket.send(b"take")
        written = 0

        async def push() -> None:
            nonlocal written
            for _ in range(1000):
                await socket.send(bytes(1 << 16))
                written += 1 << 16

        pushing = asyncio.create_task(push())
        await _stands_still(lambda: written)
        assert 0 < written < 32 << 20
        taken.set()
        await pushing
    async with asyncio.timeout(10):
        while received < 1000 << 16:
            await asyncio.sleep(0.01)


async def _stands_still(read: Any) -> None:
    """Until a number has grown, and has not for a while."""
    last, since = read(), 0
    async with asyncio.timeout(20):
        while since < 10 or last == 0:
            await asyncio.sleep(0.05)
            since = since + 1 if read() == last else 0
            last = read()


async def test_a_message_that_is_too_large_ends_the_connection(proxy: Proxy) -> None:
    server = await proxy.server(echo)
    async with proxy.connect(await proxy.token(server)) as socket:
        await socket.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await socket.send(bytes((1 << 20) + 1))
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


@pytest.fixture
async def serial(nova: Any) -> AsyncIterator[Proxy]:
    async for made in serve(nova, Guests(), SERIAL):
        yield made


async def test_the_serial_proxy_has_no_pages(serial: Proxy) -> None:
    async with httpx.AsyncClient() as browser:
        page = await browser.get(serial.url)
    assert page.status_code == 404 and "serves no pages" in page.text
    server = await serial.server(echo)
    async with serial.connect(await serial.token(server, "serial")) as socket:
        assert await socket.recv() == b"RFB 003.008\n"


@pytest.mark.parametrize(
    ("kind", "page", "words", "script"),
    [
        (NOVNC, "/vnc_auto.html", "connectedToServer", "/core/rfb.js"),
        (NOVNC, "/vnc.html", "noVNC_connect_button", "/app/ui.js"),
        (SPICE, "/spice_auto.html", "spice_set_cookie", "/main.js"),
    ],
)
async def test_the_pages_that_debian_has_are_served(nova: Any, kind: Kind, page: str, words: str, script: str) -> None:
    if kind.directory is None or not kind.directory.is_dir():
        pytest.skip(f"the Debian package {kind.package} is not installed")
    async for made in serve(nova, Guests(), kind):
        async with httpx.AsyncClient(base_url=made.url) as browser:
            assert words in (await browser.get(page)).text
            assert (await browser.get(script)).status_code == 200


async def test_pages_that_are_not_installed_are_said_to_be_missing(nova: Any, tmp_path: Any) -> None:
    async for made in serve(nova, Guests(), NOVNC, web=tmp_path / "nothing"):
        async with httpx.AsyncClient() as browser:
            page = await browser.get(f"{made.url}/vnc_auto.html")
        assert page.status_code == 404 and "install the Debian package novnc" in page.text
