"""`glance-api`: the image API. Reads glance-api.conf."""

import functools
from pathlib import Path

from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.options import IMAGE
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.image import recovery
from kilonova.image.app import make_app
from kilonova.image.quotas import Limits
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore
from kilonova.image.tables import metadata
from kilonova.kit.chores import Chore, ChoreKeeper

PORT = 9292
SCHEMA = Schema("image", metadata, "glance-manage db_sync")


async def open_image(ground: Ground) -> Image:
    return await ground.shared("image", functools.partial(_make, ground))


async def _make(ground: Ground) -> Image:
    options, quota = ground.config.glance_store, ground.config.quota
    image = Image(
        await ground.database(SCHEMA),
        FileStore(Path(options.filesystem_store_datadir), options.filesystem_store_reserve),
        clock=ground.clock,
        max_image_bytes=options.image_size_cap,
        limits=Limits(quota.image_count_total, quota.image_size_total),
    )
    await recovery.recover(image)
    return image


async def build(ground: Ground) -> Running:
    config = ground.config
    image = await open_image(ground)
    app = make_app(image, await ground.verifier())
    api = Api("image", app, config.bind_host, config.bind_port or PORT)

    async def give_up_dead_uploads(_last: object) -> None:
        await recovery.give_up_lapsed(image)

    chore = Chore("give-up-dead-uploads", recovery.EVERY_SECONDS, give_up_dead_uploads)
    return Running([api], [ChoreKeeper([chore], ground.clock).run])


API = Part("glance-api", "glance", [IMAGE], build)
