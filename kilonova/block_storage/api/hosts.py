"""/os-hosts, /capabilities and /resource_filters: what administrators and clients ask before they ask for something."""

from collections.abc import Mapping
from typing import Any

from kilonova.block_storage import services, volumes
from kilonova.block_storage.api import attaching, backups, bodies, snapshots, volume_types
from kilonova.block_storage.api import services as records
from kilonova.block_storage.api import volumes as volume_lists
from kilonova.block_storage.api.access import UNPAGED, VolumeRequest
from kilonova.block_storage.tables import VolumeService
from kilonova.block_storage.views.records import capability_view, host_usage_view, host_view, scheduler_host_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import NotFound
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Listing, cut_among

HOSTS = Listing(dialect=UNPAGED, filters={"zone": lists.word_if_any("zone")})
FILTERED: Mapping[str, Listing] = {
    "volume": volume_lists.LISTING,
    "snapshot": snapshots.LISTING,
    "backup": backups.LISTING,
    "attachment": attaching.LISTING,
    "message": records.MESSAGES,
    "pool": records.POOLS,
    "volume_type": volume_types.LISTING,
}
NO_FILTERS = ("all_tenants", "tenant_id", "with_count", "detail")
"""Parameters of lists that leave no rows out."""
FILTERS = Listing(dialect=UNPAGED, filters={"resource": lists.word_if_any("resource")})


async def list_hosts(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    service, page = request.service, HOSTS.read(request)
    async with service.database.reading() as tx:
        known = await services.all_services(tx)
    shown = [host_view(each, is_up=service.is_up(each.host)) for each in known]
    if service.options.scheduler_host:
        shown.append(
            scheduler_host_view(service.options.scheduler_host, service.options.default_zone, service.clock.now())
        )
    return {"hosts": cut_among(shown, page, key=lambda each: str(each["host_name"])).rows}


async def _find(request: VolumeRequest, tx: Tx) -> VolumeService:
    host = request.path["host"]
    found = await services.find(tx, host)
    if found is None:
        raise NotFound(f"There is no host {host}.")
    return found


async def show_host(request: VolumeRequest) -> dict[str, Any]:
    """Shows what every project has on a back end, after what all of them have."""
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await _find(request, tx)
        usage = await volumes.usage_on(tx, [pool.host for pool in services.pools(found)])
    return {"host": [{"resource": each} for each in host_usage_view(found.host, usage)]}


async def update_host(request: VolumeRequest, body: bodies.HostChange) -> dict[str, Any]:
    request.authorize()
    service, disabled = request.service, body.status == "disable"
    async with service.database.transaction() as tx:
        found = await _find(request, tx)
        await services.set_disabled(tx, found.host, disabled=disabled, reason=None, now=service.clock.now())
    return {"host": found.host, "status": f"{body.status}d"}


async def show_capabilities(request: VolumeRequest) -> dict[str, Any]:
    """The path names a back end, or one of its pools."""
    request.authorize()
    named = request.path["host"]
    async with request.service.database.reading() as tx:
        found = await services.find(tx, services.backend_of(named))
    pools = services.pools(found) if found is not None else []
    for pool in pools:
        if named in (pool.host, services.backend_of(pool.host)):
            return capability_view(pool.host, pool.stats)
    raise NotFound(f"There is no back end {named}.")


async def list_filters(request: VolumeRequest) -> dict[str, Any]:
    """Lists what each list can be filtered by in the newest version; a resource that is not known has none."""
    request.authorize()
    page = FILTERS.read(request)
    known = [{"resource": resource, "filters": _filters_of(listing)} for resource, listing in FILTERED.items()]
    return {"resource_filters": cut_among(known, page, key=lambda each: str(each["resource"])).rows}


def _filters_of(listing: Listing) -> list[str]:
    names = (*listing.filters, *listing.others)
    return sorted(name for name in names if name not in NO_FILTERS and not name.endswith("~"))
