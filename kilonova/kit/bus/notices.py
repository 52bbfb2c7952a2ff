"""Notices to whoever listens outside of the cloud, on RabbitMQ or NATS, as listeners of oslo.messaging read them.

Nothing waits for a notice: whoever publishes it decides what becomes of one that no broker takes. Exchanges are
declared, queues are not: a listener declares its own, and finds from then on what came while it was away. Where nobody
ever listens nothing piles up.
Source: the messaging library's documentation of notifications and of the message envelope (version 2.0).
"""

import contextlib
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from kilonova.kit.bus.transport_url import Broker, parse_transport_url

FLUSH_SECONDS = 5


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


def make_publisher(transport_url: str, exchange: str, tls: ssl.SSLContext | None = None) -> Publisher:
    """Returns one that connects when it first publishes. Raises BadTransportUrl."""
    brokers = parse_transport_url(transport_url)
    if transport_url.startswith("nats://"):
        return NatsPublisher(brokers, exchange, tls)
    return RabbitPublisher(brokers, exchange, tls)


class RabbitPublisher:
    """Publishes to a topic exchange, `TOPIC` being the routing key."""

    def __init__(self, brokers: Sequence[Broker], exchange: str, tls: ssl.SSLContext | None) -> None:
        self._brokers = brokers
        self._exchange_name = exchange
        self._tls = tls
        self._connection: Any = None
        self._exchange: Any = None

    async def publish(self, topic: str, body: bytes) -> None:
        import aio_pika

        from kilonova.kit.bus.rabbit import BROKEN, losses_named

        message = aio_pika.Message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            with losses_named():
                if self._exchange is None:
                    await self._open()
                await self._exchange.publish(message, routing_key=topic, mandatory=False)
        except BROKEN as error:
            await self.close()
            raise NotTaken(f"{type(error).__name__}: {error}") from error

    async def _open(self) -> None:
        """Connects to the first broker that answers. Raises the error of the last."""
        import aio_pika
        from aiormq.exceptions import ChannelPreconditionFailed

        from kilonova.kit.bus.rabbit import BROKEN, connect_to

        for broker in self._brokers:
            try:
                self._connection = await connect_to(broker, self._tls)
                break
            except BROKEN:
                if broker is self._brokers[-1]:
                    raise
        channel = await self._connection.channel()
        try:
            self._exchange = await channel.declare_exchange(self._exchange_name, aio_pika.ExchangeType.TOPIC)
        except ChannelPreconditionFailed:
            # It is there and durable, say: it is taken as it is.
            channel = await self._connection.channel()
            self._exchange = await channel.get_exchange(self._exchange_name, ensure=False)

    async def close(self) -> None:
        from kilonova.kit.bus.rabbit import BROKEN, losses_named

        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*BROKEN), losses_named():
                await connection.close()


class NatsPublisher:
    """Publishes under the subject `EXCHANGE.TOPIC`."""

    def __init__(self, brokers: Sequence[Broker], exchange: str, tls: ssl.SSLContext | None) -> None:
        self._brokers = brokers
        self._exchange = exchange
        self._tls = tls
        self._client: Any = None

    async def publish(self, topic: str, body: bytes) -> None:
        from kilonova.kit.bus.nats import BROKEN

        try:
            if self._client is None:
                await self._open()
            await self._client.publish(f"{self._exchange}.{topic}", body)
            await self._client.flush(FLUSH_SECONDS)
        except BROKEN as error:
            await self.close()
            raise NotTaken(f"{type(error).__name__}: {error}") from error

    async def _open(self) -> None:
        from nats.aio.client import Client

        client = Client()
        await client.connect(
            servers=[f"nats://{each.host}:{each.port}" for each in self._brokers],
            user=self._brokers[0].user or None,
            password=self._brokers[0].password or None,
            tls=self._tls,
            connect_timeout=FLUSH_SECONDS,
            allow_reconnect=False,
            error_cb=_say_nothing,
        )
        self._client = client

    async def close(self) -> None:
        from kilonova.kit.bus.nats import BROKEN

        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*BROKEN):
                await client.close()


async def _say_nothing(_error: Exception) -> None:
    """Every error is told to whoever publishes."""
