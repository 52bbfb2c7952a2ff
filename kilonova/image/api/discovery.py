"""What the service says of itself: schemas, import methods, stores, tasks."""

from typing import Any

from kilonova.image import quotas
from kilonova.image.api.access import ImageRequest, fetch
from kilonova.image.service import Image
from kilonova.image.stores.interface import Store
from kilonova.image.views.schemas import SCHEMAS
from kilonova.kit.errors import BadRequest, NotFound


async def show_schema(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    name = request.path["name"]
    if name not in SCHEMAS:
        raise NotFound(f"There is no schema {name!r}; there are {', '.join(SCHEMAS)}.")
    return SCHEMAS[name]


async def show_import_methods(request: ImageRequest) -> dict[str, Any]:
    """None: data comes with PUT."""
    request.authorize()
    return {"import-methods": {"description": "Ways to import an image", "type": "array", "value": []}}


async def list_stores(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    return {"stores": [_show_store(request.service, each) for each in request.service.stores.values()]}


async def list_stores_in_detail(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    service = request.service
    detailed = [
        {**_show_store(service, each), "type": each.type, "weight": 0, "properties": {}}
        for each in service.stores.values()
    ]
    return {"stores": detailed}


def _show_store(service: Image, store: Store) -> dict[str, Any]:
    is_default = {"default": "true"} if store.id == service.store.id else {}
    return {"id": store.id, "description": store.description, **is_default}


async def show_usage(request: ImageRequest) -> dict[str, Any]:
    """What the caller's project has of what is limited; the size in MiB."""
    request.authorize()
    limits = request.service.limits
    async with request.service.database.reading() as tx:
        usage = await quotas.usage_of(tx, request.ctx.project_id)
    count = {"usage": usage.count, "limit": limits.image_count_total}
    size = {"usage": usage.size_bytes // quotas.MIB, "limit": limits.image_size_total}
    return {"usage": {"image_count_total": count, "image_size_total": size}}


async def list_tasks(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    return {"tasks": [], "first": "/v2/tasks", "schema": "/v2/schemas/tasks"}


async def create_task(request: ImageRequest, _body: Any) -> None:
    """POST /v2/tasks: refused. Raises BadRequest."""
    request.authorize()
    raise BadRequest("Tasks cannot be made here yet: send an image's data with PUT /v2/images/{image_id}/file.")


async def show_task(request: ImageRequest) -> None:
    """GET and DELETE /v2/tasks/{task_id}: there is none. Raises NotFound."""
    request.authorize()
    raise NotFound(f"There is no task {request.path['task_id']}.")


async def list_tasks_of_image(request: ImageRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        await fetch(tx, request)
    return {"tasks": []}
