"""/os-services, /os-hypervisors and /os-availability-zone."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute import hosts, servers
from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.errors import InvalidService
from kilonova.compute.service import Compute
from kilonova.compute.tables import Host
from kilonova.compute.views.records import (
    hypervisor_link_view,
    hypervisor_use_view,
    hypervisor_view,
    service_view,
)
from kilonova.kit.clock import iso8601_micro
from kilonova.kit.db import Tx


class ServiceChange(Struct, forbid_unknown_fields=True):
    status: str | None = None
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    forced_down: bool | None = None


def is_up(compute: Compute, host: Host) -> bool:
    return not host.forced_down and compute.liveness.is_alive(host.binary, host.host)


async def list_services(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    compute = request.service
    async with compute.database.reading() as tx:
        found = await hosts.list_all(tx)
    shown = [service_view(each, is_up=is_up(compute, each)) for each in found] + _control_services(compute)
    for name in ("host", "binary"):
        wanted = request.query.get(name)
        shown = [each for each in shown if wanted in (None, each[name])]
    return {"services": shown}


def _control_services(compute: Compute) -> list[dict[str, Any]]:
    """The parts of this process that have no host row: they are up, for it is they who answer."""
    entry = {"zone": "internal", "status": "enabled", "state": "up", "disabled_reason": None, "forced_down": False}
    now = iso8601_micro(compute.clock.now())
    return [
        {**entry, "id": service_id, "_number": 1_000_000 + place, "binary": binary, "host": host, "updated_at": now}
        for place, (binary, host, service_id) in enumerate(compute.control_services)
    ]


async def update_service(request: ComputeRequest, body: ServiceChange) -> dict[str, Any]:
    request.authorize()
    compute = request.service
    values: dict[str, Any] = {}
    if body.status is not None:
        values["disabled"] = _is_disabled(body.status)
        values["disabled_reason"] = body.disabled_reason if values["disabled"] else None
    elif body.disabled_reason is not None:
        raise InvalidService("disabled_reason goes with the status disabled.")
    if body.forced_down is not None:
        values["forced_down"] = body.forced_down
    if not values:
        raise InvalidService("No updates were requested: give status or forced_down.")
    async with compute.database.transaction() as tx:
        row = await hosts.find_service(tx, request.path["service_id"])
        row = await hosts.change(tx, row, compute.clock.now(), **values)
    return {"service": service_view(row, is_up=is_up(compute, row))}


def _is_disabled(status: str) -> bool:
    if status not in ("enabled", "disabled"):
        raise InvalidService(f"status must be enabled or disabled, got {status!r}.")
    return status == "disabled"


async def list_hypervisors(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    compute = request.service
    found = await _matching(request)
    return {"hypervisors": [hypervisor_link_view(each, is_up=is_up(compute, each)) for each in found]}


async def _matching(request: ComputeRequest) -> list[Host]:
    pattern = request.query.get("hypervisor_hostname_pattern", "")
    async with request.service.database.reading() as tx:
        return [each for each in await hosts.list_all(tx) if pattern in each.hypervisor_hostname]


async def list_hypervisors_detail(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    found = await _matching(request)
    async with request.service.database.reading() as tx:
        return {"hypervisors": [await _detail(tx, request, each) for each in found]}


async def show_hypervisor(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        row = await hosts.find_hypervisor(tx, request.path["hypervisor_id"])
        return {"hypervisor": await _detail(tx, request, row)}


async def _detail(tx: Tx, request: ComputeRequest, host: Host) -> dict[str, Any]:
    compute = request.service
    held = await servers.of_host(tx, host.host)
    names = None
    if "with_servers" in request.query:
        names = [{"uuid": each.id, "name": servers.instance_name(each)} for each in held]
    shown = hypervisor_view(host, is_up=is_up(compute, host), servers=names)
    if not request.allows("hypervisor_without_use"):
        use = hypervisor_use_view(
            host,
            vcpus_used=sum(each.flavor["vcpus"] for each in held),
            memory_used_mib=sum(each.flavor["memory_mib"] for each in held),
            disk_used_gib=sum(each.flavor["root_gib"] for each in held),
            running=len(held),
        )
        del shown["uptime"]
        shown.update(use)
    return shown


async def list_zones(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-availability-zone: every zone there is, available while a host in it is enabled."""
    request.authorize()
    zones = await _zones(request.service)
    shown = [_zone(name, any(not each.disabled for each in members), None) for name, members in zones.items()]
    return {"availabilityZoneInfo": shown}


async def list_zones_detail(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    compute = request.service
    shown = []
    for name, members in (await _zones(compute)).items():
        listed = {each.host: {each.binary: _zone_service(compute, each)} for each in members}
        shown.append(_zone(name, any(not each.disabled for each in members), listed))
    return {"availabilityZoneInfo": shown}


async def _zones(compute: Compute) -> dict[str, list[Host]]:
    async with compute.database.reading() as tx:
        found = await hosts.list_all(tx)
    zones: dict[str, list[Host]] = {}
    for each in found:
        zones.setdefault(each.availability_zone, []).append(each)
    return zones


def _zone(name: str, available: bool, listed: dict[str, Any] | None) -> dict[str, Any]:
    return {"zoneName": name, "zoneState": {"available": available}, "hosts": listed}


def _zone_service(compute: Compute, host: Host) -> dict[str, Any]:
    updated = host.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return {"active": not host.disabled, "available": is_up(compute, host), "updated_at": updated}
