"""Consoles as users get them, and where their tokens lead, as administrators see it."""

from typing import Any

from kilonova.compute.agent.spec import ConsoleAddress

Body = dict[str, Any]


def remote_console_view(protocol: str, console_type: str, url: str) -> Body:
    return {"protocol": protocol, "type": console_type, "url": url}


def console_view(console_type: str, url: str) -> Body:
    """Before 2.6."""
    return {"type": console_type, "url": url}


def console_token_view(server_id: str, address: ConsoleAddress) -> Body:
    return {
        "instance_uuid": server_id,
        "host": address.host,
        "port": address.port,
        "tls_port": None,
        "internal_access_path": None,
    }
