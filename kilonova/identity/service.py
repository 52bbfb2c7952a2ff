"""What identity's handlers stand on."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import MultiFernet

from kilonova.identity import log_ins, passwords
from kilonova.identity.announcements import TOKENS_CHANGED
from kilonova.identity.delays import Delays
from kilonova.identity.directory import Directory, SqlDirectory
from kilonova.identity.tables import metadata
from kilonova.identity.turns import Turns
from kilonova.kit.bus import Bus
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.db.remembered import Remembered
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC

__all__ = ["Identity", "metadata"]


@dataclass
class Identity:
    database: Database
    keys: MultiFernet
    bus: Bus
    directory: Directory = field(default_factory=SqlDirectory)
    token_seconds: int = 3600
    clock: Clock = field(default_factory=SystemClock)
    limits: log_ins.Limits = field(default_factory=log_ins.Limits)
    failures_before_delay: int = 10

    def __post_init__(self) -> None:
        self.database.on(TOKENS_CHANGED, self._announce)
        self.validated: Remembered[Any] = Remembered(self.database, self.clock)
        """Tokens checked within the last second (`tokens.check`)."""
        self.delays = Delays(self.clock, self.failures_before_delay)
        self.turns = Turns(passwords.AT_ONCE)
        self.catalogs: Remembered[Any] = Remembered(self.database, self.clock, capacity=1)

    async def _announce(self, changes: Collection[Iterable[tuple[str, str]]]) -> None:
        for named in changes:
            await self.bus.publish(REVOCATIONS_TOPIC, dict(named))
