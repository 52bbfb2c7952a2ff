"""/v3/endpoints."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import endpoints, records
from kilonova.identity.api.bodies import (
    IdentityRequest,
    Kind,
    RecordId,
    given,
    read_fields,
    refuse_given_id,
    refuse_other_id,
)
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.tables import Endpoint
from kilonova.identity.views.records import endpoint_view
from kilonova.kit.http.bounds import Id

Interface = Literal["public", "internal", "admin"]
Url = Annotated[str, Meta(min_length=1, max_length=2000, pattern="^[A-Za-z]+://")]

LISTS = listing(
    # `region` is what older clients call it.
    texts={"interface": "interface", "service_id": "service_id", "region_id": "region_id", "region": "region_id"},
    flags=("enabled",),
    sorts=("interface", "service_id", "region_id", "enabled"),
)


KIND = Kind("endpoint")


class NewEndpoint(Struct):
    service_id: RecordId
    interface: Interface
    url: Url
    region_id: Id | None = None
    region: Id | None = None
    enabled: bool = True


class ChangedEndpoint(Struct):
    service_id: RecordId | UnsetType = UNSET
    interface: Interface | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    region_id: Id | None | UnsetType = UNSET
    region: Id | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


async def create_endpoint(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, KIND, NewEndpoint)
    refuse_given_id(body, KIND)
    region_id = fields.region_id or fields.region
    endpoint = Endpoint(
        records.new_id(), fields.service_id, fields.interface, region_id, fields.url, fields.enabled, extra
    )
    async with request.service.database.transaction() as tx:
        await endpoints.add(tx, endpoint)
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def list_endpoints(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await endpoints.list_matching(tx, page.selection)
    return paged(request, "endpoints", page, found, endpoint_view)


async def show_endpoint(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        endpoint = await endpoints.find(tx, request.path["endpoint_id"])
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def update_endpoint(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, KIND, ChangedEndpoint)
    refuse_other_id(body, KIND, request.path["endpoint_id"])
    values = given(fields, without=("region",))
    if fields.region is not UNSET and "region_id" not in values:
        values["region_id"] = fields.region
    async with request.service.database.transaction() as tx:
        endpoint = await endpoints.change(tx, request.path["endpoint_id"], values, extra)
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def delete_endpoint(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await endpoints.remove(tx, request.path["endpoint_id"])
