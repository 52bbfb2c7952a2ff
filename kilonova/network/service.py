"""What network's handlers stand on."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from kilonova.kit.agents import Liveness
from kilonova.kit.bus import Bus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.http.client import RemoteService
from kilonova.network.mechanisms.chosen import Mechanisms
from kilonova.network.segments.offered import Segments
from kilonova.network.topics import EVENTS_TOPIC, EVENTS_WAIT, HOSTS_CONCERNED, WAKE_TOPIC


@dataclass
class NetworkService:
    database: Database
    bus: Bus
    liveness: Liveness
    segments: Segments
    mechanisms: Mechanisms
    compute: RemoteService | None = None
    """Told of changes to servers' ports; None: nobody is told."""
    dns_domain: str = "openstacklocal"
    clock: Clock = field(default_factory=SystemClock)
    clock_skews: dict[str, float] = field(default_factory=dict)
    """Host → seconds its clock is ahead of this service's, by its agent's last report: each tells anew in seconds."""

    def __post_init__(self) -> None:
        self.database.on(HOSTS_CONCERNED, self._wake_agents)
        self.database.on(EVENTS_WAIT, self._wake_sender)

    async def _wake_agents(self, concerned: Collection[str]) -> None:
        """The agents that a change concerns look now, not at their next pass."""
        await self.bus.publish(WAKE_TOPIC, {"concerned": sorted(concerned)})

    async def _wake_sender(self, _about: Collection[str]) -> None:
        await self.bus.publish(EVENTS_TOPIC)


Fields = dict[str, Any]
