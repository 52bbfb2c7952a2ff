"""What every transport does, told once and run on each.

In-process always; RabbitMQ or NATS when `KILONOVA_TEST_BUS` is `rabbit` or `nats`, on a private broker.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from kilonova.kit.bus import Bus, CallTimedOut, InProcessBus, RemoteError
from kilonova.kit.bus.rabbit import losses_named
from kilonova.kit.bus.transport_url import BadTransportUrl, Broker, parse_transport_url
from kilonova.kit.bus.transports import make_bus
from kilonova.kit.testing.brokers import NatsServer, RabbitMq
from kilonova.kit.testing.certificates import make_certificates

TRANSPORTS = ["in-process", *filter(None, [os.environ.get("KILONOVA_TEST_BUS")])]
SOON_SECONDS = 15


BROKERS: dict[str, type[RabbitMq | NatsServer]] = {"rabbit": RabbitMq, "nats": NatsServer}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq | NatsServer]:
    server = BROKERS[TRANSPORTS[1]](tmp_path_factory.mktemp("broker"))
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=TRANSPORTS)
async def buses(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Bus, Bus]]:
    """Two ends: the same bus in one process, two connections on a broker."""
    async with AsyncExitStack() as ending:
        if request.param == "in-process":
            bus = InProcessBus()
            ending.push_async_callback(bus.close)
            yield bus, bus
        else:
            url = request.getfixturevalue("broker").url
            ends = make_bus(url), make_bus(url)
            for each in ends:
                await each.start()
                ending.push_async_callback(each.close)
            yield ends


async def eventually(condition: Callable[[], Any]) -> None:
    """What is published before the other end listens is lost, on any transport: so it is said again."""
    async with asyncio.timeout(SOON_SECONDS):
        while not await condition():
            await asyncio.sleep(0.05)


async def answers(bus: Bus, topic: str, method: str, payload: Any = None) -> Any:
    """The answer, once somebody serves the topic."""
    async with asyncio.timeout(SOON_SECONDS):
        while True:
            try:
                return await bus.call(topic, method, payload, timeout_seconds=1)
            except CallTimedOut:
                await asyncio.sleep(0.05)


async def test_every_listener_hears_what_is_published(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    heard: list[list[Any]] = [[], []]

    async def hear(payload: Any) -> None:
        heard[0].append(payload)

    async def hear_too(payload: Any) -> None:
        heard[1].append(payload)

    here.subscribe("compute.wake", hear)
    stop = there.subscribe("compute.wake", hear_too)

    async def told() -> bool:
        await here.publish("compute.wake", {"id": "x", "raw": b"\0\xff"})
        await asyncio.sleep(0)
        return bool(heard[0] and heard[1])

    await eventually(told)
    assert heard[0][0] == heard[1][0] == {"id": "x", "raw": b"\0\xff"}
    stop()
    await asyncio.sleep(0.1)
    count = len(heard[1])
    heard[0].clear()
    await here.publish("compute.wake")

    async def heard_again() -> bool:
        return heard[0] != []

    await eventually(heard_again)
    assert (heard[0][-1], len(heard[1])) == (None, count)


async def test_a_listener_that_fails_ends_nothing(buses: tuple[Bus, Bus], caplog: pytest.LogCaptureFixture) -> None:
    here, there = buses
    heard = []

    async def fail(_payload: Any) -> None:
        raise RuntimeError("what a closing connection raises too")

    async def hear(payload: Any) -> None:
        heard.append(payload)

    there.subscribe("topic", fail)
    there.subscribe("topic", hear)

    async def told() -> bool:
        await here.publish("topic", 1)
        await asyncio.sleep(0)
        return len(heard) > 1

    await eventually(told)
    assert "a message could not be handled" in caplog.text


async def test_a_call_is_answered_refused_or_unknown(buses: tuple[Bus, Bus]) -> None:
    here, there = buses

    async def add(payload: Any) -> Any:
        return {"sum": sum(payload["numbers"])}

    async def refuse(_payload: Any) -> Any:
        raise PermissionError("not yours")

    there.serve("nova-compute.node1", {"add": add, "refuse": refuse})
    assert await answers(here, "nova-compute.node1", "add", {"numbers": [1, 2, 3]}) == {"sum": 6}
    with pytest.raises(RemoteError, match="not yours") as refused:
        await here.call("nova-compute.node1", "refuse")
    assert refused.value.kind == "PermissionError"
    with pytest.raises(RemoteError, match="no method fly"):
        await here.call("nova-compute.node1", "fly")


async def test_a_topic_nobody_serves_is_known_at_once(buses: tuple[Bus, Bus]) -> None:
    here, there = buses

    async def answer(_payload: Any) -> Any:
        return 1

    stop = there.serve("nova-compute.node2", {"ping": answer})
    assert await answers(here, "nova-compute.node2", "ping") == 1
    stop()

    async def is_gone() -> bool:
        try:
            await here.call("nova-compute.node2", "ping", timeout_seconds=2)
        except CallTimedOut as error:
            return "nobody serves" in str(error)
        return False

    await eventually(is_gone)
    with pytest.raises(CallTimedOut, match="nobody serves"):
        await asyncio.wait_for(here.call("nova-compute.nowhere", "ping", timeout_seconds=30), 5)


async def test_one_that_does_not_answer_is_given_up(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    asked = asyncio.Event()

    async def sleep(_payload: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    there.serve("deaf", {"ping": sleep})

    async def is_given_up() -> bool:
        with pytest.raises(CallTimedOut):
            await here.call("deaf", "ping", timeout_seconds=0.2)
        return asked.is_set()

    await eventually(is_given_up)


async def test_a_large_payload_passes(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    document = [{"id": str(number), "addresses": ["10.0.0.1"] * 20} for number in range(10_000)]

    async def echo(payload: Any) -> Any:
        return payload

    there.serve("echo", {"say": echo})
    assert await answers(here, "echo", "say", document) == document


async def test_a_topic_is_served_once_in_a_process(buses: tuple[Bus, Bus]) -> None:
    here, _there = buses
    here.serve("once", {})
    with pytest.raises(ValueError, match="already served"):
        here.serve("once", {})


if len(TRANSPORTS) > 1:
    # Between two ends of one process nothing is that could go away.

    async def test_a_broker_that_is_killed_and_comes_back_is_found_again(broker: RabbitMq | NatsServer) -> None:
        here, there = make_bus(broker.url), make_bus(broker.url)
        heard = []

        async def hear(payload: Any) -> None:
            heard.append(payload)

        async def answer(payload: Any) -> Any:
            return payload

        for each in (here, there):
            await each.start()
        there.subscribe("topic", hear)
        there.serve("echo", {"say": answer})
        assert await answers(here, "echo", "say", 1) == 1
        await asyncio.to_thread(broker.kill)
        await here.publish("topic", "lost")
        with pytest.raises(CallTimedOut):
            await here.call("echo", "say", 2, timeout_seconds=1)
        await asyncio.to_thread(broker.start)
        assert await answers(here, "echo", "say", 3) == 3

        async def told() -> bool:
            await here.publish("topic", "again")
            await asyncio.sleep(0.05)
            return "again" in heard

        await eventually(told)
        for each in (here, there):
            await each.close()

    async def test_a_broker_that_speaks_tls_is_believed_by_its_authority_only(
        tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        certificates = make_certificates(tmp_path / "certificates")
        server = BROKERS[TRANSPORTS[1]](tmp_path / "broker", certificates)
        server.start()
        trusting = ssl.create_default_context(cafile=str(certificates.authority))
        here, there, stranger = (
            make_bus(server.url, tls) for tls in (trusting, trusting, ssl.create_default_context())
        )

        async def answer(payload: Any) -> Any:
            return payload

        there.serve("echo", {"say": answer})
        try:
            for each in (here, there, stranger):
                await each.start()
            assert await answers(here, "echo", "say", 1) == 1
            with pytest.raises(CallTimedOut):
                await stranger.call("echo", "say", 2, timeout_seconds=2)
            (told,) = [
                vars(each)["fields"]["reason"] for each in caplog.records if each.getMessage() == "no broker answers"
            ]
            assert "CERTIFICATE_VERIFY_FAILED" in told
        finally:
            for each in (here, there, stranger):
                await each.close()
            server.remove()


async def test_a_connection_that_ends_cancels_nobody() -> None:
    """The client library ends what is under way on it with CancelledError."""

    async def lose(ending: asyncio.Future[None]) -> str:
        try:
            with losses_named():
                await ending
        except ConnectionError:
            return "lost"
        return "sent"

    ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    losing = asyncio.create_task(lose(ending))
    await asyncio.sleep(0)
    ending.cancel()
    assert await losing == "lost"

    cancelled = asyncio.create_task(lose(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rabbit://openstack:pass@controller", [Broker("controller", 5672, "openstack", "pass", "/")]),
        ("rabbit://openstack:p%40ss@controller:5673/", [Broker("controller", 5673, "openstack", "p@ss", "/")]),
        ("rabbit://controller/cloud", [Broker("controller", 5672, "guest", "guest", "cloud")]),
        (
            "rabbit://u:p@one:1,v:q@[::1]:2/a%2Fb?ssl=1",
            [Broker("one", 1, "u", "p", "a/b"), Broker("::1", 2, "v", "q", "a/b")],
        ),
        ("nats://controller", [Broker("controller", 4222, "", "", "/")]),
    ],
)
def test_transport_urls_are_read(url: str, expected: list[Broker]) -> None:
    assert parse_transport_url(url) == expected


@pytest.mark.parametrize("url", ["amqp://x", "controller:5672", "rabbit://u:secret@", "rabbit://u:secret@h:99999"])
def test_a_transport_url_that_cannot_be_meant_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadTransportUrl) as refused:
        parse_transport_url(url)
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(Broker("h", 1, "u", "secret", "/"))
