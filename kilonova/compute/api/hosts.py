"""/os-services, /os-hypervisors and /os-availability-zone."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.compute.api.bodies import UUID, ComputeRequest, as_boolean, flag, refuse_unknown_queries
from kilonova.compute.api.listing import DIALECT, UNPAGED, strict_from
from kilonova.compute.errors import HypervisorNotFound, InvalidService, ServiceNotFound
from kilonova.compute.hosts import aggregates, control_daemons, hosts
from kilonova.compute.hosts.hosts import HostState, PlacedHost
from kilonova.compute.region import cells, mappings
from kilonova.compute.servers import servers
from kilonova.compute.servers.servers import HostUse
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import CellMapping, ControlDaemon, Host
from kilonova.compute.topics import AGENT_BINARY
from kilonova.compute.transactions import CellTx
from kilonova.compute.views.records import (
    control_daemon_view,
    hypervisor_link_view,
    hypervisor_use_view,
    hypervisor_view,
    service_view,
    zone_service_view,
    zone_view,
)
from kilonova.kit.clock import iso8601_micro
from kilonova.kit.errors import BadRequest, Conflict, NotFound
from kilonova.kit.http.bounds import Word
from kilonova.kit.http.lists import Cut, Listing, cut_among, word_if_any
from kilonova.kit.http.versions import since

SERVICES_LISTING = Listing(dialect=UNPAGED, filters={name: word_if_any(name) for name in ("host", "binary")})
SERVICES_QUERY = SERVICES_LISTING.query
HYPERVISOR_QUERY: dict[str, str | None] = {"with_servers": None}
HYPERVISORS_LISTING = Listing(
    dialect=replace(DIALECT, refuse=strict_from("service_and_hypervisor_uuids")),
    others={**HYPERVISOR_QUERY, "hypervisor_hostname_pattern": None},
    since="hypervisor_paging",
)
HYPERVISORS_QUERY = HYPERVISORS_LISTING.query
FIRST_CONTROL_NUMBER = 1_000_000
"""Numbers of the control services, far above the hosts' own."""
FIRST_DAEMON_NUMBER = 1_001_000
"""Of those that have registered themselves."""


class ServiceChange(Struct, forbid_unknown_fields=True):
    status: Literal["enabled", "disabled"] | None = None
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    forced_down: bool | Word | None = None


def is_up(cell: Cell, host: Host | HostState) -> bool:
    return not host.forced_down and cell.liveness.is_alive(host.binary, host.host)


async def list_services(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    page = SERVICES_LISTING.read(request)
    region = request.service
    by_uuid = _by_uuid(request)
    found, down = await hosts.look_everywhere(region)
    shown = [service_view(each.host, is_up=is_up(each.cell, each.host), by_uuid=by_uuid) for each in found]
    if request.allows("partial_results"):
        shown += await _unknown_services(region, down)
    shown += _control_services(region, by_uuid=by_uuid)
    shown += [_daemon_view(region, *each, by_uuid=by_uuid) for each in await _numbered_daemons(region)]
    return {"services": cut_among(shown, page).rows}


async def _unknown_services(region: Region, down: list[CellMapping]) -> list[dict[str, Any]]:
    """Those of cells that do not answer. Source: Compute API guide, "Handling Down Cells"."""
    async with region.reading() as tx:
        mapped = [host for cell in down for host in await mappings.list_hosts(tx, cell.id)]
    return [{"binary": AGENT_BINARY, "host": each.host, "status": "UNKNOWN"} for each in mapped]


def _control_services(region: Region, *, by_uuid: bool) -> list[dict[str, Any]]:
    """The parts of this process that have no host row: they are up, for it is they who answer."""
    entry = {"zone": "internal", "status": "enabled", "state": "up", "disabled_reason": None, "forced_down": False}
    now = iso8601_micro(region.clock.now())
    return [
        {**entry, "id": service_id if by_uuid else number, "binary": binary, "host": host, "updated_at": now}
        for number, (binary, host, service_id) in enumerate(region.control_services, FIRST_CONTROL_NUMBER)
    ]


async def _numbered_daemons(region: Region) -> list[tuple[int, ControlDaemon]]:
    async with region.reading() as tx:
        return list(enumerate(await control_daemons.list_all(tx), FIRST_DAEMON_NUMBER))


def _daemon_view(region: Region, number: int, daemon: ControlDaemon, *, by_uuid: bool) -> dict[str, Any]:
    is_alive = region.here.liveness.is_alive(daemon.binary, daemon.host)
    return control_daemon_view(number, daemon, is_up=is_alive, by_uuid=by_uuid)


async def update_service(request: ComputeRequest, body: ServiceChange) -> dict[str, Any]:
    request.authorize()
    region = request.service
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
    found = await hosts.locate(region, lambda tx: hosts.find_service(tx, service_id))
    async with found.cell.transaction() as tx:
        row = await hosts.change(tx, found.host, region.clock.now(), **values)
    return {"service": service_view(row, is_up=is_up(found.cell, row), by_uuid=True)}


async def delete_service(request: ComputeRequest) -> None:
    """Forgets a compute host, here and at placement. One that still runs registers again. By number before 2.53."""
    request.authorize()
    region, service_id = request.service, request.path["service_id"]
    if _by_uuid(request) and not UUID.fullmatch(service_id):
        raise InvalidService(f"Invalid uuid {service_id}")
    for number, daemon in await _numbered_daemons(region):
        if service_id == (daemon.id if _by_uuid(request) else str(number)):
            async with region.transaction() as tx:
                await control_daemons.remove(tx, daemon.id)
            return
    found = await hosts.locate(region, lambda tx: _service(tx, request, service_id))
    row = found.host
    async with found.cell.reading() as own:
        await _check_empty(own, row)
    # Placement first: it refuses while anything is claimed there, and a repeated delete finds the row again.
    await region.placement.delete_provider(row.id)
    async with region.transaction() as tx, cells.beside(tx, region, found.cell) as theirs:
        await _check_empty(theirs, row)
        await aggregates.forget_host(tx, row.host, region.clock.now())
        await mappings.unmap_host(tx, row.host)
        await hosts.remove(theirs, row)


async def _service(tx: CellTx, request: ComputeRequest, service_id: str) -> Host:
    if _by_uuid(request):
        return await hosts.find_service(tx, service_id)
    for each in await hosts.list_all(tx):
        if str(each.number) == service_id:
            return each
    raise ServiceNotFound(service_id)


async def _check_empty(tx: CellTx, row: Host) -> None:
    if await servers.names_on(tx, row.host):
        raise Conflict(f"Unable to delete compute service that is hosting instances: {row.host}.")


class OldServiceChange(Struct, forbid_unknown_fields=True):
    """Before version 2.53 the body names the service, and the path what to do."""

    host: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._-]+$(?!\n)")]
    binary: Annotated[str, Meta(min_length=1, max_length=255)]
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    forced_down: Annotated[bool | Word | UnsetType, since("2.11")] = UNSET


async def update_service_by_action(request: ComputeRequest, body: OldServiceChange) -> dict[str, Any]:
    """PUT /os-services/enable, disable, disable-log-reason and force-down."""
    request.authorize()
    values, shown = _old_change(request, body)
    if body.binary != AGENT_BINARY:
        raise InvalidService(
            f"Updating a {body.binary} service is not supported. Only {AGENT_BINARY} services can be updated."
        )
    region = request.service
    found = await hosts.locate(region, lambda tx: _named(tx, body))
    async with found.cell.transaction() as tx:
        await hosts.change(tx, found.host, region.clock.now(), **values)
    return {"service": {"host": body.host, "binary": body.binary, **shown}}


async def _named(tx: CellTx, body: OldServiceChange) -> Host:
    row = await hosts.find(tx, body.binary, body.host)
    if row is None:
        raise ServiceNotFound(f"{body.binary} on host {body.host}")
    return row


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


async def list_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    found = await _page(request)
    return {"hypervisors": [await _brief(request, each) for each in found.rows], **found.links("hypervisors")}


async def list_hypervisors_detail(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    found = await _page(request)
    uses = await _uses(request.service)
    shown = [await _detail(request, each, uses) for each in found.rows]
    return {"hypervisors": shown, **found.links("hypervisors")}


async def _uses(region: Region) -> dict[str, HostUse]:
    """What each host's servers have of it."""

    async def ask(_cell: Cell, tx: CellTx) -> dict[str, HostUse]:
        return await servers.use_by_host(tx)

    gathered = await cells.gather(region, ask)
    return {host: use for uses in gathered.values() for host, use in uses.items()}


async def _page(request: ComputeRequest) -> Cut[PlacedHost]:
    """The hosts whose name holds the pattern, or one page of all of them."""
    page = HYPERVISORS_LISTING.read(request)
    found = await hosts.everywhere(request.service)
    pattern = request.query.get("hypervisor_hostname_pattern")
    if pattern is not None and _by_uuid(request):
        if "limit" in request.query or "marker" in request.query:
            raise BadRequest("Paging with hypervisor_hostname_pattern is not supported.")
        return Cut(_like(found, pattern), page, None, None)
    return cut_among(found, page, lambda each: each.host.id if _by_uuid(request) else str(each.host.number))


def _like(found: list[PlacedHost], pattern: str) -> list[PlacedHost]:
    """Those whose name holds the pattern. Raises NotFound."""
    matching = [each for each in found if pattern.lower() in each.host.hypervisor_hostname.lower()]
    if not matching:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return matching


def _by_uuid(request: ComputeRequest) -> bool:
    return request.allows("service_and_hypervisor_uuids")


async def show_hypervisor(request: ComputeRequest) -> dict[str, Any]:
    """By UUID; by number before version 2.53."""
    request.authorize()
    refuse_unknown_queries(request, "service_and_hypervisor_uuids")
    found = await _find(request)
    shown = await _detail(request, found, await _uses(request.service))
    if request.allows("hypervisor_without_use"):
        shown["uptime"] = await _uptime(found)
    return {"hypervisor": shown}


async def _find(request: ComputeRequest) -> PlacedHost:
    hypervisor_id = request.path["hypervisor_id"]
    if _by_uuid(request) and not UUID.fullmatch(hypervisor_id):
        raise BadRequest(f"Invalid uuid {hypervisor_id}")
    if not _by_uuid(request) and not (hypervisor_id.isdecimal() and len(hypervisor_id) < 10):
        raise HypervisorNotFound(hypervisor_id)
    return await hosts.locate(request.service, lambda tx: hosts.find_hypervisor(tx, hypervisor_id))


async def show_uptime(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/{id}/uptime, up to version 2.87."""
    request.authorize()
    found = await _find(request)
    uptime = await _uptime(found)
    if uptime is None:
        raise BadRequest(f"The compute agent on {found.host.host} does not answer.")
    return {"hypervisor": {**await _brief(request, found), "uptime": uptime}}


async def _uptime(found: PlacedHost) -> str | None:
    """Nobody waits for a host that is known to be down."""
    return await hosts.uptime(found.cell, found.host) if is_up(found.cell, found.host) else None


async def search_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/{part of a name}/search, up to version 2.52."""
    request.authorize()
    found = _like(await hosts.everywhere(request.service), request.path["pattern"])
    return {"hypervisors": [await _brief(request, each) for each in found]}


async def list_servers_of_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/{part of a name}/servers, up to version 2.52."""
    request.authorize()
    shown = []
    for each in _like(await hosts.everywhere(request.service), request.path["pattern"]):
        held = await _servers_on(each)
        shown.append({**await _brief(request, each), **(held if held["servers"] else {})})
    return {"hypervisors": shown}


async def _brief(request: ComputeRequest, found: PlacedHost) -> dict[str, Any]:
    host = found.host
    shown = hypervisor_link_view(host, is_up=is_up(found.cell, host), by_uuid=_by_uuid(request))
    return {**shown, **await _held(request, found)}


async def _held(request: ComputeRequest, found: PlacedHost) -> dict[str, Any]:
    """The `servers` of a hypervisor where they are asked for. Before version 2.75 an empty list is left out."""
    if not (_by_uuid(request) and flag(request, "with_servers")):
        return {}
    held = await _servers_on(found)
    return held if held["servers"] or request.allows("strict_queries") else {}


async def _servers_on(found: PlacedHost) -> dict[str, Any]:
    async with found.cell.reading() as tx:
        held = await servers.names_on(tx, found.host.host)
    return {"servers": [{"uuid": server_id, "name": name} for server_id, name in held.items()]}


async def _detail(request: ComputeRequest, found: PlacedHost, uses: dict[str, HostUse]) -> dict[str, Any]:
    host = found.host
    view = hypervisor_view(host, is_up=is_up(found.cell, host), by_uuid=_by_uuid(request))
    shown = {**view, **await _held(request, found)}
    if not request.allows("hypervisor_without_use"):
        del shown["uptime"]
        shown.update(hypervisor_use_view(host, uses.get(host.host, HostUse())))
    return shown


async def show_statistics(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-hypervisors/statistics, up to version 2.87: what all enabled hosts hold and have used together."""
    request.authorize()
    region = request.service
    found = [each.host for each in await hosts.everywhere(region) if not each.host.disabled]
    by_host = await _uses(region)
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
    zones = _zones(await hosts.everywhere(request.service))
    return {"availabilityZoneInfo": [zone_view(name, bool(enabled), None) for name, enabled in zones]}


async def list_zones_detail(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-availability-zone/detail: with the enabled hosts of each, and the zone of the control services."""
    request.authorize()
    refuse_unknown_queries(request, "flavor_without_rxtx")
    region = request.service
    shown = []
    found = await hosts.everywhere(region)
    where = {each.host.host: each.cell for each in found}
    for name, enabled in _zones(found):
        listed = {
            each.host: {each.binary: zone_service_view(each, is_up=is_up(where[each.host], each))} for each in enabled
        }
        shown.append(zone_view(name, bool(enabled), listed or None))
    internal: dict[str, Any] = {}
    for binary, host, _service_id in region.control_services:
        alive = {"active": True, "available": True, "updated_at": iso8601_micro(region.clock.now())}
        internal.setdefault(host, {})[binary] = alive
    for _number, daemon in await _numbered_daemons(region):
        is_alive = region.here.liveness.is_alive(daemon.binary, daemon.host)
        seen = {"active": True, "available": is_alive, "updated_at": iso8601_micro(daemon.created_at)}
        internal.setdefault(daemon.host, {})[daemon.binary] = seen
    if internal:
        shown.insert(0, zone_view("internal", True, internal))
    return {"availabilityZoneInfo": shown}


def _zones(found: list[PlacedHost]) -> list[tuple[str, list[Host]]]:
    """Zones with their enabled hosts, those that have any first."""
    zones = hosts.by_zone(each.host for each in found)
    return sorted(zones.items(), key=lambda entry: not entry[1])
