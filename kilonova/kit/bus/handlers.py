"""Handles messages and calls that have arrived, alike for every transport."""

from collections.abc import Mapping
from typing import Any

from kilonova.kit.bus.interface import Handler, RemoteError
from kilonova.kit.log import logger

log = logger(__name__)


async def deliver(topic: str, handler: Handler, payload: Any) -> None:
    """One listener's failure must not reach the publisher or the other listeners."""
    try:
        await handler(payload)
    except Exception as error:
        log.exception("a message could not be handled", topic=topic, error=error)


async def carry_out(topic: str, methods: Mapping[str, Handler], method: str, payload: Any) -> Any:
    """The method's answer. Raises RemoteError for what it raises: the caller decides what becomes of it."""
    handler = methods.get(method)
    if handler is None:
        raise RemoteError("UnknownMethod", f"{topic} has no method {method}")
    try:
        return await handler(payload)
    except Exception as error:
        raise RemoteError(type(error).__name__, str(error)) from error
