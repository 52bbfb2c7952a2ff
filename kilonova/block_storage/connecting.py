"""Asking a back end how a host reaches a volume."""

from typing import Any

import msgspec

from kilonova.block_storage import qos
from kilonova.block_storage.agent.contract import CONNECTION_TO, ConnectionArguments
from kilonova.block_storage.errors import InvalidVolume
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.services import backend_of
from kilonova.block_storage.tables import Volume
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.errors import ServiceUnavailable


async def connection_to(service: BlockStorage, volume: Volume) -> dict[str, Any]:
    """Returns the connection with its kind as `driver_volume_type`. Raises ServiceUnavailable, InvalidVolume."""
    if volume.host is None:
        raise InvalidVolume(f"Volume {volume.id} has no place: there is nothing to connect to.")
    try:
        answer = await service.agents.call(backend_of(volume.host), CONNECTION_TO, ConnectionArguments(volume.id))
    except AgentUnreachable as error:
        raise ServiceUnavailable(f"The volume's back end cannot be asked: {error}.") from error
    except RemoteError as error:
        raise InvalidVolume(f"The volume's back end refuses: {error.message}") from error
    async with service.database.reading() as tx:
        specs = await qos.specs_for_host(tx, volume)
    told: dict[str, Any] = msgspec.to_builtins(answer.connection)
    return {"driver_volume_type": told.pop("kind"), **told, "qos_specs": specs or None}
