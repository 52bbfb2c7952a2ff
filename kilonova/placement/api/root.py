"""The version document at `/`."""

from kilonova.kit.http.routes import Reply
from kilonova.placement.api.bodies import PlacementRequest
from kilonova.placement.api.media import dated
from kilonova.placement.versions import EDGE


async def show_versions(request: PlacementRequest) -> Reply:
    version = {
        "id": f"v{EDGE.minimum}",
        "min_version": str(EDGE.minimum),
        "max_version": str(EDGE.maximum),
        "status": "CURRENT",
        # Relative on purpose: "this same URL", whatever proxy it was reached through.
        "links": [{"rel": "self", "href": ""}],
    }
    return dated(request, {"versions": [version]})
