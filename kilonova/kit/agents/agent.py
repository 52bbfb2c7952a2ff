"""The host side: one agent process, or one agent inside `kilonova up`.

Its life: serve its calls, register until the server has answered, then converge whenever woken and every few seconds.
A pass that fails is logged with its reason and tried again; the agent itself only ends when it is told to.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.kit.agents.calls import Served, agent_topic
from kilonova.kit.agents.turns import Turn, Turns
from kilonova.kit.bus import Bus, CallTimedOut, RemoteError
from kilonova.kit.log import logger

log = logger(__name__)

REGISTER_RETRY_SECONDS = 2.0
LONGEST_REST_SECONDS = 1.0


class AgentRefused(Exception):
    """The server does not want this agent: another one of its name is alive. The sentence says where."""


class AgentInfo(Struct, frozen=True):
    """An agent's description of itself, given when it registers."""

    binary: str
    host: str
    agent_type: str = ""
    """Human words, such as `Linux bridge agent`."""
    availability_zone: str = ""
    configurations: dict[str, Any] = {}
    started_at: datetime = datetime.fromtimestamp(0, UTC)


class Pace(Struct, frozen=True):
    """How often an agent looks when nothing wakes it: every `interval_seconds`, and while its passes go well less and
    less often, up to every `longest_interval_seconds`."""

    interval_seconds: float = 5.0
    longest_interval_seconds: float = 0.0
    """Less than the other: it is always the other."""


class Agent:
    """`registry_topic` is the server's topic that answers `register`; `serves` are the calls this agent answers (see
    `Call.served_by`); `converge` is one pass over the host.

    An agent that hears of whatever happens on its host looks at its `pace` for what it may have missed. The agents of
    one process share their `turns`: passes that nothing waits for come one at a time.
    """

    def __init__(
        self,
        info: AgentInfo,
        bus: Bus,
        registry_topic: str,
        *,
        serves: Iterable[Served] = (),
        converge: Callable[[], Awaitable[None]],
        describe: Callable[[], Awaitable[Any]] | None = None,
        pace: Pace = Pace(),  # noqa: B008 - it cannot be changed
        turns: Turns | None = None,
    ) -> None:
        self.info = info
        self._bus = bus
        self._registry_topic = registry_topic
        self._methods = dict(serves)
        self._converge = converge
        self._describe = describe
        self._pace = pace
        self._pause_seconds = pace.interval_seconds
        self._turns = turns or Turns()
        self._woken = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        """Asks for a turn."""
        self._soon_at = 0.0
        self._turn: Turn | None = None
        """Asked for, or come, for the next pass."""
        self._registered = False

    def wake(self) -> None:
        """Has the agent look now: somebody waits for it."""
        self._woken.set()

    def wake_soon(self, seconds: float = 0.0) -> None:
        """Has the agent look after so many seconds, as soon as it is its turn, unless it has looked before."""
        if self._turn is not None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._soon is not None:
            if self._soon_at <= at:
                return
            self._soon.cancel()
        self._soon, self._soon_at = loop.call_at(at, self._ask_for_turn), at

    def _ask_for_turn(self) -> None:
        self._soon = None
        self._turn = self._turns.ask(self._woken.set)

    def _take_turn(self) -> Turn | None:
        """Returns the turn that was asked for, if any. A wake-up still to come is cancelled: this pass serves it."""
        if self._soon is not None:
            self._soon.cancel()
        turn, self._soon, self._turn = self._turn, None, None
        return turn

    def register_again(self) -> None:
        """The server does not know this agent (any more)."""
        self._registered = False
        self.wake()

    async def run(self) -> None:
        """Works until cancelled. What it has built on the host stays. Raises AgentRefused."""
        # Not before it is known: another one of its name would lose its calls to this one.
        await self.register()
        stop_serving = self.serve()
        try:
            self.wake_soon()
            await self._woken.wait()
            while True:
                self._woken.clear()
                if not self._registered:
                    await self.register()
                await self._pass_and_rest()
                await self._wait()
        finally:
            if (turn := self._take_turn()) is not None:
                turn.cancel()
            stop_serving()

    def serve(self) -> Callable[[], None]:
        """Answers calls from now on; returns what ends that."""
        topic = agent_topic(self.info.binary, self.info.host)
        stop_serving = self._bus.serve(topic, {**self._methods, "ping": self._answer_ping})
        stop_listening = self._bus.subscribe(f"{topic}.wake", self._on_wake)

        def stop() -> None:
            stop_listening()
            stop_serving()

        return stop

    async def _pass_and_rest(self) -> None:
        """A pass, and a rest as long as it took: however often an agent is woken, it takes half the loop at most."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self._take_turn() or nullcontext():
            await self.pass_once()
        await asyncio.sleep(min(loop.time() - began, LONGEST_REST_SECONDS))

    async def pass_once(self) -> None:
        """One pass over the host; a failure is logged, never raised."""
        try:
            await self._converge()
        except (CallTimedOut, RemoteError) as error:
            self._pause_seconds = self._pace.interval_seconds
            log.warning("no pass over the host: the server did not answer", agent=self.info.binary, reason=str(error))
        except Exception as error:
            self._pause_seconds = self._pace.interval_seconds
            # The next pass meets the same host afresh; an agent that ended here would leave it to nobody.
            log.exception("a pass over the host failed", agent=self.info.binary, reason=str(error))

    async def _wait(self) -> None:
        # Hosts that were started together do not look together for ever.
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
        try:
            async with asyncio.timeout(self._pause_seconds * jitter):
                await self._woken.wait()
            self._pause_seconds = self._pace.interval_seconds
        except TimeoutError:
            longest = max(self._pace.longest_interval_seconds, self._pace.interval_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, longest)
            self.wake_soon()
            await self._woken.wait()

    async def register(self) -> None:
        """Asks the server until it has answered. Raises AgentRefused."""
        while not self._registered:
            try:
                async with self._turns.registration:
                    details = await self._describe() if self._describe is not None else None
                    payload = {"info": msgspec.to_builtins(self.info), "details": msgspec.to_builtins(details)}
                    await self._bus.call(self._registry_topic, "register", payload)
                    # A call within the process waits for nothing: the next agent would register in this iteration.
                    await asyncio.sleep(0)
                self._registered = True
                log.info("agent registered", agent=self.info.binary, host=self.info.host)
            except (CallTimedOut, RemoteError) as error:
                if isinstance(error, RemoteError) and error.kind == AgentRefused.__name__:
                    raise AgentRefused(error.message) from error
                log.warning("agent cannot register yet", agent=self.info.binary, reason=str(error))
                await asyncio.sleep(REGISTER_RETRY_SECONDS)
            except Exception as error:
                # A host that cannot be looked into keeps its agent waiting; the rest of the process goes on without it.
                log.exception("agent cannot describe its host yet", agent=self.info.binary, reason=str(error))
                await asyncio.sleep(REGISTER_RETRY_SECONDS)

    async def _on_wake(self, _payload: Any) -> None:
        self.wake()

    async def _answer_ping(self, payload: Any) -> dict[str, Any]:
        """Answered by the same path that serves calls, so that a deaf agent cannot look alive."""
        if not payload.get("known", True):
            self._registered = False
            self.wake()
        return {"now": datetime.now(UTC).isoformat(), "started_at": self.info.started_at.isoformat()}
