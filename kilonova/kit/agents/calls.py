"""Calling an agent, with typed answers."""

from typing import Any, TypeVar

import msgspec

from kilonova.kit.bus import Bus, CallTimedOut

AnswerT = TypeVar("AnswerT")


class AgentUnreachable(Exception):
    """The agent did not answer. Whether it did what it was asked is unknown: ask again, every call may be repeated."""


def agent_topic(binary: str, host: str) -> str:
    """Where one agent is reached: `nova-compute.node1`."""
    return f"{binary}.{host}"


class AgentCalls:
    """Calls to the agents of one binary on any host. Refusals come as the bus's RemoteError, `kind` naming them."""

    def __init__(self, bus: Bus, binary: str, timeout_seconds: float = 30.0) -> None:
        self._bus = bus
        self._binary = binary
        self._timeout_seconds = timeout_seconds

    async def call(self, host: str, method: str, answer: type[AnswerT], **arguments: Any) -> AnswerT:
        """Calls `method` with keyword arguments (Structs allowed). Raises AgentUnreachable or RemoteError."""
        topic = agent_topic(self._binary, host)
        try:
            raw = await self._bus.call(
                topic,
                method,
                msgspec.to_builtins(arguments, builtin_types=(bytes,)),
                timeout_seconds=self._timeout_seconds,
            )
        except CallTimedOut as error:
            raise AgentUnreachable(f"{self._binary} on host {host} does not answer") from error
        return msgspec.convert(raw, type=answer)

    async def wake(self, host: str) -> None:
        """Tells an agent to look again now."""
        await self._bus.publish(f"{agent_topic(self._binary, host)}.wake")
