"""`placement-api`: the placement API. Reads placement.conf."""

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import open_ground
from kilonova.placement.app import make_app
from kilonova.placement.service import Placement
from kilonova.placement.tables import metadata

PORT = 8778


async def build(found: Read, daemon: Daemon) -> None:
    config = found.config
    command = "placement-manage db sync"
    ground = await open_ground(config, daemon, "placement", metadata, command, needs_broker=False)
    app = make_app(Placement(ground.database), ground.neighbours.verifier(ground.bus))
    daemon.apis.append(("placement", app, config.bind_host, config.bind_port or PORT))


def run() -> int:
    return main("placement-api", "placement", [], build)
