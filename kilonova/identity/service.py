"""What identity's handlers stand on."""

from dataclasses import dataclass, field

from cryptography.fernet import MultiFernet

from kilonova.identity.tables import metadata
from kilonova.kit.bus import Bus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database

__all__ = ["Identity", "metadata"]


@dataclass
class Identity:
    database: Database
    keys: MultiFernet
    bus: Bus
    token_seconds: int = 3600
    clock: Clock = field(default_factory=SystemClock)
