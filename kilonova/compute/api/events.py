"""/os-server-external-events: the network service says that something about a server's ports has changed.

An event only shortens a wait or refreshes what lists show: a build asks the port itself, so a lost event costs time.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.errors import ServerNotFound
from kilonova.compute.region import cells
from kilonova.compute.servers import servers, specs
from kilonova.compute.service import Region
from kilonova.compute.tables import Server
from kilonova.kit.http.bounds import Uuid
from kilonova.kit.http.client import RemoteFault
from kilonova.kit.http.routes import Reply
from kilonova.kit.log import logger

log = logger(__name__)


EventName = Literal[
    "network-changed",
    "network-vif-plugged",
    "network-vif-unplugged",
    "network-vif-deleted",
    "volume-extended",
    "power-update",
    "accelerator-request-bound",
    "volume-reimaged",
]
NEED_TAG = ("volume-extended", "power-update", "accelerator-request-bound")


MOST_AT_ONCE = 512
"""The network service sends a hundred."""


class Event(Struct, forbid_unknown_fields=True):
    name: EventName
    server_uuid: Uuid
    status: Literal["completed", "failed", "in-progress"] = "completed"
    tag: Annotated[str, Meta(max_length=255)] | None = None


class EventsBody(Struct, forbid_unknown_fields=True):
    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST_AT_ONCE)]


async def create_events(request: ComputeRequest, body: EventsBody) -> Reply:
    request.authorize()
    shown = [await _take(request.service, event) for event in body.events]
    all_taken = all(each["code"] == 200 for each in shown)
    return Reply({"events": shown}, status=200 if all_taken else 207)


async def _take(region: Region, event: Event) -> dict[str, Any]:
    shown = {"name": event.name, "server_uuid": event.server_uuid, "status": event.status}
    if event.tag is not None:
        shown["tag"] = event.tag
    elif event.name in NEED_TAG:
        return {**shown, "status": "failed", "code": 400}
    try:
        async with cells.writing(region, event.server_uuid) as (_cell, tx):
            server = await servers.find(tx, event.server_uuid)
            await region.tasks.wake_subjects(tx, [server.id], region.clock.now())
    except ServerNotFound:
        return {**shown, "status": "failed", "code": 404}
    if server.host is None:
        return {**shown, "status": "failed", "code": 422}
    if event.name == "network-changed":
        await refresh_ports(region, server)
    return {**shown, "code": 200}


async def refresh_ports(region: Region, server: Server) -> None:
    """Brings the addresses a server's row shows up to date with the network service."""
    try:
        details = await specs.port_details(region.network, server)
    except RemoteFault as fault:
        log.warning("addresses not refreshed", server=server.id, reason=fault.message)
        return
    preserved = [port["id"] for port in server.ports if port.get("preserve")]
    tags = {port["id"]: port["tag"] for port in server.ports if port.get("tag")}
    seen = {entry["id"]: entry for entry in specs.port_entries(details, preserved, tags)}
    asked = {port["id"] for port in server.ports}
    async with cells.writing(region, server.id) as (_cell, tx):
        try:
            now = await servers.find(tx, server.id)
        except ServerNotFound:
            return
        # A port that joined or left meanwhile was not asked for: as to it, the row knows better.
        entries = [seen.get(port["id"], port) for port in now.ports if port["id"] in seen or port["id"] not in asked]
        if entries != now.ports:
            await servers.change(tx, server.id, region.clock.now(), ports=entries)
