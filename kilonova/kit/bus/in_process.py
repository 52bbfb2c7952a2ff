"""The bus of a cloud that is one process.

Payloads go through msgpack like on any other transport, so that nothing works here which would not work between hosts,
and no two parts ever share a mutable object.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from kilonova.kit.bus.handlers import deliver
from kilonova.kit.bus.interface import CallTimedOut, Handler, RemoteError, Unsubscribe


class InProcessBus:
    def __init__(self) -> None:
        self._subscribers: dict[str, list[Handler]] = defaultdict(list)
        self._servers: dict[str, Mapping[str, Handler]] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    async def publish(self, topic: str, payload: Any = None) -> None:
        packed = msgspec.msgpack.encode(payload)
        for handler in list(self._subscribers[topic]):
            delivery = asyncio.create_task(deliver(topic, handler, msgspec.msgpack.decode(packed)))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    def subscribe(self, topic: str, handler: Handler) -> Unsubscribe:
        self._subscribers[topic].append(handler)
        return lambda: self._subscribers[topic].remove(handler)

    async def call(self, topic: str, method: str, payload: Any = None, *, timeout_seconds: float = 30.0) -> Any:
        methods = self._servers.get(topic)
        if methods is None:
            raise CallTimedOut(f"nobody serves {topic}")
        handler = methods.get(method)
        if handler is None:
            raise RemoteError("UnknownMethod", f"{topic} has no method {method}")
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await handler(msgspec.msgpack.decode(msgspec.msgpack.encode(payload)))
        except TimeoutError as error:
            raise CallTimedOut(f"{topic} did not answer {method} within {timeout_seconds} s") from error
        except Exception as error:
            raise RemoteError(type(error).__name__, str(error)) from error
        return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))

    def serve(self, topic: str, methods: Mapping[str, Handler]) -> Unsubscribe:
        if topic in self._servers:
            raise ValueError(f"{topic} is already served in this process")
        self._servers[topic] = methods

        def stop() -> None:
            self._servers.pop(topic, None)

        return stop

    async def close(self) -> None:
        for delivery in list(self._deliveries):
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
