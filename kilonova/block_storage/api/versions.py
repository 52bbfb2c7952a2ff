"""The version documents, and what is said of the versions that are gone."""

from typing import Any

from kilonova.block_storage.api.access import VolumeRequest
from kilonova.block_storage.versions import MAXIMUM, MINIMUM
from kilonova.kit.errors import Gone
from kilonova.kit.http.routes import Reply

UPDATED = "2026-03-01T00:00:00Z"


def _document(base_url: str) -> dict[str, Any]:
    media = {"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": MAXIMUM,
        "min_version": MINIMUM,
        "updated": UPDATED,
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
            {"rel": "self", "href": f"{base_url}/v3/"},
        ],
        "media-types": [media],
    }


async def list_choices(request: VolumeRequest) -> Reply:
    """300, as upstream answers: the client is to choose."""
    return Reply({"versions": [_document(request.base_url)]}, status=300)


async def show_version(request: VolumeRequest) -> dict[str, Any]:
    return {"versions": [_document(request.base_url)]}


async def refuse_version(request: VolumeRequest) -> None:
    """Raises Gone."""
    version = request.url_path.split("/")[1]
    raise Gone(
        f"The API {version} is not served any more: use /v3 ({request.base_url}/v3/), whose bodies are the same."
    )
