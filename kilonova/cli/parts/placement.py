"""`placement-api`: the placement API. Reads placement.conf, or nova.conf where placement's options stand there."""

import functools

from kilonova.cli.grounds.ground import Ground, Schema
from kilonova.cli.parts.options import PLACEMENT
from kilonova.cli.parts.part import Api, Part, Running
from kilonova.placement.app import make_app
from kilonova.placement.service import Placement
from kilonova.placement.tables import metadata

PORT = 8778
SCHEMA = Schema("placement", metadata, "placement-manage db sync")


async def open_placement(ground: Ground) -> Placement:
    return await ground.shared("placement", functools.partial(_make, ground))


async def _make(ground: Ground) -> Placement:
    return Placement(await ground.database(SCHEMA), clock=ground.clock)


async def build(ground: Ground) -> Running:
    config = ground.config
    app = make_app(await open_placement(ground), await ground.verifier())
    return Running([Api("placement", app, config.bind_host, config.bind_port or PORT)])


API = Part("placement-api", "placement", [PLACEMENT], build)
