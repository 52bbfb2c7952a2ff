"""The pages that show a console in a browser: files of noVNC or spice-html5, as they are installed.

A page that is asked for with a token keeps it in a cookie, from which the WebSocket takes it: pages of old name no path
for that.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kilonova.compute.consoles.console_proxy.handshake import COOKIE

_TOKEN = re.compile("[A-Za-z0-9_-]{1,128}")


def make_pages(directory: Path | None, package: str, stand_ins: Mapping[str, str]) -> ASGIApp:
    """`directory`: None where there are no pages at all; `stand_ins`: path → the file that is shown under that name.

    A directory that is not there is said to whoever asks for a page.
    """
    if directory is None or not directory.is_dir():
        where = "This proxy serves no pages." if directory is None else _missing(directory, package)
        return PlainTextResponse(f"{where} WebSockets are served.\n", status_code=404)
    there = {path: file for path, file in stand_ins.items() if (directory / file.lstrip("/")).is_file()}
    files = Starlette(routes=[Mount("/", StaticFiles(directory=directory))])

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        shown = {**scope, "path": there[path], "raw_path": there[path].encode()} if path in there else scope
        token = QueryParams(scope["query_string"]).get("token", "") if path.endswith(".html") else ""

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and _TOKEN.fullmatch(token):
                MutableHeaders(scope=message).append("set-cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax")
            await send(message)

        await files(shown, receive, send_with_cookie)

    return serve


def _missing(directory: Path, package: str) -> str:
    return f"There are no pages in {directory}: install the Debian package {package}, or set [DEFAULT] web."
