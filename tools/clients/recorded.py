"""`kilonova up`, which also writes down what clients ask it: one JSON line for each request that succeeded.

`python -m tools.clients.recorded up --state-dir DIR --fake 2` with KILONOVA_RECORD naming the file and, in a file
beside it called `label`, who is asking just now. Ids are written as `{uuid}`, secrets are left out.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kilonova.cli import cloud, main
from kilonova.cli.serving import ApiServer

RECORD = Path(os.environ["KILONOVA_RECORD"])
UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
HEADERS = ("accept", "content-type", "openstack-api-version", "x-openstack-nova-api-version")
MAX_BODY_BYTES = 32_768


class Recorder:
    """Notes a request and its answer's status, and passes both on untouched."""

    def __init__(self, name: str, app: ASGIApp) -> None:
        self._name = name
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        status = 0

        async def noting() -> Message:
            message = await receive()
            if message["type"] == "http.request" and sum(map(len, chunks)) < MAX_BODY_BYTES:
                chunks.append(message.get("body", b""))
            return message

        async def telling(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, noting, telling)
        self._write(scope, b"".join(chunks), status)

    def _write(self, scope: Scope, body: bytes, status: int) -> None:
        if self._name == "identity" and scope["path"].endswith("/auth/tokens"):
            return
        headers = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name.decode() in HEADERS
        }
        line = {
            "client": RECORD.with_name("label").read_text().strip(),
            "service": self._name,
            "method": scope["method"],
            "path": _shape(scope.get("raw_path", b"").decode("latin-1")),
            "query": _shape(scope["query_string"].decode("latin-1")),
            "headers": headers,
            "body": _body(body),
            "status": status,
        }
        with RECORD.open("a") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")


def _shape(text: str) -> str:
    return UUID.sub("{uuid}", text)


def _body(content: bytes) -> Any:
    try:
        return _without_secrets(json.loads(_shape(content.decode())))
    except (UnicodeDecodeError, ValueError):
        return None


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        is_secret = {key: "pass" in key.lower() and isinstance(inner, str) for key, inner in value.items()}
        return {key: "x" if is_secret[key] else _without_secrets(inner) for key, inner in value.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value


class RecordedServer(ApiServer):
    def __init__(self, app: ASGIApp, name: str, *arguments: Any, **named: Any) -> None:
        super().__init__(Recorder(name, app), name, *arguments, **named)


if __name__ == "__main__":
    vars(cloud)["ApiServer"] = RecordedServer
    sys.exit(main.main())
