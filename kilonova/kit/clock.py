"""The time, as something that can be handed in: programs and leases are tested without waiting."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC: for what is stored and shown."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for liveness and time-outs on this host."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def iso8601(moment: datetime) -> str:
    """`2026-11-20T08:16:00Z`, the form most of OpenStack's APIs use."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso8601_micro(moment: datetime) -> str:
    """`2026-11-20T08:16:00.000000`, the form identity and compute's diagnostics use."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
