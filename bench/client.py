"""A small HTTP/1.1 client for measuring: one kept-alive connection, a tenth of a millisecond of its own a request."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Refused(Exception):
    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status} {answer.body[:300]!r}")
        self.status = answer.status


class Connection:
    """Opened at the first request, and again when the server has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._prefix = parts.path.rstrip("/")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, *, token: str = "", body: Any = None, **headers: str) -> Answer:
        """Raises Refused for 4xx and 5xx: a figure that counts refusals measures nothing."""
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["content_type"] = "application/json"
        reader, writer = await self._open()
        writer.write(self._head(method, path, len(content), token, headers) + content)
        answer = await _read_answer(reader)
        if answer.headers.get("connection") == "close":
            self.close()
        if answer.status >= 400:
            raise Refused(f"{method} {path}", answer)
        return answer

    async def upload(self, path: str, token: str, piece: bytes, pieces: int) -> None:
        reader, writer = await self._open()
        headers = {"content_type": "application/octet-stream"}
        writer.write(self._head("PUT", path, len(piece) * pieces, token, headers))
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
        answer = await _read_answer(reader)
        if answer.status >= 400:
            raise Refused(f"PUT {path}", answer)

    async def download(self, path: str, token: str) -> int:
        """Reads and forgets; returns how many bytes came."""
        reader, writer = await self._open()
        writer.write(self._head("GET", path, 0, token, {}))
        _status, headers = await _read_head(reader)
        left = size = int(headers["content-length"])
        while left:
            left -= len(await reader.read(min(left, 1 << 20)))
        return size

    def _head(self, method: str, path: str, length: int, token: str, headers: dict[str, str]) -> bytes:
        lines = [
            f"{method} {self._prefix}{path} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            f"Content-Length: {length}",
        ]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if token:
            lines.append(f"X-Auth-Token: {token}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[1].is_closing():
            self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 24)
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    # A token is not to be lowered: it is read from the line as it came.
    for line in head[1:]:
        if line.lower().startswith("x-subject-token: "):
            headers["x-subject-token"] = line.split(": ", 1)[1]
    return int(head[0].split()[1]), headers


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    status, headers = await _read_head(reader)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(status, headers, body)
