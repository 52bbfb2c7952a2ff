"""/images, up to version 2.35: the image service's, in compute's words.

Source: Compute API reference, "Images", "Image metadata" (deprecated). Clients of that time look an image up by its
name here before they boot a server from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kilonova.compute.api.bodies import UUID, ComputeRequest
from kilonova.compute.api.listing import DIALECT
from kilonova.compute.api.server_metadata import ItemBody, MetadataBody
from kilonova.compute.views.images import STATUSES, image_link_view, image_view
from kilonova.image.client import ImageRecord, is_property
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.lists import Cut, Listing, cut
from kilonova.kit.http.passing_on import passing_refusals_on
from kilonova.kit.http.queries import moment, whole_number

PLAIN = {"name": "name", "marker": "marker", "type": "image_type", "server": "instance_uuid"}
"""Parameter → the image service's, or the property it stands for."""
NUMBERS = {"minDisk": "min_disk", "minRam": "min_ram"}
LISTING = Listing(
    dialect=replace(DIALECT, looks_ahead=False),
    others=dict.fromkeys((*(name for name in PLAIN if name != "marker"), *NUMBERS, "status", "changes-since")),
)
QUERY = LISTING.query
PROPERTY = "property-"


async def list_images(request: ComputeRequest) -> dict[str, Any]:
    found = await _page(request)
    return {"images": [image_link_view(each, request.base_url) for each in found.rows], **found.links("images")}


async def list_images_detail(request: ComputeRequest) -> dict[str, Any]:
    found = await _page(request)
    return {"images": [image_view(each, request.base_url) for each in found.rows], **found.links("images")}


async def _page(request: ComputeRequest) -> Cut[ImageRecord]:
    request.authorize()
    page = LISTING.read(request)
    filters = {**_filters(request), "limit": page.limit}
    with passing_refusals_on():
        return cut(await request.service.image.list_images(token=request.ctx.token, **filters), page)


def _filters(request: ComputeRequest) -> dict[str, str]:
    """Returns the request's filters in the image service's words. Raises BadRequest for a bad status or number."""
    query = request.query
    found = {wanted: query[name].rpartition("/")[2] for name, wanted in PLAIN.items() if query.get(name)}
    found |= {wanted: str(whole_number(name, query[name])) for name, wanted in NUMBERS.items() if query.get(name)}
    found |= {
        name.removeprefix(PROPERTY): value for name, value in query.items() if name.startswith(PROPERTY) and value
    }
    if "name" in query:
        found["name"] = query["name"]
    if "changes-since" in query:
        found["updated_at"] = f"gte:{moment('changes-since', query['changes-since']).isoformat()}"
    if "status" in query:
        statuses = {shown: status for status, shown in reversed(STATUSES.items())}
        wanted = query["status"].upper()
        if wanted not in statuses:
            raise BadRequest(f"Images are filtered by the statuses {', '.join(sorted(statuses))}, got {wanted[:64]!r}.")
        found["status"] = statuses[wanted]
    return found


async def show_image(request: ComputeRequest) -> dict[str, Any]:
    return {"image": image_view(await _fetch(request), request.base_url)}


async def _fetch(request: ComputeRequest) -> ImageRecord:
    """Returns the image that the path names. A name instead of an id is a 404, because clients try the name first."""
    request.authorize()
    image_id = request.path["image_id"]
    if not UUID.fullmatch(image_id):
        raise NotFound(f"Image {image_id[:64]} could not be found.")
    with passing_refusals_on():
        return await request.service.image.show(image_id, token=request.ctx.token)


async def list_metadata(request: ComputeRequest) -> dict[str, Any]:
    return {"metadata": (await _fetch(request)).properties}


async def show_metadata_item(request: ComputeRequest) -> dict[str, Any]:
    key, properties = request.path["key"], (await _fetch(request)).properties
    return {"meta": {key: _item(properties, key)}}


def _item(properties: Mapping[str, str], key: str) -> str:
    if key not in properties:
        raise NotFound("Metadata item was not found")
    return properties[key]


async def delete_image(request: ComputeRequest) -> None:
    image = await _fetch(request)
    with passing_refusals_on():
        await request.service.image.delete(image.id, request.ctx.token)


async def update_metadata(request: ComputeRequest, body: MetadataBody) -> dict[str, Any]:
    """POST: adds and changes items; the others stay."""
    return {"metadata": await _write(request, await _fetch(request), body.metadata)}


async def replace_metadata(request: ComputeRequest, body: MetadataBody) -> dict[str, Any]:
    """PUT: these are all."""
    image = await _fetch(request)
    return {"metadata": await _write(request, image, body.metadata, image.properties.keys() - body.metadata.keys())}


async def update_metadata_item(request: ComputeRequest, body: ItemBody) -> dict[str, Any]:
    key = request.path["key"]
    if key not in body.meta:
        raise BadRequest("The body must hold the item that the path names.")
    properties = await _write(request, await _fetch(request), body.meta)
    return {"meta": {key: properties[key]}}


async def delete_metadata_item(request: ComputeRequest) -> None:
    image, key = await _fetch(request), request.path["key"]
    _item(image.properties, key)
    await _write(request, image, {}, (key,))


async def _write(
    request: ComputeRequest, image: ImageRecord, written: Mapping[str, str], removed: Iterable[str] = ()
) -> dict[str, str]:
    """The image's properties afterwards. Raises BadRequest for a name that is the record's own."""
    for name in written:
        if not is_property(name):
            raise BadRequest(f"{name} is not metadata of an image: change it in the image service.")
    with passing_refusals_on():
        changed = await request.service.image.change_properties(image.id, written, sorted(removed), request.ctx.token)
    return changed.properties
