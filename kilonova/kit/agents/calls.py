"""Calls that agents answer: each is declared once, with its types, and both sides use the declaration."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from kilonova.kit.bus import Bus, CallTimedOut, Handler

ArgumentsT = TypeVar("ArgumentsT", bound=Struct)
AnswerT = TypeVar("AnswerT")

Served = tuple[str, Handler]
"""The name of a call, and what the bus runs for it."""


class AgentUnreachable(Exception):
    """The agent did not answer. Whether it did what it was asked is unknown: ask again, every call may be repeated."""


class NoArguments(Struct, frozen=True):
    """The arguments of a call that takes none."""


@dataclass(frozen=True, slots=True)
class Call(Generic[ArgumentsT, AnswerT]):
    """A call that an agent answers: the name it has on the bus, the type of its arguments and that of its answer.

    `AgentCalls.call` makes it; the agent serves it with `served_by`.
    """

    name: str
    arguments: type[ArgumentsT]
    answer: type[AnswerT]

    def served_by(self, function: Callable[[ArgumentsT], Awaitable[AnswerT]]) -> Served:
        """Returns what a bus serves: `function`, given decoded arguments, its answer encoded."""

        async def handle(payload: Any) -> Any:
            return encode(await function(msgspec.convert(payload, self.arguments)))

        return self.name, handle


def encode(value: Any) -> Any:
    """Turns Structs into what every bus carries, which includes bytes."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))


def agent_topic(binary: str, host: str) -> str:
    """Where one agent is reached: `nova-compute.node1`."""
    return f"{binary}.{host}"


class AgentCalls:
    """Calls to the agents of one binary on any host. Refusals come as the bus's RemoteError, `kind` naming them."""

    def __init__(self, bus: Bus, binary: str, timeout_seconds: float = 30.0) -> None:
        self._bus = bus
        self._binary = binary
        self._timeout_seconds = timeout_seconds

    async def call(self, host: str, call: Call[ArgumentsT, AnswerT], arguments: ArgumentsT) -> AnswerT:
        """Returns the decoded answer of the agent on `host`. Raises AgentUnreachable or RemoteError."""
        topic = agent_topic(self._binary, host)
        try:
            raw = await self._bus.call(topic, call.name, encode(arguments), timeout_seconds=self._timeout_seconds)
        except CallTimedOut as error:
            raise AgentUnreachable(f"{self._binary} on host {host} does not answer") from error
        return msgspec.convert(raw, type=call.answer)

    async def wake(self, host: str) -> None:
        """Tells an agent to look again now."""
        await self._bus.publish(f"{agent_topic(self._binary, host)}.wake")
