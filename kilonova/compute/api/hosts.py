"""/os-services, /os-hypervisors and /os-availability-zone."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.compute import aggregates, hosts, servers
from kilonova.compute.api.bodies import UUID, ComputeRequest, as_boolean, flag, page_links, refuse_unknown_queries
from kilonova.compute.errors import HypervisorNotFound, InvalidService, ServiceNotFound
from kilonova.compute.hosts import HostState
from kilonova.compute.servers import HostUse
from kilonova.compute.service import Compute
from kilonova.compute.tables import Host
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.views.records import (
    hypervisor_link_view,
    hypervisor_use_view,
    hypervisor_view,
    service_view,
    zone_service_view,
    zone_view,
)
from kilonova.kit.clock import iso8601_micro
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest, Conflict, NotFound
from kilonova.kit.http.paging import Paging, next_link
from kilonova.kit.http.versions import since

SERVICES_QUERY: dict[str, str | None] = {"host": None, "binary": None}
HYPERVISOR_QUERY: dict[str, str | None] = {"with_servers": None}
HYPERVISORS_QUERY = {**HYPERVISOR_QUERY, "limit": None, "marker": None, "hypervisor_hostname_pattern": None}
FIRST_CONTROL_NUMBER = 1_000_000
"""Numbers of the control services, far above the hosts' own."""


class ServiceChange(Struct, forbid_unknown_fields=True):
    status: Literal["enabled", "disabled"] | None = None
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    forced_down: bool | str | None = None


def is_up(compute: Compute, host: Host | HostState) -> bool:
    return not host.forced_down and compute.liveness.is_alive(host.binary, host.host)


async def list_services(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    refuse_unknown_queries(request)
    compute = request.service
    async with compute.database.reading() as tx:
        found = await hosts.list_all(tx)
    by_uuid = _by_uuid(request)
    shown = [service_view(each, is_up=is_up(compute, each), by_uuid=by_uuid) for each in found]
    shown += _control_services(compute, by_uuid=by_uuid)
    for name in ("host", "binary"):
        wanted = request.query.get(name)
        shown = [each for each in shown if wanted in (None, "", each[name])]
    return {"services": shown}


def _control_services(compute: Compute, *, by_uuid: bool) -> list[dict[str, Any]]:
    """The parts of this process that have no host row: they are up, for it is they who answer."""
    entry = {"zone": "internal", "status": "enabled", "state": "up", "disabled_reason": None, "forced_down": False}
    now = iso8601_micro(compute.clock.now())
    return [
        {**entry, "id": service_id if by_uuid else number, "binary": binary, "host": host, "updated_at": now}
        for number, (binary, host, service_id) in enumerate(compute.control_services, FIRST_CONTROL_NUMBER)
    ]


async def update_service(request: ComputeRequest, body: ServiceChange) -> dict[str, Any]:
    request.authorize()
    compute = request.service
    values: dict[str, Any] = {}
    if body.status is not None:
        values["disabled"] = body.status == "disabled"
        values["disabled_reason"] = body.disabled_reason if values["disabled"] else None
    if body.disabled_reason is not None and body.status != "disabled":
        raise InvalidService("disabled_reason goes with the status disabled.")
    if body.forced_down is not None:
        values["forced_down"] = as_boolean(body.forced_down, "forced_down")
    if not values:
        raise InvalidService("No updates were requested: give status or forced_down.")
    service_id = request.path["service_id"]
    if not UUID.fullmatch(service_id):
        raise InvalidService(f"Invalid uuid {service_id}")
    async with compute.database.transaction() as tx:
        row = await hosts.find_service(tx, service_id)
        row = await hosts.change(tx, row, compute.clock.now(), **values)
    return {"service": service_view(row, is_up=is_up(compute, row), by_uuid=True)}


async def delete_service(request: ComputeRequest) -> None:
    """Forgets a compute host, here and at placement. One that still runs registers again. By number before 2.53."""
    request.authorize()
    compute, service_id = request.service, request.path["service_id"]
    if _by_uuid(request) and not UUID.fullmatch(service_id):
        raise InvalidService(f"Invalid uuid {service_id}")
    async with compute.database.reading() as tx:
        row = await _service(tx, request, service_id)
        await _check_empty(tx, row)
    # Placement first: it refuses while anything is claimed there, and a repeated delete finds the row again.
    await compute.placement.delete_provider(row.id)
    async with compute.database.transaction() as tx:
        await _check_empty(tx, row)
        await aggregates.forget_host(tx, row.host, compute.clock.now())
        await hosts.remove(tx, row)


async def _service(tx: Tx, request: ComputeRequest, service_id: str) -> Host:
    if _by_uuid(request):
        return await hosts.find_service(tx, service_id)
    for each in await hosts.list_all(tx):
        if str(each.number) == service_id:
            return each
    raise ServiceNotFound(service_id)


async def _check_empty(tx: Tx, row: Host) -> None:
    if await servers.names_on(tx, row.host):
        raise Conflict(f"Unable to delete compute service that is hosting instances: {row.host}.")


class OldServiceChange(Struct, forbid_unknown_fields=True):
    """Before version 2.53 the body names the service, and the path what to do."""

    host: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._-]+$")]
    binary: Annotated[str, Meta(min_length=1, max_length=255)]
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    forced_down: Annotated[bool | str | UnsetType, since("2.11")] = UNSET


async def update_service_by_action(request: ComputeRequest, body: OldServiceChange) -> dict[str, Any]:
    """PUT /os-services/enable, disable, disable-log-reason and force-down."""
    request.authorize()
    values, shown = _old_change(request, body)
    if body.binary != AGENT_BINARY:
        raise InvalidService(
            f"Updating a {body.binary} service is not supported. Only {AGENT_BINARY} services can be updated."
        )
    compute = request.service
    async with compute.database.transaction() as tx:
        row = await hosts.find(tx, body.binary, body.host)
        if row is None:
            raise ServiceNotFound(f"{body.binary} on host {body.host}")
        await hosts.change(tx, row, compute.clock.now(), **values)
    return {"service": {"host": body.host, "binary": body.binary, **shown}}


def _old_change(request: ComputeRequest, body: OldServiceChange) -> tuple[dict[str, Any], dict[str, Any]]:
    """What to write, and what the answer shows of it."""
    action = request.path["service_id"]
    if action == "enable":
        return {"disabled": False, "disabled_reason": None}, {"status": "enabled"}
    if action == "disable":
        return {"disabled": True, "disabled_reason": None}, {"status": "disabled"}
    if action == "disable-log-reason":
        if body.disabled_reason is None:
            raise InvalidService("Missing disabled reason field")
        reason = {"disabled_reason": body.disabled_reason}
        return {"disabled": True, **reason}, {"status": "disabled", **reason}
    if action == "force-down" and request.allows("service_forced_down"):
        if body.forced_down is UNSET:
            raise InvalidService("Missing forced_down field")
        forced = {"forced_down": as_boolean(body.forced_down, "forced_down")}
        return forced, forced
    raise NotFound("Unknown action")


PAGING = Paging(keys={"id": "id"}, default=(("id", "asc"),))


async def list_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    found, url = await _page(request)
    async with request.service.database.reading() as tx:
        shown = [await _brief(tx, request, each) for each in found]
    return {"hypervisors": shown, **page_links("hypervisors", url)}


async def list_hypervisors_detail(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    found, url = await _page(request)
    async with request.service.database.reading() as tx:
        uses = await servers.use_by_host(tx)
        shown = [await _detail(tx, request, each, uses) for each in found]
    return {"hypervisors": shown, **page_links("hypervisors", url)}


async def _page(request: ComputeRequest) -> tuple[list[Host], str | None]:
    """The hosts whose name holds the pattern, or one page of all of them."""
    refuse_unknown_queries(request, "service_and_hypervisor_uuids")
    async with request.service.database.reading() as tx:
        found = await hosts.list_all(tx)
    pattern = request.query.get("hypervisor_hostname_pattern")
    if pattern is not None and request.allows("service_and_hypervisor_uuids"):
        if "limit" in request.query or "marker" in request.query:
            raise BadRequest("Paging with hypervisor_hostname_pattern is not supported.")
        matching = [each for each in found if pattern in each.hypervisor_hostname]
        if not matching:
            raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
        return matching, None
    if not request.allows("hypervisor_paging"):
        return found, None
    page = PAGING.parse(request.query)
    if page.marker is not None:
        ids = [str(each.number) if not _by_uuid(request) else each.id for each in found]
        if page.marker not in ids:
            raise BadRequest(f"marker [{page.marker}] not found")
        found = found[ids.index(page.marker) + 1 :]
    if len(found) <= page.limit:
        return found, None
    last = found[page.limit - 1]
    marker = last.id if _by_uuid(request) else str(last.number)
    return found[: page.limit], next_link(request.base_url + request.url_path, request.query, marker)


def _by_uuid(request: ComputeRequest) -> bool:
    return request.allows("service_and_hypervisor_uuids")


async def show_hypervisor(request: ComputeRequest) -> dict[str, Any]:
    """By UUID; by number before version 2.53."""
    request.authorize()
    refuse_unknown_queries(request, "service_and_hypervisor_uuids")
    async with request.service.database.reading() as tx:
        row = await _find(tx, request)
        shown = await _detail(tx, request, row, await servers.use_by_host(tx))
    if request.allows("hypervisor_without_use"):
        shown["uptime"] = await _uptime(request, row)
    return {"hypervisor": shown}


async def _find(tx: Tx, request: ComputeRequest) -> Host:
    hypervisor_id = request.path["hypervisor_id"]
    if _by_uuid(request) and not UUID.fullmatch(hypervisor_id):
        raise BadRequest(f"Invalid uuid {hypervisor_id}")
    if not _by_uuid(request) and not hypervisor_id.isdecimal():
        raise HypervisorNotFound(hypervisor_id)
    return await hosts.find_hypervisor(tx, hypervisor_id)


async def show_uptime(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/{id}/uptime, up to version 2.87."""
    request.authorize()
    async with request.service.database.reading() as tx:
        row = await _find(tx, request)
        shown = await _brief(tx, request, row)
    uptime = await _uptime(request, row)
    if uptime is None:
        raise BadRequest(f"The compute agent on {row.host} does not answer.")
    return {"hypervisor": {**shown, "uptime": uptime}}


async def _uptime(request: ComputeRequest, host: Host) -> str | None:
    """Nobody waits for a host that is known to be down."""
    return await hosts.uptime(request.service, host) if is_up(request.service, host) else None


async def _named_like(tx: Tx, request: ComputeRequest) -> list[Host]:
    pattern = request.path["pattern"]
    found = [each for each in await hosts.list_all(tx) if pattern in each.hypervisor_hostname]
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found


async def search_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/{part of a name}/search, up to version 2.52."""
    request.authorize()
    async with request.service.database.reading() as tx:
        shown = [await _brief(tx, request, each) for each in await _named_like(tx, request)]
    return {"hypervisors": shown}


async def list_servers_of_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/{part of a name}/servers, up to version 2.52."""
    request.authorize()
    async with request.service.database.reading() as tx:
        shown = []
        for each in await _named_like(tx, request):
            held = await _servers_on(tx, each)
            shown.append({**await _brief(tx, request, each), **(held if held["servers"] else {})})
    return {"hypervisors": shown}


async def _brief(tx: Tx, request: ComputeRequest, host: Host) -> dict[str, Any]:
    shown = hypervisor_link_view(host, is_up=is_up(request.service, host), by_uuid=_by_uuid(request))
    return {**shown, **await _held(tx, request, host)}


async def _held(tx: Tx, request: ComputeRequest, host: Host) -> dict[str, Any]:
    """The `servers` of a hypervisor where they are asked for. Before version 2.75 an empty list is left out."""
    if not (_by_uuid(request) and flag(request, "with_servers")):
        return {}
    held = await _servers_on(tx, host)
    return held if held["servers"] or request.allows("strict_queries") else {}


async def _servers_on(tx: Tx, host: Host) -> dict[str, Any]:
    held = await servers.names_on(tx, host.host)
    return {"servers": [{"uuid": server_id, "name": name} for server_id, name in held.items()]}


async def _detail(tx: Tx, request: ComputeRequest, host: Host, uses: dict[str, HostUse]) -> dict[str, Any]:
    compute = request.service
    view = hypervisor_view(host, is_up=is_up(compute, host), by_uuid=_by_uuid(request))
    shown = {**view, **await _held(tx, request, host)}
    if not request.allows("hypervisor_without_use"):
        del shown["uptime"]
        shown.update(hypervisor_use_view(host, uses.get(host.host, HostUse())))
    return shown


async def show_statistics(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/statistics, up to version 2.87: what all enabled hosts hold and have used together."""
    request.authorize()
    async with request.service.database.reading() as tx:
        found = [each for each in await hosts.list_all(tx) if not each.disabled]
        by_host = await servers.use_by_host(tx)
    uses = [hypervisor_use_view(each, by_host.get(each.host, HostUse())) for each in found]
    summed = {name: sum(use[name] for use in uses) for name in SUMMED}
    return {"hypervisor_statistics": {"count": len(found), **summed}}


SUMMED = (
    "vcpus",
    "vcpus_used",
    "memory_mb",
    "memory_mb_used",
    "free_ram_mb",
    "local_gb",
    "local_gb_used",
    "free_disk_gb",
    "disk_available_least",
    "current_workload",
    "running_vms",
)


async def list_zones(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-availability-zone: every zone there is, available while a host in it is enabled."""
    request.authorize()
    refuse_unknown_queries(request, "flavor_without_rxtx")
    zones = await _zones(request.service)
    return {"availabilityZoneInfo": [zone_view(name, bool(enabled), None) for name, enabled in zones]}


async def list_zones_detail(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-availability-zone/detail: with the enabled hosts of each, and the zone of the control services."""
    request.authorize()
    refuse_unknown_queries(request, "flavor_without_rxtx")
    compute = request.service
    shown = []
    for name, enabled in await _zones(compute):
        listed = {each.host: {each.binary: zone_service_view(each, is_up=is_up(compute, each))} for each in enabled}
        shown.append(zone_view(name, bool(enabled), listed or None))
    internal: dict[str, Any] = {}
    for binary, host, _service_id in compute.control_services:
        alive = {"active": True, "available": True, "updated_at": iso8601_micro(compute.clock.now())}
        internal.setdefault(host, {})[binary] = alive
    if internal:
        shown.insert(0, zone_view("internal", True, internal))
    return {"availabilityZoneInfo": shown}


async def _zones(compute: Compute) -> list[tuple[str, list[Host]]]:
    """Zones with their enabled hosts, those that have any first."""
    async with compute.database.reading() as tx:
        zones = hosts.by_zone(await hosts.list_all(tx))
    return sorted(zones.items(), key=lambda entry: not entry[1])
