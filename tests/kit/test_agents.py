"""Agents: registration, calls, liveness."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct

from kilonova.kit.agents import (
    Agent,
    AgentCalls,
    AgentInfo,
    AgentUnreachable,
    Call,
    Liveness,
    NoArguments,
    Pace,
    Served,
)
from kilonova.kit.agents.calls import agent_topic
from kilonova.kit.bus import InProcessBus, RemoteError
from kilonova.kit.testing import FakeClock


async def nothing() -> None:
    return None


class Sum(Struct):
    number: int
    key: bytes = b""


class Result(Struct):
    number: int
    key: bytes
    since: datetime


DOUBLE = Call("double", Sum, Result)
REFUSE = Call("refuse", NoArguments, type(None))


def make_agent(bus: InProcessBus, converge: Any = nothing, serves: Iterable[Served] = ()) -> Agent:
    return Agent(AgentInfo("agent", "node1"), bus, "registry", serves=serves, converge=converge, pace=Pace(0.01))


async def double(asked: Sum) -> Result:
    return Result(asked.number * 2, asked.key, datetime(2026, 1, 1, tzinfo=UTC))


async def refuse(_asked: NoArguments) -> None:
    raise ValueError("the disk is full")


async def test_a_call_reaches_the_agent_and_its_refusal_comes_back() -> None:
    bus = InProcessBus()
    stop = make_agent(bus, serves=[DOUBLE.served_by(double), REFUSE.served_by(refuse)]).serve()
    calls = AgentCalls(bus, "agent", timeout_seconds=1)
    answer = await calls.call("node1", DOUBLE, Sum(4, b"\xff"))
    assert answer == Result(8, b"\xff", datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(RemoteError, match="the disk is full") as error:
        await calls.call("node1", REFUSE, NoArguments())
    assert error.value.kind == "ValueError"
    stop()
    with pytest.raises(AgentUnreachable, match="agent on host node1"):
        await calls.call("node1", DOUBLE, Sum(4))


async def test_arguments_that_are_not_as_declared_are_refused_with_the_reason() -> None:
    bus = InProcessBus()
    make_agent(bus, serves=[DOUBLE.served_by(double)]).serve()
    with pytest.raises(RemoteError, match=r"Expected `int`, got `str` - at `\$.number`"):
        await bus.call(agent_topic("agent", "node1"), "double", {"number": "four"})


async def test_an_agent_registers_until_it_is_answered_and_survives_a_failing_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kilonova.kit.agents.agent.REGISTER_RETRY_SECONDS", 0.01)
    bus, passes, registered = InProcessBus(), 0, asyncio.Event()

    async def fail() -> None:
        nonlocal passes
        passes += 1
        raise OSError("no such device")

    async def register(payload: Any) -> None:
        registered.set()

    running = asyncio.create_task(make_agent(bus, fail).run())
    await asyncio.sleep(0.02)
    bus.serve("registry", {"register": register})
    async with asyncio.timeout(5):
        await registered.wait()
        while passes < 3:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_agent_whose_passes_go_well_looks_less_and_less_often_until_it_is_woken() -> None:
    is_full = False

    async def converge() -> None:
        if is_full:
            raise ValueError("the disk is full")

    agent = Agent(AgentInfo("agent", "node1"), InProcessBus(), "registry", converge=converge, pace=Pace(0.01, 0.04))

    async def look_again() -> None:
        agent._woken.clear()
        await agent._pass_and_rest()
        await agent._wait()

    for seconds in (0.01, 0.02, 0.04, 0.04):
        assert agent._pause_seconds == seconds
        await look_again()
    is_full = True
    await agent.pass_once()
    assert agent._pause_seconds == 0.01, "a pass that failed is tried again soon"
    is_full = False
    await look_again()
    agent.wake()
    await agent._wait()
    assert agent._pause_seconds == 0.01, "and one that was woken has news"


async def test_an_agent_is_down_when_it_leaves_questions_unanswered_and_up_at_its_next_answer() -> None:
    bus, clock = InProcessBus(), FakeClock()
    liveness = Liveness(bus, clock, interval_seconds=5, leeway_seconds=20)
    key = ("agent", "node1")
    assert not liveness.is_alive(*key)
    stop = make_agent(bus).serve()
    await liveness.ask([key])
    assert liveness.is_alive(*key)
    stop()
    for _ in range(3):
        await liveness.ask([key])
        assert liveness.is_alive(*key)
    await liveness.ask([key])
    assert not liveness.is_alive(*key)
    make_agent(bus).serve()
    await liveness.ask([key])
    assert liveness.is_alive(*key)
    assert liveness.skew_seconds(*key) is not None


async def test_what_one_process_has_heard_the_others_need_not_ask() -> None:
    bus, clock, key = InProcessBus(), FakeClock(), ("agent", "node1")
    one, other = (Liveness(bus, clock, interval_seconds=5, leeway_seconds=20) for _ in range(2))
    asked = 0

    async def ping(_payload: Any) -> dict[str, str]:
        nonlocal asked
        asked += 1
        return {"now": clock.now().isoformat()}

    stop = bus.serve(agent_topic(*key), {"ping": ping})
    for seconds, count in ((0, 1), (2, 1), (3, 2), (2, 2)):
        clock.advance(seconds)
        for liveness in (one, other):
            await liveness.look([key])
            await asyncio.sleep(0)
        assert asked == count
    assert other.is_alive(*key)
    assert other.skew_seconds(*key) == 0
    stop()
    for _ in range(4):
        assert one.is_alive(*key) and other.is_alive(*key)
        clock.advance(5)
        for liveness in (one, other):
            await liveness.look([key])
    assert not one.is_alive(*key) and not other.is_alive(*key)


async def test_a_process_that_an_agent_registers_with_tells_the_others() -> None:
    bus = InProcessBus()
    one, other = Liveness(bus), Liveness(bus)
    await one.announce("agent", "node1")
    await asyncio.sleep(0)
    assert other.is_alive("agent", "node1")


async def test_what_the_asker_itself_slept_through_counts_against_nobody() -> None:
    bus, clock = InProcessBus(), FakeClock()
    liveness = Liveness(bus, clock, interval_seconds=5, leeway_seconds=20)
    liveness.heard("agent", "node1")
    clock.advance(3600)
    assert liveness.is_alive("agent", "node1")
    assert liveness.seconds_since_answer("agent", "node1") == 3600


async def test_an_agent_that_never_answered_is_awaited_for_a_while_and_one_that_fell_silent_is_not() -> None:
    bus, key = InProcessBus(), ("agent", "node1")
    liveness = Liveness(bus, FakeClock(), interval_seconds=5, leeway_seconds=20)
    for _ in range(12):
        assert liveness.is_awaited(*key)
        await liveness.ask([key])
    assert not liveness.is_awaited(*key)
    liveness = Liveness(bus, FakeClock(), interval_seconds=5, leeway_seconds=20)
    liveness.heard(*key)
    for _ in range(4):
        await liveness.ask([key])
    assert not liveness.is_alive(*key) and not liveness.is_awaited(*key)


async def test_a_host_that_cannot_be_described_keeps_its_agent_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilonova.kit.agents.agent.REGISTER_RETRY_SECONDS", 0.01)
    bus, tries = InProcessBus(), 0

    async def describe() -> dict[str, int]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("libvirtd does not start")
        return {"vcpus": 1}

    async def register(payload: Any) -> None:
        assert payload["details"] == {"vcpus": 1}

    bus.serve("registry", {"register": register})
    agent = Agent(AgentInfo("agent", "node1"), bus, "registry", converge=nothing, describe=describe)
    async with asyncio.timeout(5):
        await agent.register()
    assert tries == 3
