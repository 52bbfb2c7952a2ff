"""Images as the Compute API shows them."""

from typing import Any

from kilonova.image.client import ImageRecord
from kilonova.kit.clock import iso8601

Body = dict[str, Any]

STATUSES = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "uploading": "SAVING",
    "importing": "SAVING",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
    "killed": "ERROR",
}
"""Status of the image service → of this API, where others are UNKNOWN."""
PROGRESS = {"queued": 25, "saving": 50, "active": 100}


def image_link_view(image: ImageRecord, base_url: str) -> Body:
    return {"id": image.id, "name": image.name, "links": _links(image, base_url)}


def _links(image: ImageRecord, base_url: str) -> list[Body]:
    return [
        {"rel": "self", "href": f"{base_url}/v2.1/images/{image.id}"},
        {"rel": "bookmark", "href": f"{base_url}/images/{image.id}"},
    ]


def image_view(image: ImageRecord, base_url: str) -> Body:
    return {
        **image_link_view(image, base_url),
        "status": STATUSES.get(image.status, "UNKNOWN"),
        "progress": PROGRESS.get(image.status, 0),
        "minDisk": image.min_disk,
        "minRam": image.min_ram,
        "created": iso8601(image.created_at),
        "updated": iso8601(image.updated_at),
        "metadata": image.properties,
        "OS-EXT-IMG-SIZE:size": image.size or 0,
    }
