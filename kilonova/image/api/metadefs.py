"""/v2/metadefs: the catalogue of properties that images, flavors and servers may have. It is empty here."""

from typing import Any

from kilonova.image.api.access import ImageRequest
from kilonova.image.views.schemas import METADEF_SCHEMAS
from kilonova.kit.errors import BadRequest, NotFound

QUERY: dict[str, str | None] = dict.fromkeys(
    ("limit", "marker", "sort_key", "sort_dir", "resource_types", "visibility", "protected")
)
NAMESPACES = "/v2/metadefs/namespaces"


async def list_namespaces(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    return {"namespaces": [], "first": NAMESPACES, "schema": "/v2/schemas/metadefs/namespaces"}


async def create_namespace(request: ImageRequest, _body: Any) -> None:
    """POST /v2/metadefs/namespaces: refused. Raises BadRequest."""
    request.authorize()
    raise BadRequest("Metadata definitions cannot be kept here yet: properties are set without a definition.")


async def show_namespace(request: ImageRequest) -> None:
    """GET and DELETE /v2/metadefs/namespaces/{namespace}: there is none. Raises NotFound."""
    request.authorize()
    raise NotFound(f"There is no metadata definition namespace {request.path['namespace']}.")


async def list_resource_types(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    return {"resource_types": []}


async def show_schema(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    name = request.path["name"]
    if name not in METADEF_SCHEMAS:
        raise NotFound(f"There is no schema 'metadefs/{name}'; there are {', '.join(METADEF_SCHEMAS)}.")
    return METADEF_SCHEMAS[name]
