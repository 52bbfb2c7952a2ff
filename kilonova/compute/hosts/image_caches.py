"""Images that hosts fetch before a server needs them: a wish of administrators, fulfilled as far as hosts are there.

Nothing is written down of it. A host that does not answer fetches the image with the first server that needs it.
"""

import asyncio
from collections.abc import Collection

from kilonova.compute.agent.contract import CACHE_IMAGES, CacheArguments
from kilonova.compute.agent.spec import SpecImage
from kilonova.compute.hosts import hosts
from kilonova.compute.hosts.hosts import PlacedHost
from kilonova.compute.service import Region
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.log import logger

log = logger(__name__)


async def fill(region: Region, names: Collection[str], images: tuple[SpecImage, ...]) -> None:
    """Has these hosts begin to fetch the images, all but those that are down."""
    known = await hosts.everywhere(region)
    wanted = [each for each in known if each.host.host in names and _is_up(each)]
    await asyncio.gather(*(_tell(each, images) for each in wanted))


def _is_up(each: PlacedHost) -> bool:
    return not each.host.forced_down and each.cell.liveness.is_alive(each.host.binary, each.host.host)


async def _tell(each: PlacedHost, images: tuple[SpecImage, ...]) -> None:
    try:
        await each.cell.agents.call(each.host.host, CACHE_IMAGES, CacheArguments(images))
    except (AgentUnreachable, RemoteError) as error:
        log.warning("a host fetches no images ahead", host=each.host.host, reason=str(error))
