"""/os-server-external-events: the network service says that something about a server's ports has changed.

An event only shortens a wait or refreshes what lists show: a build asks the port itself, so a lost event costs time.
"""

from typing import Any

from msgspec import Struct

from kilonova.compute import servers, specs
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.errors import ServerNotFound
from kilonova.compute.service import Compute
from kilonova.compute.tables import Server
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.http.routes import Reply
from kilonova.kit.log import logger

log = logger(__name__)


class Event(Struct):
    name: str
    server_uuid: str
    status: str = "completed"
    tag: str | None = None


class EventsBody(Struct):
    events: list[Event]


async def create_events(request: ComputeRequest, body: EventsBody) -> Reply:
    request.authorize()
    shown = [await _take(request.service, event) for event in body.events]
    found = [each for each in shown if each["code"] == 200]
    status = 200 if len(found) == len(shown) else 207 if found else 404
    return Reply({"events": shown}, status=status)


async def _take(compute: Compute, event: Event) -> dict[str, Any]:
    shown = {"name": event.name, "server_uuid": event.server_uuid, "status": event.status, "tag": event.tag}
    try:
        async with compute.database.transaction() as tx:
            server = await servers.find(tx, event.server_uuid)
            await compute.tasks.wake_subject(tx, server.id, compute.clock.now())
    except ServerNotFound:
        return {**shown, "status": "failed", "code": 404}
    compute.wake()
    if event.name == "network-changed":
        await refresh_ports(compute, server)
    return {**shown, "code": 200}


async def refresh_ports(compute: Compute, server: Server) -> None:
    """Brings the addresses a server's row shows up to date with the network service."""
    try:
        details = await specs.port_details(compute.network, server)
    except RemoteFault as fault:
        log.warning("addresses not refreshed", server=server.id, reason=fault.message)
        return
    entries = specs.port_entries(server, details)
    if entries != server.ports:
        async with compute.database.transaction() as tx:
            await servers.change(tx, server.id, compute.clock.now(), ports=entries)
