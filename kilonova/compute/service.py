"""What compute's handlers and programs stand on."""

from dataclasses import dataclass, field

from kilonova.compute.tables import tasks
from kilonova.image.client import ImageClient
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import Bus
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
    """Set once the runner exists; APIs that run without one only lose the wake-up."""

    def wake(self, superseded: str | None = None) -> None:
        """A task was committed. `superseded`: the server whose running operation it replaces."""
        if self.runner is not None:
            if superseded is not None:
                self.runner.abandon(superseded)
            self.runner.wake()
