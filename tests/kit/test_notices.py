"""Notices, read as a listener of oslo.messaging reads them.

On a private broker when `KILONOVA_TEST_BUS` is `rabbit` or `nats`.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from nats.aio.client import Client

from kilonova.kit.bus.notices import NotTaken, Publisher, seal
from kilonova.kit.bus.transport_url import BadTransportUrl
from kilonova.kit.bus.transports import make_publisher
from kilonova.kit.testing.brokers import NatsServer, RabbitMq
from kilonova.kit.testing.ports import free_ports

TOPIC = "versioned_notifications.info"
SOON_SECONDS = 15
BUS = os.environ.get("KILONOVA_TEST_BUS")
Read = Callable[[], Awaitable[bytes]]


@pytest.fixture
async def ending() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def listen(url: str, ending: AsyncExitStack, *, is_durable: bool = False) -> Read:
    """Declares exchange and queue as oslo.messaging does; returns what reads the next message."""
    connection = await aio_pika.connect(url)
    ending.push_async_callback(connection.close)
    channel = await connection.channel()
    exchange = await channel.declare_exchange("nova", aio_pika.ExchangeType.TOPIC, durable=is_durable)
    queue = await channel.declare_queue(TOPIC, durable=is_durable)
    await queue.bind(exchange, TOPIC)

    async def read() -> bytes:
        async with asyncio.timeout(SOON_SECONDS):
            while True:
                message = await queue.get(fail=False, no_ack=True)
                if message is not None:
                    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
                    return message.body
                await asyncio.sleep(0.02)

    return read


def publisher_to(url: str, ending: AsyncExitStack) -> Publisher:
    made = make_publisher(url, "nova")
    ending.push_async_callback(made.close)
    return made


def opened(body: bytes) -> Any:
    envelope = json.loads(body)
    assert set(envelope) == {"oslo.version", "oslo.message"}
    assert envelope["oslo.version"] == "2.0"
    return json.loads(envelope["oslo.message"])


if BUS == "rabbit":

    @pytest.fixture(scope="module")
    def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
        server = RabbitMq(tmp_path_factory.mktemp("rabbit"))
        server.start()
        yield server
        server.remove()

    async def test_a_listener_on_rabbitmq_gets_what_is_published(rabbit: RabbitMq, ending: AsyncExitStack) -> None:
        read, publisher = await listen(rabbit.url, ending), publisher_to(rabbit.url, ending)
        for number in range(2):
            await publisher.publish(TOPIC, seal({"event_type": "flavor.create", "payload": {"n": number}}))
        assert [opened(await read())["payload"]["n"] for _ in range(2)] == [0, 1]
        await publisher.publish("versioned_notifications.error", seal({}))
        await publisher.publish(TOPIC, seal({"event_type": "last"}))
        assert opened(await read()) == {"event_type": "last"}

    async def test_an_exchange_that_somebody_has_made_durable_is_used_as_it_is(
        tmp_path: Path, ending: AsyncExitStack
    ) -> None:
        own = RabbitMq(tmp_path / "rabbit")
        own.start()
        ending.callback(own.remove)
        read, publisher = await listen(own.url, ending, is_durable=True), publisher_to(own.url, ending)
        await publisher.publish(TOPIC, seal({"event_type": "flavor.create"}))
        assert opened(await read())["event_type"] == "flavor.create"

    async def test_a_broker_that_was_away_is_come_back_to(tmp_path: Path, ending: AsyncExitStack) -> None:
        own = RabbitMq(tmp_path / "rabbit")
        publisher = publisher_to(own.url, ending)
        with pytest.raises(NotTaken):
            await publisher.publish(TOPIC, seal({}))
        own.start()
        ending.callback(own.remove)
        await publisher.publish(TOPIC, seal({}))
        own.kill()
        with pytest.raises(NotTaken):
            await publisher.publish(TOPIC, seal({}))
        own.start()
        read = await listen(own.url, ending)
        await publisher.publish(TOPIC, seal({"event_type": "again"}))
        assert opened(await read())["event_type"] == "again"


if BUS == "nats":

    async def test_a_listener_on_nats_gets_what_is_published(tmp_path: Path, ending: AsyncExitStack) -> None:
        server = NatsServer(tmp_path / "nats")
        server.start()
        ending.callback(server.remove)
        client, heard = Client(), asyncio.Queue[bytes]()
        await client.connect(server.url)
        ending.push_async_callback(client.close)

        async def hear(message: Any) -> None:
            heard.put_nowait(message.data)

        await client.subscribe(f"nova.{TOPIC}", cb=hear)
        await client.flush()
        publisher = publisher_to(server.url, ending)
        await publisher.publish(TOPIC, seal({"event_type": "flavor.create"}))
        async with asyncio.timeout(SOON_SECONDS):
            assert opened(await heard.get())["event_type"] == "flavor.create"


@pytest.mark.parametrize("scheme", ["rabbit", "nats"])
async def test_whoever_publishes_hears_that_no_broker_is_there(ending: AsyncExitStack, scheme: str) -> None:
    (port,) = free_ports(1)
    publisher = publisher_to(f"{scheme}://127.0.0.1:{port}", ending)
    with pytest.raises(NotTaken):
        await publisher.publish(TOPIC, seal({}))


def test_the_envelope_holds_the_message_as_text() -> None:
    assert opened(seal({"event_type": "flavor.create"})) == {"event_type": "flavor.create"}


def test_what_is_no_broker_is_refused() -> None:
    with pytest.raises(BadTransportUrl):
        make_publisher("kafka://controller", "nova")
