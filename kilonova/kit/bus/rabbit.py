"""The bus over RabbitMQ.

Wake-ups go to one exchange, each process has one queue bound to the topics it listens to; calls go to the queue of
their topic, which whoever serves it shares, and are answered to the caller's own queue. Nothing is durable: what a
broker loses is found again in the database. A broker that goes away is come back to, or another of the URL's is taken,
and everything is declared there anew.
"""

import asyncio
import contextlib
import itertools
import random
import ssl
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError, PublishError

from kilonova.kit.bus.handlers import carry_out, deliver
from kilonova.kit.bus.interface import CallTimedOut, Handler, RemoteError, Unsubscribe
from kilonova.kit.bus.transport_url import Broker
from kilonova.kit.log import logger

log = logger(__name__)

EXCHANGE = "kilonova"
CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 15
MOST_PAUSE_SECONDS = 5.0
MOST_AT_ONCE = 200
"""Messages this process works on at a time; the broker keeps the others."""
IDLE_QUEUE_MS = 300_000
"""A topic's queue that nobody serves any more is gone after this long."""
BROKEN = (AMQPError, OSError, TimeoutError, asyncio.IncompleteReadError, RuntimeError)
"""Errors that a closing connection raises; RuntimeError is aio-pika's "closed"."""


@contextlib.contextmanager
def losses_named() -> Iterator[None]:
    """aiormq ends what is under way on a broken connection by cancelling it. Unless somebody has cancelled the task
    that waits, that is a loss like any other: ConnectionError, which is one of BROKEN.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the connection to the broker was closed") from error


async def connect_to(broker: Broker, tls: ssl.SSLContext | None) -> AbstractConnection:
    """Raises one of BROKEN."""
    with losses_named():
        return await aio_pika.connect(
            host=broker.host,
            port=broker.port,
            login=broker.user,
            password=broker.password,
            virtualhost=broker.virtual_host,
            ssl=tls is not None,
            ssl_context=tls,
            timeout=CONNECT_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
        )


class RabbitBus:
    """Made first, then `start`ed: what subscribes and serves before that is declared as soon as a broker answers."""

    def __init__(self, brokers: Sequence[Broker], tls: ssl.SSLContext | None = None) -> None:
        self._brokers = list(brokers)
        self._tls = tls
        self._subscribers: dict[str, list[Handler]] = defaultdict(list)
        self._servers: dict[str, Mapping[str, Handler]] = {}
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._deliveries: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._calling: AbstractChannel | None = None
        self._exchange: aio_pika.abc.AbstractExchange | None = None
        self._inbox: AbstractQueue | None = None
        self._served: dict[str, tuple[AbstractQueue, str]] = {}
        self._answers = ""
        self._declaring = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    # --- the connection ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to connect, and goes on doing so until closed; does not wait for a broker."""
        self._keeper = asyncio.create_task(self._keep_connected())

    async def _keep_connected(self) -> None:
        failures = 0
        for broker in itertools.cycle(self._brokers):
            try:
                connection = await self._connect(broker)
            except BROKEN as error:
                if failures == 0:
                    log.warning("no broker answers", broker=str(broker), reason=f"{type(error).__name__}: {error}")
                failures += 1
                # Many processes lose a broker in the same moment: they do not come back in the same one.
                await asyncio.sleep(random.uniform(0.1, min(0.5 * failures, MOST_PAUSE_SECONDS)))  # noqa: S311
                continue
            log.info("connected to a broker", broker=str(broker), failed_attempts=failures)
            failures = 0
            await self._stay(connection, broker)

    async def _connect(self, broker: Broker) -> AbstractConnection:
        connection = await connect_to(broker, self._tls)
        try:
            with losses_named():
                await self._declare(connection)
        except BROKEN:
            with contextlib.suppress(*BROKEN), losses_named():
                await connection.close()
            raise
        return connection

    async def _declare(self, connection: AbstractConnection) -> None:
        """Everything this process listens to, on a fresh connection."""
        channel = await connection.channel(publisher_confirms=False, on_return_raises=False)
        await channel.set_qos(prefetch_count=MOST_AT_ONCE)
        exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.DIRECT)
        inbox = await channel.declare_queue(exclusive=True)
        answers = await channel.declare_queue(exclusive=True)
        # Only a confirmed message comes back when no queue takes it: that is how a call learns that nobody serves.
        calling = await connection.channel(publisher_confirms=True, on_return_raises=True)
        async with self._declaring:
            self._channel, self._calling, self._exchange = channel, calling, exchange
            self._inbox, self._answers = inbox, answers.name
            self._served.clear()
            for topic in self._subscribers:
                await inbox.bind(exchange, topic)
            for topic in self._servers:
                await self._serve_on(channel, topic)
        await inbox.consume(self._on_message, no_ack=True)
        await answers.consume(self._on_answer, no_ack=True)
        self._connected.set()

    async def _stay(self, connection: AbstractConnection, broker: Broker) -> None:
        closed = asyncio.Event()
        connection.close_callbacks.add(lambda *_: closed.set())
        for channel in (self._channel, self._calling):
            if channel is not None:
                # A channel alone may be closed by the broker; it is renewed with its connection.
                channel.close_callbacks.add(lambda *_: closed.set())
        try:
            await closed.wait()
        finally:
            self._connected.clear()
            self._channel = self._calling = self._exchange = self._inbox = None
            with contextlib.suppress(*BROKEN), losses_named():
                await connection.close()
        log.warning("the broker went away", broker=str(broker))

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for delivery in list(self._deliveries):
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    # --- wake-ups ----------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: Any = None) -> None:
        exchange = self._exchange
        if exchange is None:
            log.debug("a message is lost: no broker", topic=topic)
            return
        message = aio_pika.Message(msgspec.msgpack.encode(payload), type=topic)
        try:
            with losses_named():
                await exchange.publish(message, routing_key=topic, mandatory=False)
        except BROKEN as error:
            log.debug("a message is lost", topic=topic, reason=str(error))

    def subscribe(self, topic: str, handler: Handler) -> Unsubscribe:
        is_first = not self._subscribers[topic]
        self._subscribers[topic].append(handler)
        if is_first:
            self._later(self._tell_broker(self._bind(topic)))
        return lambda: self._subscribers[topic].remove(handler)

    async def _bind(self, topic: str) -> None:
        async with self._declaring:
            if self._inbox is not None and self._exchange is not None:
                await self._inbox.bind(self._exchange, topic)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        topic = message.type or ""
        for handler in list(self._subscribers.get(topic, ())):
            self._later(deliver(topic, handler, msgspec.msgpack.decode(message.body)))

    async def _tell_broker(self, what: Awaitable[None]) -> None:
        """Says something over the present connection; what is lost with it, the next one is told anew."""
        try:
            with losses_named():
                await what
        except BROKEN as error:
            log.debug("not said: the broker went away", reason=str(error))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        delivery = asyncio.create_task(work)
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    # --- calls -------------------------------------------------------------------------------------------------------

    async def call(self, topic: str, method: str, payload: Any = None, *, timeout_seconds: float = 30.0) -> Any:
        call_id = uuid.uuid4().hex
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._calls[call_id] = answered
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._connected.wait()
                await self._send_call(topic, method, payload, call_id, timeout_seconds)
                answer = await answered
        except PublishError as error:
            raise CallTimedOut(f"nobody serves {topic}") from error
        except TimeoutError as error:
            raise CallTimedOut(f"{topic} did not answer {method} within {timeout_seconds:g} s") from error
        except BROKEN as error:
            raise CallTimedOut(f"{topic} could not be asked {method}: {error}") from error
        finally:
            del self._calls[call_id]
        if "nobody" in answer:
            raise CallTimedOut(f"nobody serves {topic}")
        if "error" in answer:
            raise RemoteError(*answer["error"])
        return answer["value"]

    async def _send_call(self, topic: str, method: str, payload: Any, call_id: str, timeout_seconds: float) -> None:
        if self._calling is None:
            raise ConnectionError("no broker")
        message = aio_pika.Message(
            msgspec.msgpack.encode({"method": method, "payload": payload}),
            correlation_id=call_id,
            reply_to=self._answers,
            # A call nobody waits for any more is not made.
            expiration=timeout_seconds,
        )
        with losses_named():
            await self._calling.default_exchange.publish(message, routing_key=_queue_of(topic), mandatory=True)

    async def _on_answer(self, message: AbstractIncomingMessage) -> None:
        answered = self._calls.get(message.correlation_id or "")
        if answered is not None and not answered.done():
            answered.set_result(msgspec.msgpack.decode(message.body))

    # --- serving -----------------------------------------------------------------------------------------------------

    def serve(self, topic: str, methods: Mapping[str, Handler]) -> Unsubscribe:
        if topic in self._servers:
            raise ValueError(f"{topic} is already served in this process")
        self._servers[topic] = methods
        self._later(self._tell_broker(self._serve_now(topic)))

        def stop() -> None:
            self._servers.pop(topic, None)
            self._later(self._tell_broker(self._stop_serving(topic)))

        return stop

    async def _serve_now(self, topic: str) -> None:
        async with self._declaring:
            if self._channel is not None and topic in self._servers and topic not in self._served:
                await self._serve_on(self._channel, topic)

    async def _serve_on(self, channel: AbstractChannel, topic: str) -> None:
        queue = await channel.declare_queue(_queue_of(topic), auto_delete=True, arguments={"x-expires": IDLE_QUEUE_MS})

        async def answer(message: AbstractIncomingMessage) -> None:
            self._later(self._tell_broker(self._answer(topic, message)))

        tag = await queue.consume(answer, no_ack=True)
        self._served[topic] = (queue, tag)

    async def _stop_serving(self, topic: str) -> None:
        async with self._declaring:
            served = self._served.pop(topic, None)
            if served is not None:
                await served[0].cancel(served[1])

    async def _answer(self, topic: str, message: AbstractIncomingMessage) -> None:
        asked = msgspec.msgpack.decode(message.body)
        answer: dict[str, Any]
        try:
            if topic not in self._servers:
                # It came while this process was taking its leave.
                answer = {"nobody": True}
            else:
                answer = {
                    "value": await carry_out(topic, self._servers.get(topic, {}), asked["method"], asked["payload"])
                }
        except RemoteError as error:
            answer = {"error": [error.kind, error.message]}
        channel = self._channel
        if channel is not None and message.reply_to:
            reply = aio_pika.Message(msgspec.msgpack.encode(answer), correlation_id=message.correlation_id)
            await channel.default_exchange.publish(reply, routing_key=message.reply_to, mandatory=False)


def _queue_of(topic: str) -> str:
    return f"kilonova.{topic}"
