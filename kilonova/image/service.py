"""What the image service's handlers stand on."""

import asyncio
from dataclasses import dataclass, field

from kilonova.image.quotas import Limits
from kilonova.image.stores.file import FileStore
from kilonova.image.tables import metadata
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database

__all__ = ["Image", "metadata"]

MAX_IMAGE_BYTES = 1 << 40


@dataclass
class Image:
    database: Database
    store: FileStore
    clock: Clock = field(default_factory=SystemClock)
    max_image_bytes: int = MAX_IMAGE_BYTES
    limits: Limits = field(default_factory=Limits)

    async def check(self) -> str | None:
        """Raises what keeps it from working; a sentence when only uploads are refused."""
        await self.database.check()
        space = await asyncio.to_thread(self.store.space)
        return space.refusal
