"""/servers/{id}/os-volume_attachments: the volumes a server has. There is no block storage here yet, so it has none."""

from typing import Any

from msgspec import Struct

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.listing import OFFSETS
from kilonova.compute.api.lookup import reading_server
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.bounds import Free
from kilonova.kit.http.lists import Listing

LISTING = Listing(dialect=OFFSETS)
QUERY = LISTING.query
NO_VOLUMES = "Volumes cannot be attached here yet: this cloud has no block storage."


class AttachmentBody(Struct, forbid_unknown_fields=True, rename={"volume_attachment": "volumeAttachment"}):
    volume_attachment: Free


async def list_attachments(request: ComputeRequest) -> dict[str, Any]:
    async with reading_server(request):
        LISTING.read(request)
    return {"volumeAttachments": []}


async def attach_volume(request: ComputeRequest, _body: AttachmentBody) -> None:
    async with reading_server(request, unlocked=True):
        raise BadRequest(NO_VOLUMES)


async def find_attachment(request: ComputeRequest) -> None:
    """Showing, changing, detaching: there is none."""
    async with reading_server(request) as found:
        raise NotFound(f"Instance {found.server.id} has no volume {request.path['volume_id']} attached.")


async def change_attachment(request: ComputeRequest, _body: AttachmentBody) -> None:
    await find_attachment(request)
