"""Passes of many agents in one process: those that can wait take turns, on a clock that the test moves."""

import asyncio
import selectors
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from kilonova.kit.agents import Agent, AgentInfo, Pace, Turns
from kilonova.kit.agents.turns import AT_ONCE, LONGEST_TURN_SECONDS, SHARE, Turn
from kilonova.kit.bus import InProcessBus

PASS_SECONDS = 0.001
HOSTS = 200


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: the time passes at once."""

    loop: "Loop"

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """Counts its iterations; its time is what is waited for, and what passes add that hold it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.iterations = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        self.iterations += 1
        super()._run_once()  # type: ignore[misc]


class Hosts:
    """Agents whose passes hold the loop, and the passes they have taken."""

    def __init__(self, loop: Loop, count: int, interval_seconds: float) -> None:
        self._loop = loop
        self.passes: list[tuple[int, int, float]] = []
        """(number of the host, iteration of the loop, when it began)"""
        self.registrations: list[int] = []
        """The iterations of the loop in which agents registered."""
        bus, turns = InProcessBus(), Turns(loop.time)
        bus.serve("registry", {"register": self._register})
        self.agents = [self._agent(number, bus, turns, interval_seconds) for number in range(count)]
        self._work = [loop.create_task(agent.run()) for agent in self.agents]

    def _agent(self, number: int, bus: InProcessBus, turns: Turns, interval_seconds: float) -> Agent:
        async def look() -> None:
            self.passes.append((number, self._loop.iterations, self._loop.now))
            self._loop.now += PASS_SECONDS

        info, pace = AgentInfo("agent", f"node{number}"), Pace(interval_seconds)
        return Agent(info, bus, "registry", converge=look, pace=pace, turns=turns)

    async def _register(self, _payload: Any) -> None:
        self.registrations.append(self._loop.iterations)

    async def looked(self, times: int) -> Sequence[tuple[int, int, float]]:
        """Waits for as many passes, and returns them."""
        while len(self.passes) < times:
            await asyncio.sleep(PASS_SECONDS / 10)
        return self.passes[:times]

    async def stop(self) -> None:
        for each in self._work:
            each.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)


def run(story: Coroutine[Any, Any, None], loop: Loop) -> None:
    try:
        loop.run_until_complete(story)
    finally:
        loop.close()


def are_in_turn(passes: Sequence[tuple[int, int, float]]) -> bool:
    """Whether few have an iteration in common, and all together no more than their share of the loop."""
    together = Counter(iteration for _, iteration, _ in passes)
    seconds = passes[-1][2] - passes[0][2]
    has_share = (len(passes) - AT_ONCE) * PASS_SECONDS <= SHARE * seconds + 1e-6
    return max(together.values()) <= AT_ONCE and has_share


def test_a_burst_of_looks_that_can_wait_comes_in_turn_and_what_is_urgent_before_the_others() -> None:
    loop = Loop()

    async def story() -> None:
        hosts = Hosts(loop, HOSTS, interval_seconds=600.0)
        first = await hosts.looked(HOSTS)
        assert are_in_turn(first), "their first passes are not urgent either"
        hosts.passes.clear()
        for agent in hosts.agents:
            agent.wake_soon()
        await hosts.looked(50)
        urgent = [HOSTS - 1, HOSTS - 2]
        for number in urgent:
            hosts.agents[number].wake()
        await hosts.looked(52)
        assert [number for number, _, _ in hosts.passes[50:52]] == urgent
        rest = await hosts.looked(HOSTS)
        assert are_in_turn(rest[:50]) and are_in_turn(rest[52:])
        assert rest[-1][2] - rest[0][2] < 1.3 * HOSTS * PASS_SECONDS / SHARE, "nobody waits longer than for the others"
        await asyncio.sleep(10)
        assert sorted(number for number, _, _ in hosts.passes) == list(range(HOSTS)), "one look is enough for both"
        await hosts.stop()

    run(story(), loop)


def test_agents_that_are_started_together_register_one_in_an_iteration() -> None:
    loop = Loop()

    async def story() -> None:
        hosts = Hosts(loop, HOSTS, interval_seconds=600.0)
        await hosts.looked(HOSTS)
        assert len(hosts.registrations) == HOSTS
        assert max(Counter(hosts.registrations).values()) == 1
        await hosts.stop()

    run(story(), loop)


def test_who_always_wants_another_look_starves_nobody() -> None:
    loop = Loop()

    async def story() -> None:
        hosts = Hosts(loop, 20, interval_seconds=600.0)
        await hosts.looked(20)
        hosts.passes.clear()
        for _ in range(200):
            for agent in hosts.agents[:5]:
                agent.wake_soon()
            hosts.agents[19].wake_soon()
            await asyncio.sleep(PASS_SECONDS)
        looks = [sum(number == each for number, _, _ in hosts.passes) for each in (0, 1, 2, 3, 4, 19)]
        assert min(looks) > 1 and max(looks) - min(looks) <= 1
        assert are_in_turn(hosts.passes)
        await hosts.stop()

    run(story(), loop)


def test_periodic_passes_take_turns_and_come_less_often_where_there_are_too_many() -> None:
    loop = Loop()

    async def story() -> None:
        # Twice as many as fit into a quarter of the loop.
        hosts = Hosts(loop, HOSTS, interval_seconds=HOSTS * PASS_SECONDS / SHARE / 2)
        assert are_in_turn(await hosts.looked(6 * HOSTS))
        looks = [sum(number == each for number, _, _ in hosts.passes) for each in range(HOSTS)]
        assert min(looks) >= 4
        await hosts.stop()

    run(story(), loop)


def test_a_lone_agent_looks_as_soon_as_it_is_asked_to() -> None:
    loop = Loop()

    async def story() -> None:
        hosts = Hosts(loop, 1, interval_seconds=600.0)
        await hosts.looked(1)
        await asyncio.sleep(1)
        for seconds in (0.0, 0.5):
            hosts.passes.clear()
            asked_at = loop.now
            hosts.agents[0].wake_soon(seconds)
            ((_, _, at),) = await hosts.looked(1)
            assert at == pytest.approx(asked_at + seconds, abs=1e-6)
            await asyncio.sleep(1)
        await hosts.stop()

    run(story(), loop)


def test_a_turn_that_lasts_long_holds_up_nobody_for_ever() -> None:
    loop = Loop()
    began: list[tuple[str, float]] = []

    def ask(turns: Turns, name: str) -> Turn:
        return turns.ask(lambda: began.append((name, loop.now - 1000.0)))

    async def story() -> None:
        turns = Turns(loop.time)
        one, other, third = (ask(turns, name) for name in ("one", "other", "third"))
        ask(turns, "none").cancel()
        await asyncio.sleep(PASS_SECONDS)
        with one, other:
            await asyncio.sleep(2 * LONGEST_TURN_SECONDS)
        with third:
            loop.now += PASS_SECONDS
        assert [name for name, _ in began] == ["one", "other", "third"]
        assert [at for _, at in began] == pytest.approx([0.0, 0.0, LONGEST_TURN_SECONDS])

    run(story(), loop)


def test_while_other_work_holds_the_loop_its_share_is_not_waited_for_again() -> None:
    loop = Loop()
    busy_seconds = 20 * PASS_SECONDS

    async def work() -> None:
        while True:
            loop.now += busy_seconds
            await asyncio.sleep(0)

    async def story() -> None:
        working = asyncio.create_task(work())
        hosts = Hosts(loop, HOSTS, interval_seconds=600.0)
        await hosts.looked(HOSTS)
        hosts.passes.clear()
        for agent in hosts.agents:
            agent.wake_soon()
        passes = await hosts.looked(HOSTS)
        iterations = passes[-1][1] - passes[0][1]
        assert are_in_turn(passes)
        assert iterations < 1.2 * HOSTS / AT_ONCE, "each iteration has its turns"
        working.cancel()
        await hosts.stop()

    run(story(), loop)
