"""Puts right what a crash left: run before the service answers its first request. Safe to repeat, and beside others.

Several processes may share a store: an upload that is alive in any of them holds the lock of its file.
"""

import asyncio

from msgspec import Struct

from kilonova.image import images
from kilonova.image.service import Image
from kilonova.kit.log import logger

log = logger(__name__)


class Recovered(Struct):
    requeued: list[str]
    """Ids of images whose upload died; they wait for their data again."""
    removed: list[str]
    """Names of files that belonged to no image."""


async def recover(service: Image) -> Recovered:
    """Images that were `saving` are queued again; parts of uploads and data without an image are removed."""
    # The files before the records, and their locks with them: one that is written now is left alone, and one that was
    # whole by then is the data of a record that is read after it.
    found = await asyncio.to_thread(service.store.listing)
    written = {each.name for each in found if each.is_being_written}
    async with service.database.transaction() as tx:
        dead = [row for row in await images.with_status(tx, "saving") if row.file_name not in written]
        for row in dead:
            await images.give_up_saving(tx, row, service.clock.now())
        kept = {row.file_name for row in await images.with_status(tx, "active", "deactivated")}
    removed = [each.name for each in found if each.name not in kept | written]
    for name in removed:
        await service.store.remove(name)
    if dead or removed:
        log.info("recovered from a crash", requeued=[row.id for row in dead], removed=removed)
    return Recovered([row.id for row in dead], removed)
