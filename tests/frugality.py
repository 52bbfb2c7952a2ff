"""What a request costs the process that answers it: its processor time, the memory it holds at once, and how long
everybody else has to wait for the loop meanwhile."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from kilonova.kit.http.client import Answer, enter

SECONDS = 2.0
"""Of processor time, and of the loop's absence: a multiple of what any answer takes, a fraction of work without a
bound."""
MOST_BYTES = 32 << 20


@asynccontextmanager
async def frugal(seconds: float = SECONDS, most_bytes: int = MOST_BYTES) -> AsyncIterator[None]:
    """What is done within it has to be cheap. Processor time is this process's own: whatever else runs on the machine
    does not count."""
    lag = 0.0

    async def watch() -> None:
        nonlocal lag
        while True:
            began = time.process_time()
            await asyncio.sleep(0.001)
            lag = max(lag, time.process_time() - began)

    tracemalloc.start()
    watcher = asyncio.create_task(watch())
    began = time.process_time()
    try:
        yield
        taken, (_now, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        watcher.cancel()
    assert taken < seconds, f"{taken:.2f} s of processor time"
    assert lag < seconds / 2, f"the loop was away for {lag:.2f} s"
    assert peak < most_bytes, f"{peak >> 20} MiB at once"


async def ask(app: ASGIApp, target: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
    """The answer to a request without a body. A client would look at each letter of a long query first, which costs
    more than to answer it."""
    path, _, query = target.partition("?")
    return await enter(app, method, path, query.encode(), headers, b"")
