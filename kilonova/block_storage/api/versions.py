"""The version documents, and what is said of the version that is gone."""

from typing import Any

from kilonova.block_storage.api.access import VolumeRequest
from kilonova.block_storage.versions import MAXIMUM, MINIMUM
from kilonova.kit.errors import Gone
from kilonova.kit.http.routes import Reply

UPDATED = "2026-03-01T00:00:00Z"


def _document(base_url: str) -> dict[str, Any]:
    return {"id": "v3.0", "status": "CURRENT", "version": MAXIMUM, "min_version": MINIMUM, **_rest(base_url, "3")}


def _document_2(base_url: str) -> dict[str, Any]:
    """Version 2 has no microversions."""
    return {"id": "v2.0", "status": "DEPRECATED", "version": "", "min_version": "", **_rest(base_url, "2")}


def _rest(base_url: str, number: str) -> dict[str, Any]:
    return {
        "updated": UPDATED,
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
            {"rel": "self", "href": f"{base_url}/v{number}/"},
        ],
        "media-types": [
            {"base": "application/json", "type": f"application/vnd.openstack.volume+json;version={number}"}
        ],
    }


async def list_choices(request: VolumeRequest) -> Reply:
    """300, as upstream answers: the client is to choose."""
    return Reply({"versions": [_document_2(request.base_url), _document(request.base_url)]}, status=300)


async def show_version(request: VolumeRequest) -> dict[str, Any]:
    return {"versions": [_document(request.base_url)]}


async def show_version_2(request: VolumeRequest) -> dict[str, Any]:
    return {"versions": [_document_2(request.base_url)]}


async def refuse_version_1(request: VolumeRequest) -> None:
    """Raises Gone: version 1 named fields otherwise (`display_name`)."""
    raise Gone(
        f"The API v1 is not served any more: use /v3 ({request.base_url}/v3/). For clients of version 2 there is /v2."
    )
