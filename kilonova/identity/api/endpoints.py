"""/v3/endpoints."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import endpoints, records
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields, RecordId
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


class NewEndpoint(NewFields):
    kind: ClassVar[str] = "endpoint"

    service_id: RecordId
    interface: Interface
    url: Url
    region_id: Id | None = None
    region: Id | None = None
    enabled: bool = True


class NewEndpointBody(Struct):
    endpoint: NewEndpoint


class ChangedEndpoint(Fields):
    kind: ClassVar[str] = "endpoint"

    service_id: RecordId | UnsetType = UNSET
    interface: Interface | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    region_id: Id | None | UnsetType = UNSET
    region: Id | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ChangedEndpointBody(Struct):
    endpoint: ChangedEndpoint


async def create_endpoint(request: IdentityRequest, body: NewEndpointBody) -> dict[str, Any]:
    fields = body.endpoint
    region_id = fields.region_id or fields.region
    endpoint = Endpoint(
        id=records.new_id(),
        service_id=fields.service_id,
        interface=fields.interface,
        region_id=region_id,
        url=fields.url,
        enabled=fields.enabled,
        extra=fields.attributes(),
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


async def update_endpoint(request: IdentityRequest, body: ChangedEndpointBody) -> dict[str, Any]:
    fields, endpoint_id = body.endpoint, request.path["endpoint_id"]
    fields.refuse_other_id(endpoint_id)
    values = fields.given(without=("region",))
    if fields.region is not UNSET and "region_id" not in values:
        values["region_id"] = fields.region
    async with request.service.database.transaction() as tx:
        endpoint = await endpoints.change(tx, endpoint_id, values, fields.attributes())
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def delete_endpoint(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await endpoints.remove(tx, request.path["endpoint_id"])
