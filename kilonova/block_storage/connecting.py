"""Asking the back end how a host reaches a volume, and telling it when the host does not any more.

A back end may open a way for each attachment, which opens nothing to others and ends with it. The older actions name
the host that connects and no attachment: theirs is known by the volume and that host.
"""

import uuid
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from kilonova.block_storage import qos, services
from kilonova.block_storage.agent.contract import CONNECTION_TO, DISCONNECT, ConnectionArguments, DisconnectArguments
from kilonova.block_storage.errors import InvalidVolume
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import Volume
from kilonova.kit.agents import AgentUnreachable, Call
from kilonova.kit.bus import RemoteError
from kilonova.kit.errors import ServiceUnavailable
from kilonova.kit.log import logger

log = logger(__name__)

WITHOUT_FAREWELL = ("file", "nfs")
"""Storage protocols in which a host that has a volume is nothing to its back end."""

QuestionT = TypeVar("QuestionT", bound=Struct)
AnswerT = TypeVar("AnswerT")


async def connection_to(service: BlockStorage, volume: Volume, attachment_id: str) -> dict[str, Any]:
    """Returns the connection with its kind as `driver_volume_type`. Raises ServiceUnavailable, InvalidVolume."""
    if volume.host is None:
        raise InvalidVolume(f"Volume {volume.id} has no place: there is nothing to connect to.")
    answer = await _ask(service, volume.host, CONNECTION_TO, ConnectionArguments(volume.id, attachment_id))
    async with service.database.reading() as tx:
        specs = await qos.specs_for_host(tx, volume)
    told: dict[str, Any] = msgspec.to_builtins(answer.connection)
    return {"driver_volume_type": told.pop("kind"), **told, "qos_specs": specs or None}


async def disconnect(service: BlockStorage, volume: Volume, attachment_id: str | None) -> None:
    """Ends an attachment's way to a volume; None: all of them. Safe to repeat.

    Raises ServiceUnavailable, InvalidVolume.
    """
    if volume.host is None:
        return
    async with service.database.reading() as tx:
        row = await services.find(tx, services.backend_of(volume.host))
    if row is None or all(each["storage_protocol"] in WITHOUT_FAREWELL for each in row.pools):
        return
    await _ask(service, volume.host, DISCONNECT, DisconnectArguments(volume.id, attachment_id))


async def let_go(service: BlockStorage, volume: Volume, attachment_id: str) -> None:
    """Ends the way of an attachment that came to nothing, as far as its back end can be asked.

    A way that stays ends with the volume: nobody was told its secret.
    """
    try:
        await disconnect(service, volume, attachment_id)
    except (ServiceUnavailable, InvalidVolume) as error:
        log.warning("a way to a volume stays open", volume=volume.id, attachment=attachment_id, reason=error.message)


def attachment_of(volume: Volume, connector: dict[str, Any]) -> str:
    """Returns what stands for the attachment of a host that names none."""
    return str(uuid.uuid5(uuid.UUID(volume.id), f"{connector.get('host')} {connector.get('initiator')}"))


async def _ask(service: BlockStorage, host: str, call: Call[QuestionT, AnswerT], question: QuestionT) -> AnswerT:
    try:
        return await service.agents.call(services.backend_of(host), call, question)
    except AgentUnreachable as error:
        raise ServiceUnavailable(f"The volume's back end cannot be asked: {error}.") from error
    except RemoteError as error:
        raise InvalidVolume(f"The volume's back end refuses: {error.message}") from error
