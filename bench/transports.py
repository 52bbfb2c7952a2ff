"""What a call over each transport costs: two ends, each with a connection of its own, on one machine."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.load import Figure
from kilonova.kit.bus import Bus, CallTimedOut, InProcessBus
from kilonova.kit.bus.transports import make_bus
from kilonova.kit.testing.brokers import NatsServer, RabbitMq

PAYLOAD = {"id": "5b3f3c1e-8a0b-4c7e-9f0a-2f2b2d5c7a10", "numbers": list(range(50))}
AT_ONCE = 32


def measure(scratch: Path, seconds: float) -> list[Figure]:
    figures = asyncio.run(_in_process(seconds))
    for name, kind in (("RabbitMQ", RabbitMq), ("NATS", NatsServer)):
        broker = kind(scratch / name)
        broker.start()
        try:
            figures += asyncio.run(_brokered(name, broker.url, seconds))
        finally:
            broker.remove()
    return figures


async def _in_process(seconds: float) -> list[Figure]:
    bus = InProcessBus()
    try:
        return await _calls("in process", bus, bus, seconds)
    finally:
        await bus.close()


async def _brokered(name: str, url: str, seconds: float) -> list[Figure]:
    async with _connected(url) as here, _connected(url) as there:
        return await _calls(name, here, there, seconds)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Bus]:
    bus = make_bus(url)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def _calls(name: str, here: Bus, there: Bus, seconds: float) -> list[Figure]:
    async def echo(payload: Any) -> Any:
        return payload

    there.serve("bench", {"echo": echo})
    while True:
        try:
            await here.call("bench", "echo", PAYLOAD, timeout_seconds=1)
            break
        except CallTimedOut:
            await asyncio.sleep(0.05)
    alone = await _timed(here, 1, seconds)
    together = await _timed(here, AT_ONCE, seconds)
    return [
        Figure(f"a call, {name}", f"{statistics.median(alone) * 1000:.2f} ms", "median, one at a time"),
        Figure(
            f"calls, {name}", f"{len(together) / seconds:.0f} per s", f"{AT_ONCE} at once, both ends in one process"
        ),
    ]


async def _timed(bus: Bus, workers: int, seconds: float) -> list[float]:
    """What each call took."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def work() -> None:
        while (began := time.perf_counter()) < until:
            await bus.call("bench", "echo", PAYLOAD)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(workers)))
    return took
