"""Turns at hashing: fair among addresses, and among the accounts of one."""

import asyncio

import pytest

from kilonova.identity import turns
from kilonova.identity.errors import TooManyLogIns
from kilonova.identity.turns import Turns
from kilonova.kit.errors import ServiceUnavailable


class Crowd:
    """Log-ins that come in and are worked on one after the other, when they are told to end."""

    def __init__(self, at_once: int = 1) -> None:
        self.turns = Turns(at_once)
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.end = asyncio.Event()

    async def come(self, address: str, account: str, times: int = 1) -> None:
        for number in range(times):
            self.tasks.append(asyncio.create_task(self._log_in(address, account, f"{address}/{account}/{number}")))
            await asyncio.sleep(0)

    async def _log_in(self, address: str, account: str, name: str) -> None:
        async with self.turns.turn(address, account):
            self.order.append(name)
            await self.end.wait()
            await asyncio.sleep(0)

    async def finish(self) -> list[str]:
        self.end.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.order


async def test_addresses_take_turns_and_so_do_accounts_of_one_address() -> None:
    crowd = Crowd()
    await crowd.come("a", "guessed", 4)
    await crowd.come("a", "other", 2)
    await crowd.come("b", "user")
    await crowd.come("c", "user")
    assert await crowd.finish() == [
        "a/guessed/0",
        "a/guessed/1",
        "b/user/0",
        "c/user/0",
        "a/other/0",
        "a/guessed/2",
        "a/other/1",
        "a/guessed/3",
    ]


async def test_300_of_one_address_let_everybody_else_through_at_once() -> None:
    crowd = Crowd(at_once=2)
    await crowd.come("a", "guessed", 300)
    await crowd.come("b", "user")
    order = await crowd.finish()
    assert order.index("b/user/0") <= 4
    assert len(order) == 301


async def test_as_many_are_worked_on_at_once_as_may_be() -> None:
    crowd = Crowd(at_once=2)
    await crowd.come("a", "user", 5)
    assert len(crowd.order) == 2
    await crowd.finish()
    async with crowd.turns.turn("a", "user"), crowd.turns.turn("b", "user"):
        await crowd.come("c", "user")
        assert len(crowd.order) == 5
    await crowd.finish()
    assert len(crowd.order) == 6


async def test_who_goes_away_leaves_the_turn_to_the_next() -> None:
    crowd = Crowd()
    await crowd.come("a", "user", 4)
    crowd.tasks[1].cancel()
    crowd.tasks[0].cancel()
    # Both in one moment: the turn has come to one that is gone.
    await asyncio.sleep(0)
    crowd.tasks[2].cancel()
    assert await crowd.finish() == ["a/user/0", "a/user/3"]
    async with crowd.turns.turn("a", "user"):
        pass


async def test_one_address_may_not_wait_too_often_nor_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_WAITING_OF_ADDRESS", 3)
    monkeypatch.setattr(turns, "MOST_WAITING", 5)
    crowd = Crowd()
    await crowd.come("a", "user", 4)
    with pytest.raises(TooManyLogIns, match="from your address"):
        await crowd.turns.turn("a", "another").__aenter__()
    await crowd.come("b", "user", 2)
    with pytest.raises(ServiceUnavailable, match="Too many log-ins"):
        await crowd.turns.turn("c", "user").__aenter__()
    assert len(await crowd.finish()) == 6
