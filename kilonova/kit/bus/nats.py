"""The bus over NATS (`transport_url = nats://USER:PASSWORD@HOST`).

Plain subjects, nothing stored: `kilonova.tell.<topic>` reaches every listener, `kilonova.ask.<topic>` one of those who
serve the topic, a queue group for NATS. A subject that nobody serves is answered by the server at once. The client
library comes back by itself after a server went away, and listens again to what it listened to.
"""

import asyncio
import contextlib
import ssl
import zlib
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from kilonova.kit.bus.handlers import carry_out, deliver
from kilonova.kit.bus.interface import CallTimedOut, Handler, RemoteError, Unsubscribe
from kilonova.kit.bus.transport_url import Broker
from kilonova.kit.log import logger

log = logger(__name__)

CONNECT_SECONDS = 5
PING_SECONDS = 5
PAUSE_SECONDS = 1
COMPRESS_BYTES = 64 << 10
"""Larger payloads travel compressed: a server takes no message over 1 MiB unless told to."""
BROKEN = (OSError, NatsError, TimeoutError)


class NatsBus:
    def __init__(self, brokers: Sequence[Broker], tls: ssl.SSLContext | None = None) -> None:
        self._brokers = brokers
        self._tls = tls
        self._client = Client()
        self._connected = asyncio.Event()
        self._listening = asyncio.Lock()
        self._is_failing = False
        self._subscribers: dict[str, list[Handler]] = defaultdict(list)
        self._servers: dict[str, Mapping[str, Handler]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    # --- the connection ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to connect, and goes on doing so until closed; does not wait for a server."""
        self._keeper = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        # Comes back only once connected.
        await self._client.connect(
            servers=[f"nats://{each.host}:{each.port}" for each in self._brokers],
            user=self._brokers[0].user or None,
            password=self._brokers[0].password or None,
            tls=self._tls,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            reconnect_time_wait=PAUSE_SECONDS,
            max_reconnect_attempts=-1,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_connected,
        )
        await self._on_connected()

    async def _on_connected(self) -> None:
        log.info("connected to a broker", broker=str(self._client.connected_url and self._client.connected_url.netloc))
        self._is_failing = False
        for topic in [*self._subscribers, *self._servers]:
            await self._listen(topic)
        self._connected.set()

    async def _on_disconnected(self) -> None:
        if self._connected.is_set():
            log.warning("the broker went away")
        self._connected.clear()

    async def _on_error(self, error: Exception) -> None:
        # Every attempt fails in the same way: it is said once.
        if not self._is_failing:
            log.warning("no broker answers", reason=f"{type(error).__name__}: {error}")
        self._is_failing = True

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        # Leaving is no loss.
        self._connected.clear()
        with contextlib.suppress(*BROKEN):
            await self._client.close()
        for delivery in list(self._deliveries):
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        delivery = asyncio.create_task(work)
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def _listen(self, topic: str) -> None:
        """Subscribes to what is wanted of the topic and not yet subscribed to."""
        async with self._listening:
            if self._client.is_connected:
                await self._subscribe(topic)

    async def _subscribe(self, topic: str) -> None:
        try:
            if self._subscribers.get(topic) and _tell(topic) not in self._subscriptions:
                self._subscriptions[_tell(topic)] = await self._client.subscribe(
                    _tell(topic), cb=partial(self._on_message, topic)
                )
            if topic in self._servers and _ask(topic) not in self._subscriptions:
                self._subscriptions[_ask(topic)] = await self._client.subscribe(
                    _ask(topic), queue=_ask(topic), cb=partial(self._on_call, topic)
                )
        except BROKEN as error:
            # On the next connection it is said again.
            log.warning("could not listen", topic=topic, reason=f"{type(error).__name__}: {error}")

    async def _stop_listening(self, subject: str) -> None:
        subscription = self._subscriptions.pop(subject, None)
        if subscription is not None:
            with contextlib.suppress(*BROKEN):
                await subscription.unsubscribe()

    # --- wake-ups ----------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: Any = None) -> None:
        if not self._client.is_connected:
            log.debug("a message is lost: no broker", topic=topic)
            return
        try:
            await self._client.publish(_tell(topic), _pack(payload))
        except BROKEN as error:
            log.warning("a message is lost", topic=topic, reason=f"{type(error).__name__}: {error}")

    def subscribe(self, topic: str, handler: Handler) -> Unsubscribe:
        self._subscribers[topic].append(handler)
        self._later(self._listen(topic))
        return lambda: self._subscribers[topic].remove(handler)

    async def _on_message(self, topic: str, message: Msg) -> None:
        for handler in list(self._subscribers.get(topic, ())):
            self._later(deliver(topic, handler, _unpack(message.data)))

    # --- calls -------------------------------------------------------------------------------------------------------

    async def call(self, topic: str, method: str, payload: Any = None, *, timeout_seconds: float = 30.0) -> Any:
        asked = _pack({"method": method, "payload": payload})
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._connected.wait()
                reply = await self._client.request(_ask(topic), asked, timeout=timeout_seconds)
        except NoRespondersError as error:
            raise CallTimedOut(f"nobody serves {topic}") from error
        except TimeoutError as error:
            raise CallTimedOut(f"{topic} did not answer {method} within {timeout_seconds:g} s") from error
        except BROKEN as error:
            raise CallTimedOut(f"{topic} could not be asked {method}: {type(error).__name__}: {error}") from error
        answer = _unpack(reply.data)
        if "error" in answer:
            raise RemoteError(*answer["error"])
        return answer["value"]

    def serve(self, topic: str, methods: Mapping[str, Handler]) -> Unsubscribe:
        if topic in self._servers:
            raise ValueError(f"{topic} is already served in this process")
        self._servers[topic] = methods
        self._later(self._listen(topic))

        def stop() -> None:
            self._servers.pop(topic, None)
            self._later(self._stop_listening(_ask(topic)))

        return stop

    async def _on_call(self, topic: str, message: Msg) -> None:
        self._later(self._answer(topic, message))

    async def _answer(self, topic: str, message: Msg) -> None:
        asked = _unpack(message.data)
        answer: dict[str, Any]
        try:
            answer = {"value": await carry_out(topic, self._servers.get(topic, {}), asked["method"], asked["payload"])}
        except RemoteError as error:
            answer = {"error": [error.kind, error.message]}
        try:
            await message.respond(_pack(answer))
        except BROKEN as error:
            log.warning("an answer is lost", topic=topic, method=asked["method"], reason=type(error).__name__)


def _tell(topic: str) -> str:
    return f"kilonova.tell.{_subject(topic)}"


def _ask(topic: str) -> str:
    return f"kilonova.ask.{_subject(topic)}"


def _subject(topic: str) -> str:
    """Host names keep their dots, which part a subject's words; what would be a wildcard or a space does not pass."""
    return "".join(letter if letter.isalnum() or letter in ".-_" else f"%{ord(letter):x}" for letter in topic)


def _pack(payload: Any) -> bytes:
    packed = msgspec.msgpack.encode(payload)
    return b"z" + zlib.compress(packed, 1) if len(packed) > COMPRESS_BYTES else b"m" + packed


def _unpack(data: bytes) -> Any:
    return msgspec.msgpack.decode(zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:])
