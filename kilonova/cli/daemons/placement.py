"""`placement-api`: the placement API. Reads placement.conf."""

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import Neighbours, open_bus, open_database
from kilonova.kit.bus import InProcessBus
from kilonova.placement.app import make_app
from kilonova.placement.service import Placement
from kilonova.placement.tables import metadata

PORT = 8778


async def build(found: Read, daemon: Daemon) -> None:
    config = found.config
    database = open_database(config, "placement", metadata, "placement-manage db sync")
    daemon.closing.push_async_callback(database.close)
    bus = await open_bus(config) if config.transport_url or config.rabbit_host else InProcessBus()
    daemon.closing.push_async_callback(bus.close)
    neighbours = Neighbours(config.keystone_authtoken)
    daemon.closing.push_async_callback(neighbours.close)
    app = make_app(Placement(database), neighbours.verifier(bus))
    daemon.apis.append(("placement", app, config.bind_host, config.bind_port or PORT))


def run() -> int:
    return main("placement-api", "placement", [], build)
