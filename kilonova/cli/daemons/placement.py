"""`placement-api`: the placement API. Reads placement.conf, or nova.conf where placement's options stand there."""

from pathlib import Path
from typing import Any

from kilonova.cli.daemons.files import Read
from kilonova.cli.daemons.options import PLACEMENT
from kilonova.cli.daemons.process import Daemon, main
from kilonova.cli.daemons.wiring import open_ground
from kilonova.kit.config import ConfigError
from kilonova.placement.app import make_app
from kilonova.placement.service import Placement
from kilonova.placement.tables import metadata

PORT = 8778


def name_database(found: Read) -> Any:
    """The configuration with placement's own database in `[database]`. Raises ConfigError.

    In nova's file `[database]` is nova's: placement's has to be named there.
    """
    config = found.config
    if config.placement_database.connection:
        config.set_override("connection", config.placement_database.connection, group="database")
    elif any(Path(each).name == "nova.conf" for each in found.files):
        raise ConfigError(
            "[placement_database] connection is missing: in nova.conf, [database] is nova's own "
            "(or write /etc/placement/placement.conf)"
        )
    return config


async def build(found: Read, daemon: Daemon) -> None:
    config = name_database(found)
    command = "placement-manage db sync"
    ground = await open_ground(config, daemon, "placement", metadata, command, needs_broker=False)
    app = make_app(Placement(ground.database), ground.neighbours.verifier(ground.bus))
    daemon.apis.append(("placement", app, config.bind_host, config.bind_port or PORT))


def run() -> int:
    return main("placement-api", "placement", [PLACEMENT], build)
