"""/resource_classes."""

import msgspec

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Reply
from kilonova.placement import resource_classes
from kilonova.placement.api.bodies import CustomName, NamedResourceClass, PlacementRequest, no_content
from kilonova.placement.api.media import dated
from kilonova.placement.errors import InUse
from kilonova.placement.views.providers import resource_class_view


async def list_resource_classes(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        names = await resource_classes.list_all(tx)
    return dated(request, {"resource_classes": [resource_class_view(name) for name in names]})


async def create_resource_class(request: PlacementRequest, body: NamedResourceClass) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        if not await resource_classes.ensure(tx, body.name, request.service.clock.now()):
            raise InUse(f"There is a resource class {body.name} already.")
    return Reply(None, status=201, headers=_location(request, body.name))


def _location(request: PlacementRequest, name: str) -> dict[str, str]:
    return {"Location": f"{request.base_url}/resource_classes/{name}"}


async def show_resource_class(request: PlacementRequest) -> Reply:
    request.authorize()
    name = request.path["name"]
    async with request.service.database.reading() as tx:
        found = await resource_classes.find(tx, name)
    return dated(request, resource_class_view(name), None if found is None else found.updated_at)


async def rename_resource_class(request: PlacementRequest, body: NamedResourceClass) -> Reply:
    """Before 1.7."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        await resource_classes.rename(tx, request.path["name"], body.name, request.service.clock.now())
    return Reply(resource_class_view(body.name))


async def ensure_resource_class(request: PlacementRequest) -> Reply:
    request.authorize()
    try:
        name = msgspec.convert(request.path["name"], type=CustomName)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid resource class name: {error}.") from error
    async with request.service.database.transaction() as tx:
        is_new = await resource_classes.ensure(tx, name, request.service.clock.now())
    return Reply(None, status=201 if is_new else 204, headers=_location(request, name))


async def delete_resource_class(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await resource_classes.remove(tx, request.path["name"])
    return no_content()
