"""What compute's handlers and programs stand on: the service on one database, the region's or a cell's."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from kilonova.compute.region.cells import Cells
from kilonova.compute.tables import tasks
from kilonova.compute.topics import AGENT_BINARY, TASKS_TOPIC
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus, Unsubscribe
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.tasks import TASKS_DUE, Runner, TaskTables
from kilonova.network.client import NetworkClient
from kilonova.placement.client import PlacementClient


@dataclass
class Compute:
    """`database` and `bus` are the API database's where handlers get it; a runner gets those of its tasks."""

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
    console_token_seconds: int = 600
    """In which a console can be opened after it was asked for."""
    metadata_secret: str = ""
    """Shared with the network agents (`metadata_proxy_shared_secret`)."""
    clock: Clock = field(default_factory=SystemClock)
    tasks: TaskTables = tasks
    runner: "Runner[Compute] | None" = None
    """Set where this process has one; without one a wake-up goes to those that have, over the bus."""
    cell_id: str = ""
    """The cell whose database this is; empty for the API database."""
    shared_cells: Cells | None = None
    cells: Cells = field(init=False)
    """All of the region; made here for a region that is one database."""
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cells = self.shared_cells or Cells(self.database, self, self.clock)
        self.database.on(TASKS_DUE, self._wake)

    @property
    def is_region(self) -> bool:
        """Whether this is the service on the API database."""
        return self.cells.here is self

    @property
    def region(self) -> "Compute":
        """The service on the API database."""
        return self.cells.here

    def in_cell(self, cell_id: str, database: Database, bus: Bus) -> "Compute":
        """The same service on a cell's database and bus."""
        agents = self.agents if bus is self.bus else AgentCalls(bus, AGENT_BINARY)
        liveness = self.liveness if bus is self.bus else Liveness(bus, self.clock)
        return replace(
            self,
            database=database,
            bus=bus,
            agents=agents,
            liveness=liveness,
            runner=None,
            cell_id=cell_id,
            shared_cells=self.cells,
        )

    async def _wake(self, superseded: Collection[str]) -> None:
        """Tasks were committed. `superseded`: the servers whose running operation was ended."""
        if self.runner is None:
            # Nobody waits for the broker.
            telling = asyncio.create_task(self.bus.publish(TASKS_TOPIC, sorted(superseded)))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        else:
            self._wake_runner(self.runner, superseded)

    def _wake_runner(self, runner: "Runner[Compute]", superseded: Collection[str]) -> None:
        for server_id in superseded:
            runner.abandon(server_id)
        runner.wake()

    def listen(self) -> Unsubscribe:
        """Takes wake-ups of other processes for this one's runner; returns what ends that."""

        async def heard(superseded: list[str]) -> None:
            if self.runner is not None:
                self._wake_runner(self.runner, superseded)

        return self.bus.subscribe(TASKS_TOPIC, heard)
