"""The version documents clients start from: `/` lists the versions, `/v3` describes the one there is."""

from typing import Any

from kilonova.identity.api.bodies import IdentityRequest
from kilonova.kit.http.routes import Reply

UPDATED = "2026-11-01T00:00:00Z"
VERSION_ID = "v3.14"


def _version(base_url: str) -> dict[str, Any]:
    return {
        "id": VERSION_ID,
        "status": "stable",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": f"{base_url}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


async def list_versions(request: IdentityRequest) -> Reply:
    """300, as upstream answers: the client is to choose."""
    return Reply({"versions": {"values": [_version(request.base_url)]}}, status=300)


async def show_version(request: IdentityRequest) -> dict[str, Any]:
    return {"version": _version(request.base_url)}
