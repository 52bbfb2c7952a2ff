"""Notices on NATS, under subjects `EXCHANGE.TOPIC`."""

import contextlib
import ssl
from collections.abc import Sequence

from nats.aio.client import Client

from kilonova.kit.bus.nats import BROKEN
from kilonova.kit.bus.notices import NotTaken
from kilonova.kit.bus.transport_url import Broker

FLUSH_SECONDS = 5


class NatsPublisher:
    """Connects when it first publishes, and again after every failure."""

    def __init__(self, brokers: Sequence[Broker], exchange: str, tls: ssl.SSLContext | None) -> None:
        self._brokers = brokers
        self._exchange = exchange
        self._tls = tls
        self._client: Client | None = None

    async def publish(self, topic: str, body: bytes) -> None:
        """Comes back once the server has it. Raises NotTaken."""
        try:
            client = self._client or await self._open()
            await client.publish(f"{self._exchange}.{topic}", body)
            await client.flush(FLUSH_SECONDS)
        except BROKEN as error:
            await self.close()
            raise NotTaken(f"{type(error).__name__}: {error}") from error

    async def _open(self) -> Client:
        client = Client()
        await client.connect(
            servers=[f"nats://{each.host}:{each.port}" for each in self._brokers],
            user=self._brokers[0].user or None,
            password=self._brokers[0].password or None,
            tls=self._tls,
            connect_timeout=FLUSH_SECONDS,
            allow_reconnect=False,
            # Each server is tried twice without a pause, or whoever publishes would wait for two minutes.
            reconnect_time_wait=0,
            max_reconnect_attempts=1,
            error_cb=_say_nothing,
        )
        self._client = client
        return client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*BROKEN):
                await client.close()


async def _say_nothing(_error: Exception) -> None:
    """Every error is told to whoever publishes."""
