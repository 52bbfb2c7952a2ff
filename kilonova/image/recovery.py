"""Puts right what a crash left: run before the service answers its first request. Safe to repeat."""

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
    # The files first: one that comes later belongs to an upload that is alive, and is not looked at.
    names = await asyncio.to_thread(service.store.listing)
    async with service.database.transaction() as tx:
        dead = sorted(await images.ids_with_status(tx, "saving") - service.live_uploads)
        for image_id in dead:
            await images.give_up_saving(tx, image_id, service.clock.now())
        kept = await images.ids_with_status(tx, "active", "deactivated")
    live = {name for name in names if name.partition(".")[0] in service.live_uploads}
    removed = await asyncio.to_thread(service.store.sweep, names, kept | live)
    if dead or removed:
        log.info("recovered from a crash", requeued=dead, removed=removed)
    return Recovered(dead, removed)
