"""The turns that the agents of one process share."""

from kilonova.cli.grounds.ground import Ground
from kilonova.kit.agents import Turns


async def shared_turns(ground: Ground) -> Turns:
    async def make() -> Turns:
        return Turns()

    return await ground.shared("agents' turns", make)
