"""Bytes between a WebSocket and a guest's console, until either side ends.

The rule: one piece a direction is in memory, and the next is read when that has been taken, so a side that is slow
slows down the other and fills nothing.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

PIECE_BYTES = 1 << 16
GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""What sending to a side that has just ended raises."""
NORMAL_CLOSURE = 1000
LAST_WORDS_SECONDS = 5.0
"""How long what was sent last may take to be read."""


@dataclass(slots=True)
class Counts:
    to_guest_bytes: int = 0
    from_guest_bytes: int = 0


async def relay(websocket: WebSocket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Counts:
    """Carries bytes until one side ends, and ends the other. Both are closed when this returns or is cancelled."""
    counts = Counts()
    ways = [
        asyncio.create_task(_to_guest(websocket, writer, counts)),
        asyncio.create_task(_from_guest(reader, websocket, counts)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ways:
            each.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await _close(websocket, writer)
    return counts


async def _to_guest(websocket: WebSocket, writer: asyncio.StreamWriter, counts: Counts) -> None:
    with contextlib.suppress(*GONE):
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                return
            # Text comes from clients of serial lines that send what was typed.
            data = message.get("bytes") or (message.get("text") or "").encode()
            writer.write(data)
            counts.to_guest_bytes += len(data)
            await writer.drain()


async def _from_guest(reader: asyncio.StreamReader, websocket: WebSocket, counts: Counts) -> None:
    with contextlib.suppress(*GONE):
        while data := await reader.read(PIECE_BYTES):
            await websocket.send_bytes(data)
            counts.from_guest_bytes += len(data)


async def _close(websocket: WebSocket, writer: asyncio.StreamWriter) -> None:
    if websocket.client_state is WebSocketState.CONNECTED:
        with contextlib.suppress(*GONE):
            await websocket.close(NORMAL_CLOSURE)
    writer.close()
    try:
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await writer.wait_closed()
    except OSError:
        # A guest that does not read what was sent last; TimeoutError is an OSError.
        writer.transport.abort()
