"""Delays of addresses that fail to log in."""

import asyncio

import pytest

from kilonova.identity import delays
from kilonova.identity.delays import FORGIVEN_EVERY_SECONDS, MOST_SECONDS, Delays, source_of
from kilonova.identity.errors import TooManyLogIns
from kilonova.kit.testing.clock import FakeClock


def test_a_few_failures_are_free_and_then_the_delay_doubles() -> None:
    clock = FakeClock()
    waits = Delays(clock, 3)
    seconds = []
    for _ in range(10):
        seconds.append(waits.seconds("a"))
        waits.failed("a")
    assert seconds == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 4, 4]
    assert waits.seconds("b") == 0
    assert seconds[-1] == MOST_SECONDS


def test_failures_are_forgiven_one_by_one() -> None:
    clock = FakeClock()
    waits = Delays(clock, 1)
    for _ in range(3):
        waits.failed("a")
    clock.advance(FORGIVEN_EVERY_SECONDS)
    assert waits.seconds("a") == 0.5
    clock.advance(2 * FORGIVEN_EVERY_SECONDS)
    assert waits.seconds("a") == 0


async def test_nobody_is_delayed_when_that_is_off() -> None:
    clock = FakeClock()
    waits = Delays(clock, 0)
    for _ in range(50):
        waits.failed("a")
    before = clock.monotonic()
    await waits.wait("a")
    assert clock.monotonic() == before


async def test_only_so_many_of_one_address_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delays, "MOST_WAITING", 2)
    waiting = asyncio.Event()

    class Standing(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await waiting.wait()

    waits = Delays(Standing(), 1)
    waits.failed("a")
    tasks = [asyncio.create_task(waits.wait("a")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyLogIns):
        await waits.wait("a")
    waiting.set()
    await asyncio.gather(*tasks)
    await waits.wait("a")


def test_addresses_without_end_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delays, "MOST_ADDRESSES", 2)
    waits = Delays(FakeClock(), 1)
    for address in "abc":
        waits.failed(address)
    assert [waits.seconds(address) > 0 for address in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_what_counts_as_one_address(address: str, source: str) -> None:
    assert source_of(address) == source
