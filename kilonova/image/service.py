"""What the image service's handlers stand on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from kilonova.image.quotas import Limits
from kilonova.image.stores.interface import Store
from kilonova.image.tables import Location, metadata
from kilonova.kit.clock import Clock, SystemClock
from kilonova.kit.db import Database
from kilonova.kit.log import logger

__all__ = ["Image", "metadata"]

MAX_IMAGE_BYTES = 1 << 40

log = logger(__name__)

UPLOAD_LEASE = timedelta(seconds=60)
"""How long an upload that is not heard of keeps its image. It has to outlast a restart of the database, and what the
clocks of two hosts differ by."""


@dataclass
class Image:
    database: Database
    store: Store
    """Where data goes that names no store."""
    other_stores: Sequence[Store] = ()
    clock: Clock = field(default_factory=SystemClock)
    max_image_bytes: int = MAX_IMAGE_BYTES
    limits: Limits = field(default_factory=Limits)
    upload_lease: timedelta = UPLOAD_LEASE

    @property
    def stores(self) -> dict[str, Store]:
        """Every store by its id, the default one first."""
        return {each.id: each for each in (self.store, *self.other_stores)}

    async def remove_data(self, places: Iterable[Location]) -> None:
        """Removes data of which no record speaks any more; where there is no such store, it stays."""
        for place in places:
            store = self.stores.get(place.store)
            if store is None:
                log.warning("data stays in a store that is not there", image_id=place.image_id, store=place.store)
            else:
                await store.remove(place.name)

    async def check(self) -> str | None:
        """Raises what keeps it from working; a sentence when only uploads are refused."""
        await self.database.check()
        return await self.store.refusal()
