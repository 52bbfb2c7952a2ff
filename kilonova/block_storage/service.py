"""The foundation of block storage's handlers and programs."""

import asyncio
from dataclasses import dataclass, field

from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.tables import metadata, tasks
from kilonova.block_storage.topics import AGENT_BINARY, TASKS_TOPIC
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.tasks import TASKS_DUE, Runner, TaskTables, WakesRunner

__all__ = ["BlockStorage", "metadata"]


@dataclass
class BlockStorage(WakesRunner):
    tasks_topic = TASKS_TOPIC
    database: Database
    bus: Bus
    image: ImageClient
    agents: AgentCalls
    backup_agents: AgentCalls
    liveness: Liveness
    options: VolumeOptions = field(default_factory=VolumeOptions)
    clock: Clock = field(default_factory=SystemClock)
    tasks: TaskTables = tasks
    runner: "Runner[BlockStorage] | None" = None
    """Set where this process has one; without one a wake-up goes to those that have, over the bus."""
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.database.on(TASKS_DUE, self.wake)

    def is_up(self, host: str) -> bool:
        """Whether the agent of a back end is alive."""
        return self.liveness.is_alive(AGENT_BINARY, host)
