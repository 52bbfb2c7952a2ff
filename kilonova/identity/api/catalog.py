"""/v3/services, /v3/endpoints and /v3/regions."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import records
from kilonova.identity.api.bodies import IdentityRequest, given, listing, read_fields
from kilonova.identity.errors import InvalidReference, ResourceNotFound
from kilonova.identity.tables import Endpoint, Region, Service, endpoints, regions, services
from kilonova.identity.views.records import endpoint_view, region_view, service_view
from kilonova.kit.db import Tx

Interface = Literal["public", "internal", "admin"]
Url = Annotated[str, Meta(min_length=1, max_length=2000, pattern="^[A-Za-z]+://")]


class NewService(Struct):
    type: Annotated[str, Meta(min_length=1, max_length=255)]
    name: str = ""
    description: str | None = ""
    enabled: bool = True


class ChangedService(Struct):
    type: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class NewEndpoint(Struct):
    service_id: str
    interface: Interface
    url: Url
    region_id: str | None = None
    region: str | None = None
    enabled: bool = True


class ChangedEndpoint(Struct):
    service_id: str | UnsetType = UNSET
    interface: Interface | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    region_id: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class NewRegion(Struct):
    id: Annotated[str, Meta(max_length=255)] | None = None
    description: str | None = ""
    parent_region_id: str | None = None


class ChangedRegion(Struct):
    description: str | None | UnsetType = UNSET
    parent_region_id: str | None | UnsetType = UNSET


async def create_service(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, _ = read_fields(body, "service", NewService)
    service = Service(records.new_id(), fields.type, fields.name, fields.description or "", fields.enabled)
    async with request.service.database.transaction() as tx:
        await records.add(tx, services, service, "service")
    return {"service": service_view(service, request.base_url)}


async def list_services(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    filters = {"type": request.query.get("type"), "name": request.query.get("name")}
    async with request.service.database.reading() as tx:
        found = await records.list_equal(tx, services, Service, filters)
    return listing(request, "services", [service_view(each, request.base_url) for each in found])


async def show_service(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        service = await records.find(tx, services, Service, "service", request.path["service_id"])
    return {"service": service_view(service, request.base_url)}


async def update_service(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, _ = read_fields(body, "service", ChangedService)
    async with request.service.database.transaction() as tx:
        service = await records.find(tx, services, Service, "service", request.path["service_id"])
        service = await records.change(tx, services, Service, "service", service, given(fields))
    return {"service": service_view(service, request.base_url)}


async def delete_service(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        service = await records.find(tx, services, Service, "service", request.path["service_id"])
        await records.remove(tx, services, service.id)


async def _check_references(tx: Tx, service_id: str | UnsetType, region_id: str | None | UnsetType) -> None:
    """Raises InvalidReference for a service that does not exist; a region that does not is made, as upstream does."""
    if not isinstance(service_id, UnsetType):
        try:
            await records.find(tx, services, Service, "service", service_id)
        except ResourceNotFound as error:
            raise InvalidReference(error.message) from error
    if isinstance(region_id, str):
        await tx.insert_new(regions, Region(region_id, "", None))


async def create_endpoint(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, _ = read_fields(body, "endpoint", NewEndpoint)
    region_id = fields.region_id or fields.region
    endpoint = Endpoint(records.new_id(), fields.service_id, fields.interface, region_id, fields.url, fields.enabled)
    async with request.service.database.transaction() as tx:
        await _check_references(tx, fields.service_id, region_id)
        await records.add(tx, endpoints, endpoint, "endpoint")
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def list_endpoints(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    filters = {name: request.query.get(name) for name in ("interface", "service_id", "region_id")}
    async with request.service.database.reading() as tx:
        found = await records.list_equal(tx, endpoints, Endpoint, filters)
    return listing(request, "endpoints", [endpoint_view(each, request.base_url) for each in found])


async def show_endpoint(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        endpoint = await records.find(tx, endpoints, Endpoint, "endpoint", request.path["endpoint_id"])
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def update_endpoint(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, _ = read_fields(body, "endpoint", ChangedEndpoint)
    values = given(fields, without=("region",))
    if fields.region is not UNSET and "region_id" not in values:
        values["region_id"] = fields.region
    async with request.service.database.transaction() as tx:
        endpoint = await records.find(tx, endpoints, Endpoint, "endpoint", request.path["endpoint_id"])
        await _check_references(tx, fields.service_id, values.get("region_id"))
        endpoint = await records.change(tx, endpoints, Endpoint, "endpoint", endpoint, values)
    return {"endpoint": endpoint_view(endpoint, request.base_url)}


async def delete_endpoint(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        endpoint = await records.find(tx, endpoints, Endpoint, "endpoint", request.path["endpoint_id"])
        await records.remove(tx, endpoints, endpoint.id)


async def create_region(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, _ = read_fields(body, "region", NewRegion)
    region = Region(fields.id or records.new_id(), fields.description or "", fields.parent_region_id)
    async with request.service.database.transaction() as tx:
        if fields.parent_region_id is not None:
            await records.find(tx, regions, Region, "region", fields.parent_region_id)
        await records.add(tx, regions, region, "region")
    return {"region": region_view(region, request.base_url)}


async def list_regions(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    filters = {"parent_region_id": request.query.get("parent_region_id")}
    async with request.service.database.reading() as tx:
        found = await records.list_equal(tx, regions, Region, filters)
    return listing(request, "regions", [region_view(each, request.base_url) for each in found])


async def show_region(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        region = await records.find(tx, regions, Region, "region", request.path["region_id"])
    return {"region": region_view(region, request.base_url)}


async def update_region(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, _ = read_fields(body, "region", ChangedRegion)
    values = given(fields)
    if values.get("description", "") is None:
        values["description"] = ""
    async with request.service.database.transaction() as tx:
        region = await records.find(tx, regions, Region, "region", request.path["region_id"])
        region = await records.change(tx, regions, Region, "region", region, values)
    return {"region": region_view(region, request.base_url)}


async def delete_region(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        region = await records.find(tx, regions, Region, "region", request.path["region_id"])
        if await records.list_equal(tx, endpoints, Endpoint, {"region_id": region.id}):
            raise InvalidReference(f"Region {region.id} still has endpoints; delete or move them first.")
        await records.remove(tx, regions, region.id)
