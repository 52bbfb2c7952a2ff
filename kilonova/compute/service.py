"""The foundation of compute: the region, which handlers get, and its cells, which programs and agents' calls get."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import InitVar, dataclass, field

from kilonova.block_storage.client import VolumeClient
from kilonova.compute.hosts.index import HostIndex
from kilonova.compute.hosts.memberships import AggregateIndex
from kilonova.compute.notifications.notices import Listener
from kilonova.compute.region.directory import Directory
from kilonova.compute.region.mappings import CELL1_ID
from kilonova.compute.scheduling.rules import Rules
from kilonova.compute.servers.options import ServerOptions
from kilonova.compute.tables import tasks
from kilonova.compute.topics import AGENT_BINARY, TASKS_TOPIC
from kilonova.compute.transactions import (
    CellTx,
    RegionTx,
    cell_reading,
    cell_transaction,
    region_reading,
    region_transaction,
)
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.tasks import TASKS_DUE, Runner, TaskTables, WakesRunner
from kilonova.network.client import NetworkClient
from kilonova.placement.client import PlacementClient


@dataclass
class Region:
    """Compute on the API database, with the services beside it."""

    database: Database
    bus: Bus
    placement: PlacementClient
    image: ImageClient
    network: NetworkClient
    volume: VolumeClient
    agents: InitVar[AgentCalls]
    liveness: InitVar[Liveness]
    """Of `here`, both on `bus`."""
    default_zone: str = "nova"
    control_services: tuple[tuple[str, str, str], ...] = ()
    """(binary, host, id) of the parts that run beside the API: conductor and scheduler."""
    console_token_seconds: int = 600
    """In which a console can be opened after it was asked for."""
    metadata_secret: str = ""
    """Shared with the network agents (`metadata_proxy_shared_secret`)."""
    options: ServerOptions = field(default_factory=ServerOptions)
    clock: Clock = field(default_factory=SystemClock)
    rules: Rules = field(default_factory=Rules)
    """The operator's rules of placing."""
    aggregates: AggregateIndex = field(default_factory=AggregateIndex)
    listener: Listener | None = None
    """Hears what commits have to tell the world, where somebody is to be told."""
    tasks: TaskTables = tasks
    here: "Cell" = field(init=False)
    """The cell on the API database. Servers wait in it until they are placed; in a region of one database they stay."""
    cells: "Directory[Cell]" = field(init=False)

    def __post_init__(self, agents: AgentCalls, liveness: Liveness) -> None:
        self.here = Cell(self, CELL1_ID, self.database, self.bus, agents, liveness)
        self.cells = Directory(self.database, self.here, self.clock)

    def reading(self) -> AbstractAsyncContextManager[RegionTx]:
        return region_reading(self.database)

    def transaction(self) -> AbstractAsyncContextManager[RegionTx]:
        return region_transaction(self.database)

    def local(self, tx: RegionTx) -> CellTx:
        """The same transaction, for what is in the cell `here`."""
        return CellTx(tx)

    def cell_on(self, cell_id: str, database: Database, bus: Bus) -> "Cell":
        """A cell of this region on a database and a bus of its own; the bus may be the region's."""
        if bus is self.bus:
            return Cell(self, cell_id, database, bus, self.here.agents, self.here.liveness)
        return Cell(self, cell_id, database, bus, AgentCalls(bus, AGENT_BINARY), Liveness(bus, self.clock))


@dataclass
class Cell(WakesRunner):
    """Compute on the database of one cell, with the bus and the agents of its hosts."""

    tasks_topic = TASKS_TOPIC
    region: Region
    id: str
    database: Database
    bus: Bus
    agents: AgentCalls
    liveness: Liveness
    runner: "Runner[Cell] | None" = None
    """Set where this process has one; without one a wake-up goes to those that have, over the bus."""
    hosts: HostIndex = field(default_factory=HostIndex)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.database.on(TASKS_DUE, self.wake)
        if self.region.listener is not None:
            self.region.listener.follow(self.database)

    @property
    def clock(self) -> Clock:
        return self.region.clock

    @property
    def tasks(self) -> TaskTables:
        return self.region.tasks

    def reading(self) -> AbstractAsyncContextManager[CellTx]:
        return cell_reading(self.database)

    def transaction(self) -> AbstractAsyncContextManager[CellTx]:
        return cell_transaction(self.database)

    def regional(self, tx: CellTx) -> RegionTx | None:
        """The same transaction, for the region's tables; None where those are in another database."""
        return RegionTx(tx) if self.database is self.region.database else None
