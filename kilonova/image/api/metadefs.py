"""/v2/metadefs: the catalogue of properties that images, flavors and servers may have. It is empty here."""

from dataclasses import replace
from typing import Any

from kilonova.image.api.access import ImageRequest
from kilonova.image.api.queries import DIALECT
from kilonova.image.views.schemas import METADEF_SCHEMAS
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.lists import Listing, cut

LISTING = Listing(
    dialect=replace(DIALECT, names=("limit", "marker", "sort_key", "sort_dir")),
    others=dict.fromkeys(("resource_types", "visibility", "protected")),
    sorts={name: name for name in ("namespace", "created_at", "updated_at")},
)
QUERY = LISTING.query
NAMESPACES = "/v2/metadefs/namespaces"


async def list_namespaces(request: ImageRequest) -> dict[str, Any]:
    request.authorize()
    links = cut([], LISTING.read(request)).links("namespaces")
    return {"namespaces": [], **links, "schema": "/v2/schemas/metadefs/namespaces"}


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
