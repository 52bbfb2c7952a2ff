"""Notices to whoever listens outside of the cloud, on RabbitMQ or NATS, as listeners of oslo.messaging read them.

Nothing waits for a notice: whoever publishes it decides what becomes of one that no broker takes. Exchanges are
declared, queues are not: a listener declares its own, and finds from then on what came while it was away. Where nobody
ever listens nothing piles up.
Source: the messaging library's documentation of notifications and of the message envelope (version 2.0).
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class NotTaken(Exception):
    """No broker has taken a notice."""


class Publisher(Protocol):
    async def publish(self, topic: str, body: bytes) -> None:
        """Raises NotTaken."""
        ...

    async def close(self) -> None: ...


def seal(message: Mapping[str, Any]) -> bytes:
    """Puts a message into the envelope."""
    inner = msgspec.json.encode(message).decode()
    return msgspec.json.encode({"oslo.version": "2.0", "oslo.message": inner})
