"""Notices on RabbitMQ: a topic exchange, of which a notice's topic is the routing key."""

import contextlib
import ssl
from collections.abc import Sequence

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aiormq.exceptions import ChannelPreconditionFailed

from kilonova.kit.bus.notices import NotTaken
from kilonova.kit.bus.rabbit import BROKEN, connect_to, losses_named
from kilonova.kit.bus.transport_url import Broker

ANSWER_SECONDS = 10.0


class RabbitPublisher:
    """Connects when it first publishes, and again after every failure."""

    def __init__(self, brokers: Sequence[Broker], exchange: str, tls: ssl.SSLContext | None) -> None:
        self._brokers = brokers
        self._exchange_name = exchange
        self._tls = tls
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def publish(self, topic: str, body: bytes) -> None:
        """Comes back once the broker has it. Raises NotTaken."""
        message = aio_pika.Message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            with losses_named():
                exchange = self._exchange or await self._open()
                await exchange.publish(message, routing_key=topic, mandatory=False, timeout=ANSWER_SECONDS)
        except BROKEN as error:
            await self.close()
            raise NotTaken(f"{type(error).__name__}: {error}") from error

    async def _open(self) -> AbstractExchange:
        self._connection = connection = await self._connect()
        channel = await connection.channel()
        try:
            self._exchange = await channel.declare_exchange(self._exchange_name, aio_pika.ExchangeType.TOPIC)
        except ChannelPreconditionFailed:
            # Somebody has made it another way, durable say: it is used as it is.
            channel = await connection.channel()
            self._exchange = await channel.get_exchange(self._exchange_name, ensure=False)
        return self._exchange

    async def _connect(self) -> AbstractConnection:
        """To the first broker that answers. Raises the error of the last."""
        for broker in self._brokers[:-1]:
            with contextlib.suppress(*BROKEN):
                return await connect_to(broker, self._tls)
        return await connect_to(self._brokers[-1], self._tls)

    async def close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*BROKEN), losses_named():
                await connection.close()
