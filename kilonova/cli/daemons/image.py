"""`glance-api`: the image API. Reads glance-api.conf."""

from pathlib import Path

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import IMAGE
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import Neighbours, open_bus, open_database
from kilonova.image import recovery
from kilonova.image.app import make_app
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore
from kilonova.image.tables import metadata
from kilonova.kit.bus import InProcessBus

PORT = 9292


async def build(found: Read, daemon: Daemon) -> None:
    config = found.config
    database = open_database(config, "image", metadata, "glance-manage db_sync")
    daemon.closing.push_async_callback(database.close)
    bus = await open_bus(config) if config.transport_url or config.rabbit_host else InProcessBus()
    daemon.closing.push_async_callback(bus.close)
    neighbours = Neighbours(config.keystone_authtoken)
    daemon.closing.push_async_callback(neighbours.close)
    store = FileStore(Path(config.glance_store.filesystem_store_datadir))
    image = Image(database, store, max_image_bytes=config.glance_store.image_size_cap)
    await recovery.recover(image)
    app = make_app(image, neighbours.verifier(bus))
    daemon.apis.append(("image", app, config.bind_host, config.bind_port or PORT))


def run() -> int:
    return main("glance-api", "glance", [IMAGE], build)
