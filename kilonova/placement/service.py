"""What placement's handlers stand on."""

from dataclasses import dataclass, field

from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.placement.index import ProviderIndex
from kilonova.placement.tables import metadata

__all__ = ["Placement", "metadata"]


@dataclass
class Placement:
    database: Database
    clock: Clock = field(default_factory=SystemClock)
    index: ProviderIndex = field(default_factory=ProviderIndex)
