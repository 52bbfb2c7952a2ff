"""Finding an image and asking whether the caller may do this to it: one call, so that neither is forgotten."""

from typing import Any

from kilonova.image import images
from kilonova.image.errors import ImageNotFound
from kilonova.image.images import ImageRecord, Viewer
from kilonova.image.service import Image
from kilonova.kit.db import Tx
from kilonova.kit.http.routes import Request

ImageRequest = Request[Image]


def viewer_of(request: ImageRequest) -> Viewer:
    return Viewer(request.ctx.project_id, request.may({}, rule="context_is_admin"))


def target_of(request: ImageRequest, record: ImageRecord) -> dict[str, Any]:
    """What policy rules may compare with."""
    row = record.row
    return {
        "project_id": row.owner,
        "owner": row.owner,
        "visibility": row.visibility,
        "member_id": None if record.shared_status is None else request.ctx.project_id,
    }


async def fetch(tx: Tx, request: ImageRequest) -> ImageRecord:
    """The image named in the path.

    Raises ImageNotFound for one the caller may not know of, Forbidden for one he sees but may not do this to.
    """
    image_id = request.path["image_id"]
    record = await images.find(tx, image_id, viewer_of(request))
    target = target_of(request, record)
    if not request.may(target, rule="get_image"):
        raise ImageNotFound(image_id)
    request.authorize(target)
    return record


def authorize_visibility(request: ImageRequest, visibility: object, target: dict[str, Any]) -> None:
    """Raises Forbidden unless the caller may make an image visible to so many."""
    if visibility == "public":
        request.authorize(target, rule="publicize_image")
    elif visibility == "community":
        request.authorize(target, rule="communitize_image")
