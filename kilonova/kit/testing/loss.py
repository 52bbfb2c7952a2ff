"""A bus that loses some of what is said on it: at random, but the same again for the same seed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kilonova.kit.bus import CallTimedOut, InProcessBus


@contextmanager
def losing(bus: InProcessBus, *, share: float, seed: int) -> Iterator[list[str]]:
    """Loses `share` of the wake-ups and of the calls, half of these on their way and half on their way back.

    Yields a list of what was lost, in order.
    """
    chance = random.Random(seed)  # noqa: S311 - told again, not kept secret
    lost: list[str] = []
    publish, call = bus.publish, bus.call

    async def lossy_publish(topic: str, payload: Any = None) -> None:
        if chance.random() < share:
            lost.append(f"publish {topic}")
            return
        await publish(topic, payload)

    async def lossy_call(topic: str, method: str, payload: Any = None, *, timeout_seconds: float = 30.0) -> Any:
        fate = chance.random()
        if fate < share / 2:
            lost.append(f"call {topic} {method}")
            raise CallTimedOut(f"{topic} did not answer {method} within {timeout_seconds:g} s")
        answer = await call(topic, method, payload, timeout_seconds=timeout_seconds)
        if fate < share:
            lost.append(f"answer {topic} {method}")
            raise CallTimedOut(f"{topic} did not answer {method} within {timeout_seconds:g} s")
        return answer

    bus.publish, bus.call = lossy_publish, lossy_call  # type: ignore[method-assign]
    try:
        yield lost
    finally:
        bus.publish, bus.call = publish, call  # type: ignore[method-assign]
