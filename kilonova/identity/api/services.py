"""/v3/services."""

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import records, services
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.tables import Service
from kilonova.identity.views.records import service_view
from kilonova.kit.http.bounds import LongText, Name

LISTS = listing(texts={"type": "type", "name": "name"}, flags=("enabled",), sorts=("type", "name", "enabled"))


class NewService(NewFields):
    kind: ClassVar[str] = "service"

    type: Annotated[str, Meta(min_length=1, max_length=255)]
    name: Name = ""
    description: LongText | None = ""
    enabled: bool = True


class NewServiceBody(Struct):
    service: NewService


class ChangedService(Fields):
    kind: ClassVar[str] = "service"

    type: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: LongText | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ChangedServiceBody(Struct):
    service: ChangedService


async def create_service(request: IdentityRequest, body: NewServiceBody) -> dict[str, Any]:
    fields = body.service
    service = Service(
        records.new_id(), fields.type, fields.name, fields.description or "", fields.enabled, fields.attributes()
    )
    async with request.service.database.transaction() as tx:
        await services.add(tx, service)
    return {"service": service_view(service, request.base_url)}


async def list_services(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await services.list_matching(tx, page.selection)
    return paged(request, "services", page, found, service_view)


async def show_service(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        service = await services.find(tx, request.path["service_id"])
    return {"service": service_view(service, request.base_url)}


async def update_service(request: IdentityRequest, body: ChangedServiceBody) -> dict[str, Any]:
    fields, service_id = body.service, request.path["service_id"]
    fields.refuse_other_id(service_id)
    async with request.service.database.transaction() as tx:
        service = await services.change(tx, service_id, fields.given(), fields.attributes())
    return {"service": service_view(service, request.base_url)}


async def delete_service(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await services.remove(tx, request.path["service_id"])
