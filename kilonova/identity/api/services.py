"""/v3/services."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import records, services
from kilonova.identity.api.bodies import (
    IdentityRequest,
    Kind,
    given,
    read_fields,
    refuse_given_id,
    refuse_other_id,
)
from kilonova.identity.api.listing import listing, paged
from kilonova.identity.tables import Service
from kilonova.identity.views.records import service_view
from kilonova.kit.http.bounds import LongText, Name

LISTS = listing(texts={"type": "type", "name": "name"}, flags=("enabled",), sorts=("type", "name", "enabled"))


KIND = Kind("service")


class NewService(Struct):
    type: Annotated[str, Meta(min_length=1, max_length=255)]
    name: Name = ""
    description: LongText | None = ""
    enabled: bool = True


class ChangedService(Struct):
    type: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: LongText | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


async def create_service(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, KIND, NewService)
    refuse_given_id(body, KIND)
    service = Service(records.new_id(), fields.type, fields.name, fields.description or "", fields.enabled, extra)
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


async def update_service(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, KIND, ChangedService)
    refuse_other_id(body, KIND, request.path["service_id"])
    async with request.service.database.transaction() as tx:
        service = await services.change(tx, request.path["service_id"], given(fields), extra)
    return {"service": service_view(service, request.base_url)}


async def delete_service(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await services.remove(tx, request.path["service_id"])
