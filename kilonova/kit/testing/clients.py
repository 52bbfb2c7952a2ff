"""Clients that reach an ASGI app without a socket."""

from kilonova.kit.http.client import in_process_client as asgi_client

__all__ = ["asgi_client"]
