"""Clients that reach an ASGI app without a socket."""

import httpx
from starlette.types import ASGIApp


def asgi_client(app: ASGIApp, base_url: str = "http://service.local") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base_url)
