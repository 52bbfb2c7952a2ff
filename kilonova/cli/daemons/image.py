"""`glance-api`: the image API. Reads glance-api.conf."""

from pathlib import Path

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import IMAGE
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import open_ground
from kilonova.image import recovery
from kilonova.image.app import make_app
from kilonova.image.quotas import Limits
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore
from kilonova.image.tables import metadata

PORT = 9292


async def build(found: Read, daemon: Daemon) -> None:
    config = found.config
    ground = await open_ground(config, daemon, "image", metadata, "glance-manage db_sync", needs_broker=False)
    options = config.glance_store
    image = Image(
        ground.database,
        FileStore(Path(options.filesystem_store_datadir), options.filesystem_store_reserve),
        max_image_bytes=options.image_size_cap,
        limits=Limits(config.quota.image_count_total, config.quota.image_size_total),
    )
    await recovery.recover(image)
    app = make_app(image, ground.neighbours.verifier(ground.bus))
    daemon.apis.append(("image", app, config.bind_host, config.bind_port or PORT))


def run() -> int:
    return main("glance-api", "glance", [IMAGE], build)
