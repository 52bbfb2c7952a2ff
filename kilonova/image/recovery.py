"""Puts right what a crash left. Safe to repeat, and beside other processes that use the same database and stores."""

from msgspec import Struct

from kilonova.image import leases
from kilonova.image.service import Image
from kilonova.image.tables import Upload
from kilonova.kit.log import logger

EVERY_SECONDS = 15.0
"""How often leases are looked at: several times in the length of one."""

log = logger(__name__)


class Recovered(Struct):
    requeued: list[str]
    """Ids of images whose upload died; they wait for their data again."""
    removed: list[str]
    """Names of data that belonged to no image and no upload."""


async def give_up_lapsed(service: Image) -> list[Upload]:
    """Queues the images again whose uploads have let their leases lapse, and removes what had arrived."""
    async with service.database.reading() as tx:
        lapsed = await leases.lapsed(tx, service.clock.now())
    if not lapsed:
        return []
    async with service.database.transaction() as tx:
        now = service.clock.now()
        dead = [each for each in lapsed if await leases.give_up(tx, each, now, unless_renewed=True)]
    for upload in dead:
        log.info("an upload whose process died was given up", image_id=upload.image_id)
    await service.remove_data(each.place for each in dead)
    return dead


async def recover(service: Image) -> Recovered:
    """Gives up dead uploads, and removes data of which nobody knows; for the start."""
    dead = await give_up_lapsed(service)
    removed = []
    for store in service.stores.values():
        # The names before the records: an upload has its lease before its data, and a location when it loses the lease.
        found = await store.names()
        async with service.database.reading() as tx:
            known = await leases.names_in(tx, store.id)
        for name in sorted(found - known):
            await store.remove(name)
            removed.append(name)
    if removed:
        log.info("removed data that belonged to no image", removed=removed)
    return Recovered([each.image_id for each in dead], removed)
