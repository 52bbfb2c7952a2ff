"""/v3/regions."""

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from kilonova.identity import records, regions
from kilonova.identity.api.bodies import Fields, IdentityRequest
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.tables import Region
from kilonova.identity.views.records import region_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id, LongText
from kilonova.kit.http.queries import short

LISTS = listing(texts={"parent_region_id": "parent_region_id"}, sorts=("parent_region_id",))


class NewRegion(Fields):
    """The only resource whose id its maker may choose."""

    kind: ClassVar[str] = "region"

    description: LongText | None = ""
    parent_region_id: Id | None = None


class NewRegionBody(Struct):
    region: NewRegion


class ChangedRegion(Fields):
    kind: ClassVar[str] = "region"

    description: LongText | None | UnsetType = UNSET
    parent_region_id: Id | None | UnsetType = UNSET


class ChangedRegionBody(Struct):
    region: ChangedRegion


async def create_region(request: IdentityRequest, body: NewRegionBody) -> dict[str, Any]:
    return await _create(request, body.region, body.region.id or records.new_id())


async def create_region_with_id(request: IdentityRequest, body: NewRegionBody) -> dict[str, Any]:
    """PUT /v3/regions/{region_id}: the id is in the path. Raises BadRequest for another in the body."""
    fields = body.region
    region_id = short("The id of a region", request.path["region_id"])
    if fields.id not in (None, region_id):
        raise BadRequest(f"The region's id is {region_id} in the path and {fields.id} in the body.")
    return await _create(request, fields, region_id)


async def _create(request: IdentityRequest, fields: NewRegion, region_id: str) -> dict[str, Any]:
    region = Region(region_id, fields.description or "", fields.parent_region_id, fields.attributes())
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


async def update_region(request: IdentityRequest, body: ChangedRegionBody) -> dict[str, Any]:
    fields, region_id = body.region, request.path["region_id"]
    fields.refuse_other_id(region_id)
    async with request.service.database.transaction() as tx:
        region = await regions.change(tx, region_id, fields.given(), fields.attributes())
    return {"region": region_view(region, request.base_url)}


async def delete_region(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await regions.remove(tx, request.path["region_id"])
