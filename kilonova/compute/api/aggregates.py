"""/os-aggregates: hosts that belong together, and the zones some of them make."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.compute.agent.spec import SpecImage
from kilonova.compute.api.bodies import ComputeRequest, Name, refuse_unknown_queries
from kilonova.compute.api.server_bodies import MOST_METADATA
from kilonova.compute.hosts import aggregates, image_caches
from kilonova.compute.region import cells
from kilonova.compute.servers import requests
from kilonova.compute.tables import Aggregate
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.compute.views.records import aggregate_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Uuid

MOST_CACHED = 64
"""Images that one request has fetched."""

Zone = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^:]*$(?!\n)")]
HostName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._-]+$(?!\n)")]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$(?!\n)")]


class NewAggregate(Struct, forbid_unknown_fields=True):
    name: Name
    availability_zone: Zone | None = None


class NewAggregateBody(Struct, forbid_unknown_fields=True):
    aggregate: NewAggregate


class ChangedAggregate(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    availability_zone: Zone | UnsetType = UNSET


class ChangedAggregateBody(Struct, forbid_unknown_fields=True):
    aggregate: ChangedAggregate


class NamedHost(Struct, forbid_unknown_fields=True):
    host: HostName


class ChangedMetadata(Struct, forbid_unknown_fields=True):
    metadata: Annotated[dict[Key, Annotated[str, Meta(max_length=255)] | None], Meta(max_length=MOST_METADATA)]


class WantedImage(Struct, forbid_unknown_fields=True):
    id: Uuid


class CacheBody(Struct, forbid_unknown_fields=True):
    cache: Annotated[list[WantedImage], Meta(min_length=1, max_length=MOST_CACHED)]


async def list_aggregates(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    refuse_unknown_queries(request, "flavor_without_rxtx")
    async with request.service.reading() as tx:
        return {"aggregates": [aggregate_view(each) for each in await aggregates.list_all(tx)]}


async def show_aggregate(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    refuse_unknown_queries(request, "flavor_without_rxtx")
    async with request.service.reading() as tx:
        return await _shown(tx, request)


async def _shown(tx: RegionTx, request: ComputeRequest) -> dict[str, Any]:
    return {"aggregate": aggregate_view(await aggregates.find(tx, request.path["aggregate_id"]))}


async def create_aggregate(request: ComputeRequest, body: NewAggregateBody) -> dict[str, Any]:
    request.authorize()
    new, now = body.aggregate, request.service.clock.now()
    async with request.service.transaction() as tx:
        made = await aggregates.insert(tx, new.name, new.availability_zone, now)
    shown = aggregate_view(made)
    # A new one never had either: the answer of this one call has always left them out.
    del shown["hosts"], shown["metadata"]
    return {"aggregate": shown}


@asynccontextmanager
async def _changing(request: ComputeRequest) -> AsyncIterator[tuple[RegionTx, Sequence[CellTx], Aggregate]]:
    """A transaction of the API database, one of each with hosts, and the aggregate of the path."""
    region = request.service
    async with region.transaction() as tx, cells.everywhere(region, tx) as everywhere:
        yield tx, everywhere, await aggregates.find(tx, request.path["aggregate_id"])


async def update_aggregate(request: ComputeRequest, body: ChangedAggregateBody) -> dict[str, Any]:
    request.authorize()
    region, change = request.service, body.aggregate
    if change.name is UNSET and change.availability_zone is UNSET:
        raise BadRequest("Nothing to change: give name or availability_zone.")
    async with _changing(request) as (tx, everywhere, aggregate):
        now = region.clock.now()
        if change.name is not UNSET:
            await aggregates.rename(tx, aggregate, change.name, now)
        if change.availability_zone is not UNSET:
            zone = {aggregates.ZONE: change.availability_zone}
            await aggregates.change_metadata(tx, everywhere, aggregate, zone, region.default_zone, now)
        return await _shown(tx, request)


async def delete_aggregate(request: ComputeRequest) -> None:
    request.authorize()
    async with request.service.transaction() as tx:
        await aggregates.remove(tx, await aggregates.find(tx, request.path["aggregate_id"]))


async def add_host(request: ComputeRequest, body: NamedHost) -> dict[str, Any]:
    request.authorize()
    async with _changing(request) as (tx, everywhere, aggregate):
        await aggregates.add_host(tx, everywhere, aggregate, body.host, request.service.clock.now())
        return await _shown(tx, request)


async def remove_host(request: ComputeRequest, body: NamedHost) -> dict[str, Any]:
    request.authorize()
    region = request.service
    async with _changing(request) as (tx, everywhere, aggregate):
        now = region.clock.now()
        await aggregates.remove_host(tx, everywhere, aggregate, body.host, region.default_zone, now)
        return await _shown(tx, request)


async def set_metadata(request: ComputeRequest, body: ChangedMetadata) -> dict[str, Any]:
    """Adds and changes keys; null takes one out."""
    request.authorize()
    region, changes = request.service, body.metadata
    zone = changes.get(aggregates.ZONE)
    if zone is not None and (not zone or ":" in zone):
        raise BadRequest(f"Invalid input for {aggregates.ZONE}: a zone has a name without colon, got {zone!r}.")
    async with _changing(request) as (tx, everywhere, aggregate):
        now = region.clock.now()
        await aggregates.change_metadata(tx, everywhere, aggregate, changes, region.default_zone, now)
        return await _shown(tx, request)


async def cache_images(request: ComputeRequest, body: CacheBody) -> None:
    """POST …/images: has the aggregate's hosts fetch images ahead. Those that are down fetch none."""
    request.authorize()
    region, wanted = request.service, [each.id for each in body.cache]
    if len(set(wanted)) < len(wanted):
        raise BadRequest("An image is named twice.")
    async with region.reading() as tx:
        aggregate = await aggregates.find(tx, request.path["aggregate_id"])
    found = [await requests.resolve_image(region, request.ctx, each, None) for each in wanted]
    images = tuple(msgspec.convert(each, SpecImage) for each in found)
    await image_caches.fill(region, aggregate.hosts, images)
