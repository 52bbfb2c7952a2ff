"""/v3/regions."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from kilonova.identity import records, regions
from kilonova.identity.api.bodies import (
    IdentityRequest,
    Kind,
    given,
    read_fields,
    refuse_other_id,
)
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.tables import Region
from kilonova.identity.views.records import region_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id, LongText
from kilonova.kit.http.queries import short

LISTS = listing(texts={"parent_region_id": "parent_region_id"}, sorts=("parent_region_id",))


KIND = Kind("region")


class NewRegion(Struct):
    id: Id | None = None
    description: LongText | None = ""
    parent_region_id: Id | None = None


class ChangedRegion(Struct):
    description: LongText | None | UnsetType = UNSET
    parent_region_id: Id | None | UnsetType = UNSET


async def create_region(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    return await _create(request, *read_fields(body, KIND, NewRegion))


async def create_region_with_id(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    """PUT /v3/regions/{region_id}: the id is in the path. Raises BadRequest for another in the body."""
    request.authorize()
    fields, extra = read_fields(body, KIND, NewRegion)
    region_id = short("The id of a region", request.path["region_id"])
    if fields.id not in (None, region_id):
        raise BadRequest(f"The region's id is {region_id} in the path and {fields.id} in the body.")
    return await _create(request, replace(fields, id=region_id), extra)


async def _create(request: IdentityRequest, fields: NewRegion, extra: dict[str, Any]) -> dict[str, Any]:
    region = Region(fields.id or records.new_id(), fields.description or "", fields.parent_region_id, extra)
    async with request.service.database.transaction() as tx:
        await regions.add(tx, region)
    return {"region": region_view(region, request.base_url)}


async def list_regions(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await regions.list_matching(tx, page.selection)
    return paged(request, "regions", page, found, region_view)


async def show_region(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        region = await regions.find(tx, request.path["region_id"])
    return {"region": region_view(region, request.base_url)}


async def update_region(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, KIND, ChangedRegion)
    refuse_other_id(body, KIND, request.path["region_id"])
    values = given(fields)
    async with request.service.database.transaction() as tx:
        region = await regions.change(tx, request.path["region_id"], values, extra)
    return {"region": region_view(region, request.base_url)}


async def delete_region(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await regions.remove(tx, request.path["region_id"])
