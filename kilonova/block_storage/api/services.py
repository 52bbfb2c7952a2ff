"""/os-services, /scheduler-stats/get_pools, /os-availability-zone and /messages."""

from collections.abc import Sequence
from typing import Any

from kilonova.block_storage import backup_services, messages, services, volume_types, volumes
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import DIALECT, UNPAGED, VolumeRequest, owner_of, seen_project
from kilonova.block_storage.scheduling.filters import fits_type
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.tables import VolumeService
from kilonova.block_storage.topics import AGENT_BINARY, BACKUP_BINARY
from kilonova.block_storage.views.records import (
    MESSAGE_LEVEL,
    backup_service_view,
    message_view,
    pool_view,
    service_view,
)
from kilonova.block_storage.views.times import shown_time
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import NOTHING, Condition
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut, cut_among
from kilonova.kit.http.queries import short, yes_or_no

SERVICES = Listing(dialect=UNPAGED, filters={"binary": lists.word_if_any("binary")}, others={"host": None})
POOLS = Listing(dialect=UNPAGED, others={"detail": None, "name": "pool_filter", "volume_type": "pools_of_type"})
SCHEDULER = "cinder-scheduler"


async def list_services(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    service, page = request.service, SERVICES.read(request)
    async with service.database.reading() as tx:
        known = await services.all_services(tx)
        keepers = await backup_services.all_services(tx)
    shown = [service_view(each, is_up=service.is_up(each.host)) for each in known]
    shown += [backup_service_view(each, is_up=backup_services.is_up(service, each.host)) for each in keepers]
    if service.options.scheduler_host:
        shown.insert(0, _scheduler_view(service))
    if host := request.query.get("host"):
        # A host's name stands for all its back ends.
        shown = [each for each in shown if host in (each["host"], each["host"].partition("@")[0])]
    return {"services": cut_among(shown, page, key=lambda each: str(each["host"])).rows}


def _scheduler_view(service: BlockStorage) -> dict[str, Any]:
    """The scheduler is whichever process runs the operations: what answers here has one beside it."""
    options, now = service.options, shown_time(service.clock.now())
    view = {"binary": SCHEDULER, "host": options.scheduler_host, "zone": options.default_zone, "status": "enabled"}
    return {**view, "state": "up", "updated_at": now, "disabled_reason": None, "cluster": None}


async def enable(request: VolumeRequest, body: bodies.ServiceChange) -> dict[str, Any]:
    await _set_disabled(request, body, disabled=False, reason=None)
    return {**_told(body), "status": "enabled", "disabled": False}


async def disable(request: VolumeRequest, body: bodies.ServiceChange) -> dict[str, Any]:
    await _set_disabled(request, body, disabled=True, reason=None)
    return {**_told(body), "status": "disabled", "disabled": True}


async def disable_with_reason(request: VolumeRequest, body: bodies.ServiceChange) -> dict[str, Any]:
    request.authorize()
    if not body.disabled_reason:
        raise BadRequest("disabled_reason says why a service is disabled.")
    await _set_disabled(request, body, disabled=True, reason=body.disabled_reason)
    return {**_told(body), "status": "disabled", "disabled": True, "disabled_reason": body.disabled_reason}


def _told(body: bodies.ServiceChange) -> dict[str, Any]:
    binary = body.service or body.binary
    return {"host": body.host, "service": binary, "binary": binary}


async def _set_disabled(
    request: VolumeRequest, body: bodies.ServiceChange, *, disabled: bool, reason: str | None
) -> None:
    request.authorize()
    service = request.service
    binary = body.service or body.binary
    if binary == SCHEDULER and body.host == service.options.scheduler_host:
        raise BadRequest(f"Only {AGENT_BINARY} and {BACKUP_BINARY} can be enabled and disabled, not {binary}.")
    change = {AGENT_BINARY: services.set_disabled, BACKUP_BINARY: backup_services.set_disabled}.get(binary)
    if change is None:
        raise NotFound(f"There is no {binary} on host {body.host}.")
    async with service.database.transaction() as tx:
        if not await change(tx, body.host, disabled=disabled, reason=reason, now=service.clock.now()):
            raise NotFound(f"There is no {binary} on host {body.host}.")


async def list_pools(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    service, query = request.service, request.query
    detailed = "detail" in query and yes_or_no("detail", query["detail"])
    async with service.database.reading() as tx:
        known, held = await services.all_services(tx), await volumes.provisioned(tx)
        wanted = await _wanted_pools(request, tx, known)
    return {
        "pools": [
            pool_view(
                each,
                stats,
                detailed=detailed,
                provisioned_gib=held.get(f"{each.host}#{stats['pool_name']}", (0, 0))[1],
                is_up=service.is_up(each.host),
            )
            for each in known
            for stats in each.pools
            if wanted is None or f"{each.host}#{stats['pool_name']}" in wanted
        ]
    }


async def _wanted_pools(request: VolumeRequest, tx: Tx, known: Sequence[VolumeService]) -> set[str] | None:
    """Returns the pools that the filters leave, None for all. Raises VolumeTypeNotFound."""
    name = request.query.get("name") if request.allows("pool_filter") else None
    type_name = request.query.get("volume_type") if request.allows("pools_of_type") else None
    if name is None and type_name is None:
        return None
    pools = [pool for each in known for pool in services.pools(each)]
    if name is not None:
        pools = [pool for pool in pools if pool.host == name]
    if type_name is not None:
        chosen = await volume_types.find_named(tx, type_name, seen_by=None, sees_all=True)
        pools = [pool for pool in pools if fits_type(pool, chosen.extra_specs)]
    return {pool.host for pool in pools}


async def list_zones(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await services.zones(tx, request.service.options.default_zone)
    return {
        "availabilityZoneInfo": [
            {"zoneName": name, "zoneState": {"available": available}} for name, available in sorted(found.items())
        ]
    }


# --- messages --------------------------------------------------------------------------------------------------------


def _event(name: str, texts: Sequence[str]) -> Condition:
    return messages.has_event(short(name, texts[-1]))


def _level(_name: str, texts: Sequence[str]) -> Condition | None:
    """Every message tells of an error."""
    return None if texts[-1] == MESSAGE_LEVEL else NOTHING


MESSAGES = Listing(
    dialect=DIALECT,
    filters={
        "resource_uuid": lists.text("resource_id"),
        "resource_type": lists.text("resource_type"),
        "request_id": lists.text("request_id"),
        "event_id": _event,
        "message_level": _level,
    },
    others={"project_id": "message_pages"},
    changes=dict.fromkeys(
        ("resource_uuid", "resource_type", "request_id", "event_id", "message_level"), "message_pages"
    ),
    since="message_pages",
    sorts={
        "id": "id",
        "created_at": "created_at",
        "guaranteed_until": "expires_at",
        "resource_type": "resource_type",
        "resource_uuid": "resource_id",
        "request_id": "request_id",
    },
    order=(("created_at", "desc"), ("id", "desc")),
)


async def list_messages(request: VolumeRequest) -> dict[str, Any]:
    """Administrators name the project whose messages they want to see."""
    request.authorize()
    page, project_id = MESSAGES.read(request), request.ctx.project_id or ""
    if request.ctx.is_admin and request.allows("message_pages"):
        project_id = short("project_id", request.query.get("project_id") or project_id)
    async with request.service.database.reading() as tx:
        shown = cut(await messages.list_of(tx, project_id, page.selection), page)
    return {"messages": [message_view(each, request.base_url) for each in shown.rows], **shown.links("messages")}


async def show_message(request: VolumeRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        row = await messages.find(tx, request.path["message_id"], seen_project(request))
    request.authorize(owner_of(row))
    return {"message": message_view(row, request.base_url)}


async def delete_message(request: VolumeRequest) -> None:
    async with request.service.database.transaction() as tx:
        row = await messages.find(tx, request.path["message_id"], seen_project(request))
        request.authorize(owner_of(row))
        await messages.remove(tx, row)
