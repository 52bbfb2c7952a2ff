"""Consoles of guests that are not there: a grey screen that speaks RFB, and a serial line that says back what it hears.

The rule: each boot of a simulated guest has ports of its own, on loopback, which end with it, as a real guest's do.
Source: RFC 6143, "The Remote Framebuffer Protocol".
"""

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field
from typing import Literal

from kilonova.compute.agent.spec import ConsoleKind

ADDRESS = "127.0.0.1"
WIDTH, HEIGHT = 320, 200
PIXEL = struct.pack("<I", 0x606060)
PIXEL_FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
"""32 bits a pixel, little-endian, red from bit 16 on."""

_SIZES = {0: 19, 3: 9, 4: 7, 5: 5}
"""Message of a client → bytes that follow its first: pixel format, update request, key, pointer."""
_SET_ENCODINGS, _UPDATE_REQUEST, _CUT_TEXT = 2, 3, 6
MOST_CUT_BYTES = 1 << 20


@dataclass
class _Listening:
    server: asyncio.Server
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def close(self) -> None:
        self.server.close()
        for each in self.writers:
            each.close()


class FakeConsoles:
    """The consoles of one host's guests; each is opened when it is first asked for."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, ConsoleKind], _Listening] = {}

    async def port(self, server_id: str, kind: Literal["vnc", "serial"], name: str) -> int:
        """`name`: what the screen calls itself."""
        key = (server_id, kind)
        if key not in self._open:
            self._open[key] = await self._listen(kind, name)
        port: int = self._open[key].server.sockets[0].getsockname()[1]
        return port

    async def _listen(self, kind: str, name: str) -> _Listening:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            made.writers.add(writer)
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await (_show(reader, writer, name) if kind == "vnc" else _echo(reader, writer))
            finally:
                made.writers.discard(writer)
                writer.close()

        made = _Listening(await asyncio.start_server(serve, ADDRESS, 0))
        return made

    def end(self, server_id: str) -> None:
        """The guest has ended."""
        for key in [key for key in self._open if key[0] == server_id]:
            self._open.pop(key).close()

    def close(self) -> None:
        for server_id, _kind in list(self._open):
            self.end(server_id)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()


async def _show(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
    """RFB 3.8 without a password, or 3.3 for a client that asks for it; keys and pointer are read and forgotten."""
    writer.write(b"RFB 003.008\n")
    if await reader.readexactly(12) < b"RFB 003.007\n":
        writer.write(struct.pack(">I", 1))
    else:
        writer.write(b"\x01\x01")
        await reader.readexactly(1)
        writer.write(struct.pack(">I", 0))
    await reader.readexactly(1)
    text = name.encode()
    writer.write(struct.pack(">HH", WIDTH, HEIGHT) + PIXEL_FORMAT + struct.pack(">I", len(text)) + text)
    is_shown = False
    while True:
        await writer.drain()
        kind = (await reader.readexactly(1))[0]
        if kind == _SET_ENCODINGS:
            (count,) = struct.unpack(">xH", await reader.readexactly(3))
            await reader.readexactly(4 * count)
        elif kind == _CUT_TEXT:
            (length,) = struct.unpack(">3xI", await reader.readexactly(7))
            if length > MOST_CUT_BYTES:
                return
            await reader.readexactly(length)
        elif kind in _SIZES:
            body = await reader.readexactly(_SIZES[kind])
            if kind == _UPDATE_REQUEST and (body[0] == 0 or not is_shown):
                writer.write(struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + PIXEL * (WIDTH * HEIGHT))
                is_shown = True
        else:
            return
