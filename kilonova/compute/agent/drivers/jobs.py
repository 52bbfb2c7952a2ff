"""Background work inside the agent, named after the thing it works on: check, run, clean.

The rule: one job per name; whoever asks twice finds the first one running. A failure stays until each server that
waited for it has got it raised once; who asks again, or is new, starts afresh. Nothing outlives the process: what a
dead one left is found on the disk and discarded by the work itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kilonova.compute.agent.driver import HostError, OnEvent
from kilonova.kit.log import logger

log = logger(__name__)


@dataclass
class Job:
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


Work = Callable[[Job], Awaitable[None]]


class Jobs:
    """The running and the failed jobs of one driver."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._jobs: dict[str, Job] = {}

    def find_running(self, name: str) -> Job | None:
        """The job of this name, if it is under way."""
        job = self._jobs.get(name)
        return job if job and job.is_running else None

    def progress_of(self, server_id: str) -> str:
        """What is going on for a server, empty when nothing is."""
        for job in self._jobs.values():
            if job.is_running and server_id in job.waiting:
                return job.progress
        return ""

    def raise_failure(self, name: str, server_id: str) -> None:
        """Raises HostError when a job of this name has failed since the server began to wait for it."""
        job = self._jobs.get(name)
        if job is None or job.is_running or server_id not in job.waiting:
            return
        job.waiting.discard(server_id)
        if not job.waiting:
            del self._jobs[name]
        error = job.task.exception() if job.task and not job.task.cancelled() else None
        if isinstance(error, HostError):
            raise HostError(error.reason) from error
        if error is not None:
            raise HostError(f"{job.name} failed: {type(error).__name__}: {error}") from error

    def start(self, name: str, kind: str, progress: str, work: Work, *, server_id: str) -> Job:
        """Begins the work unless a job of this name is under way, which is then returned; `server_id` waits for it."""
        running = self.find_running(name)
        if running:
            running.waiting.add(server_id)
            return running
        job = Job(name, kind, progress, {server_id})

        async def supervised() -> None:
            await work(job)

        job.task = asyncio.create_task(supervised(), name=name)
        job.task.add_done_callback(lambda task: self._report(job, task))
        self._jobs[name] = job
        return job

    def _report(self, job: Job, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            error = task.exception()
            if error is None:
                self._jobs.pop(job.name, None)
            else:
                log.warning("background work failed", job=job.name, reason=error)
        for server_id in sorted(job.waiting):
            self._on_event(server_id)

    def forget_server(self, server_id: str) -> None:
        """Nobody waits for this server any more; shared work goes on."""
        for name, job in list(self._jobs.items()):
            job.waiting.discard(server_id)
            if not job.waiting and not job.is_running:
                del self._jobs[name]

    async def cancel(self, name: str) -> None:
        """Ends a job and forgets it, with a failure that nobody asked for."""
        job = self._jobs.pop(name, None)
        if job and job.task:
            job.waiting.clear()
            job.task.cancel()
            await asyncio.wait([job.task])

    async def close(self) -> None:
        """Ends all jobs."""
        for name in list(self._jobs):
            await self.cancel(name)
