"""The version documents at `/` and `/versions`."""

from typing import Any

from kilonova.image.api.access import ImageRequest
from kilonova.kit.http.routes import Reply

SUPPORTED = ("2.15", *(f"2.{minor}" for minor in range(13, -1, -1)))
CURRENT = "2.17"


def _documents(request: ImageRequest) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"{request.base_url}/v2/"}]
    versions = [{"id": f"v{CURRENT}", "status": "CURRENT", "links": links}]
    versions += [{"id": f"v{number}", "status": "SUPPORTED", "links": links} for number in SUPPORTED]
    return {"versions": versions}


async def list_choices(request: ImageRequest) -> Reply:
    """300, as upstream answers: the client is to choose."""
    return Reply(_documents(request), status=300)


async def list_versions(request: ImageRequest) -> dict[str, Any]:
    return _documents(request)
