"""Errands: an agent's background work for servers that wait for it, such as downloads and waits for guests.

The rule: one errand per name; whoever asks twice finds the first one running. A failure stays until each server that
waited for it has got it raised once; who asks again, or is new, starts afresh. An errand ends with its process; a
command that should outlive it is a job (`kit.agents.jobs`), which an errand waits for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kilonova.compute.agent.driver import OnEvent
from kilonova.kit.host_commands import HostError
from kilonova.kit.log import logger

log = logger(__name__)


@dataclass
class Errand:
    """`progress` is a phrase such as `downloading image 42 %`, written by the work; `kind` says what is being done."""

    name: str
    kind: str
    progress: str
    waiting: set[str] = field(default_factory=set)
    """Ids of the servers that are told through `on_event` when it ends, and get its failure raised."""
    task: "asyncio.Task[None] | None" = None

    @property
    def is_running(self) -> bool:
        return self.task is not None and not self.task.done()


Work = Callable[[Errand], Awaitable[None]]


class Errands:
    """The running and the failed errands of one driver."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._errands: dict[str, Errand] = {}

    def find_running(self, name: str) -> Errand | None:
        """The errand of this name, if it is under way."""
        errand = self._errands.get(name)
        return errand if errand and errand.is_running else None

    def progress_of(self, server_id: str) -> str:
        """Describes the errand that runs for a server; empty: none."""
        for errand in self._errands.values():
            if errand.is_running and server_id in errand.waiting:
                return errand.progress
        return ""

    def raise_failure(self, name: str, server_id: str) -> None:
        """Raises HostError when an errand of this name has failed since the server began to wait for it."""
        errand = self._errands.get(name)
        if errand is None or errand.is_running or server_id not in errand.waiting:
            return
        errand.waiting.discard(server_id)
        if not errand.waiting:
            del self._errands[name]
        error = errand.task.exception() if errand.task and not errand.task.cancelled() else None
        if isinstance(error, HostError):
            raise HostError(error.reason) from error
        if error is not None:
            raise HostError(f"{errand.name} failed: {type(error).__name__}: {error}") from error

    def start(self, name: str, kind: str, progress: str, work: Work, *, server_id: str) -> Errand:
        """Begins the work, or finds the errand of this name under way; `server_id` waits for it (empty: nobody)."""
        running = self.find_running(name)
        if running:
            running.waiting |= {server_id} - {""}
            return running
        errand = Errand(name, kind, progress, {server_id} - {""})

        async def supervised() -> None:
            await work(errand)

        errand.task = asyncio.create_task(supervised(), name=name)
        errand.task.add_done_callback(lambda task: self._report(errand, task))
        self._errands[name] = errand
        return errand

    def _report(self, errand: Errand, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            error = task.exception()
            if error is None:
                self._errands.pop(errand.name, None)
            else:
                log.warning("background work failed", errand=errand.name, reason=error)
                if not errand.waiting:
                    self._errands.pop(errand.name, None)
        for server_id in sorted(errand.waiting):
            self._on_event(server_id)

    def forget_server(self, server_id: str) -> None:
        """Nobody waits for this server any more; shared work goes on."""
        for name, errand in list(self._errands.items()):
            errand.waiting.discard(server_id)
            if not errand.waiting and not errand.is_running:
                del self._errands[name]

    async def cancel(self, name: str) -> None:
        """Ends an errand and forgets it, with a failure that nobody asked for."""
        errand = self._errands.pop(name, None)
        if errand and errand.task:
            errand.waiting.clear()
            errand.task.cancel()
            await asyncio.wait([errand.task])

    async def cancel_all(self, prefix: str) -> None:
        """Ends the errands whose names begin so."""
        for name in [each for each in self._errands if each.startswith(prefix)]:
            await self.cancel(name)

    async def close(self) -> None:
        """Ends all errands."""
        await self.cancel_all("")
