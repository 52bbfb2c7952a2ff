"""What compute's handlers and programs stand on."""

import asyncio
from dataclasses import dataclass, field

from kilonova.compute.tables import tasks
from kilonova.compute.topics import TASKS_TOPIC
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus, Unsubscribe
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.tasks import Runner, TaskTables
from kilonova.network.client import NetworkClient
from kilonova.placement.client import PlacementClient


@dataclass
class Compute:
    database: Database
    bus: Bus
    placement: PlacementClient
    image: ImageClient
    network: NetworkClient
    agents: AgentCalls
    liveness: Liveness
    default_zone: str = "nova"
    control_services: tuple[tuple[str, str, str], ...] = ()
    """(binary, host, id) of the parts that run beside the API: conductor and scheduler."""
    metadata_secret: str = ""
    """Shared with the network agents (`metadata_proxy_shared_secret`)."""
    clock: Clock = field(default_factory=SystemClock)
    tasks: TaskTables = tasks
    runner: "Runner[Compute] | None" = None
    """Set where this process has one; without one a wake-up goes to those that have, over the bus."""
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def wake(self, superseded: str | None = None) -> None:
        """A task was committed. `superseded`: the server whose running operation it replaces."""
        if self.runner is not None:
            if superseded is not None:
                self.runner.abandon(superseded)
            self.runner.wake()
            return
        telling = asyncio.create_task(self.bus.publish(TASKS_TOPIC, superseded))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def listen(self) -> Unsubscribe:
        """Takes wake-ups of other processes for this one's runner; returns what ends that."""

        async def heard(superseded: str | None) -> None:
            self.wake(superseded)

        return self.bus.subscribe(TASKS_TOPIC, heard)
