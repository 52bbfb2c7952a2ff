"""The version documents clients start from: `/` lists the versions, `/v3` describes the one there is."""

from typing import Any

from kilonova.identity.api.bodies import IdentityRequest
from kilonova.identity.views.json_home import MEDIA_TYPE, json_home
from kilonova.kit.http.formats import prefers
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


def _home(request: IdentityRequest, prefix: str) -> Reply | None:
    """The JSON home, for who asks for it before plain JSON."""
    if not prefers(request.headers.get("accept", ""), MEDIA_TYPE, "application/json"):
        return None
    return Reply(json_home(prefix), status=200, headers={"Content-Type": MEDIA_TYPE, "Vary": "Accept"})


async def list_versions(request: IdentityRequest) -> Reply:
    """300, as upstream answers: the client is to choose."""
    if (home := _home(request, "/v3")) is not None:
        return home
    return Reply({"versions": {"values": [_version(request.base_url)]}}, status=300)


async def show_version(request: IdentityRequest) -> Reply:
    return _home(request, "") or Reply({"version": _version(request.base_url)})
