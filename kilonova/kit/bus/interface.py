"""The small interface every transport offers: publish to whoever listens, call one who answers.

Payloads are what msgpack can carry (dicts, lists, str, bytes, numbers, bool, None); Structs are turned into that by
the caller. Topics are `<service>.<role>` or `<service>.<role>.<host>`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

Handler = Callable[[Any], Awaitable[Any]]
Unsubscribe = Callable[[], None]


class CallTimedOut(Exception):
    """Nobody answered in time, or nobody serves the topic: the caller cannot know which, nor what was done."""


class RemoteError(Exception):
    """The other side refused or failed. `kind` is the class name of its exception, the message is its sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Bus(Protocol):
    async def publish(self, topic: str, payload: Any = None) -> None:
        """Tells every subscriber of `topic`. May be lost."""
        ...

    def subscribe(self, topic: str, handler: Handler) -> Unsubscribe:
        """Calls `handler` for each message. An exception in it is logged and ends nothing."""
        ...

    async def call(self, topic: str, method: str, payload: Any = None, *, timeout_seconds: float = 30.0) -> Any:
        """Asks the one server of `topic`. Raises CallTimedOut or RemoteError."""
        ...

    def serve(self, topic: str, methods: Mapping[str, Handler]) -> Unsubscribe:
        """Answers calls to `topic`. One server a topic and process."""
        ...

    async def close(self) -> None: ...
