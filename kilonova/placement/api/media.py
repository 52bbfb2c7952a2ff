"""Media types and cache headers: what is refused before a body is read, and what answers say of their age."""

from datetime import datetime
from email.utils import format_datetime
from typing import Any

from kilonova.kit.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from kilonova.kit.http.bounds import MAX_INT64
from kilonova.kit.http.queries import whole_number
from kilonova.kit.http.routes import Reply, Request, Route
from kilonova.placement.api.bodies import PlacementRequest

JSON = "application/json"
WITHOUT_CONTENT = ("/", "/traits/{name}")
"""GETs whose answer no Accept header is asked about."""


def admit(request: Request[Any], route: Route) -> None:
    """Raises BadRequest, UnsupportedMediaType, NotAcceptable."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    length = request.headers.get("content-length", "0")
    if whole_number("Content-Length", length, most=MAX_INT64) and not content_type:
        raise BadRequest("A body needs a Content-Type.")
    if route.body is not None and content_type != JSON:
        raise UnsupportedMediaType(f"A body must be {JSON}; this one is {content_type or 'of no type'}.")
    if request.method in ("GET", "HEAD") and route.path not in WITHOUT_CONTENT and not _accepts_json(request):
        raise NotAcceptable(f"Answers are {JSON}, which the Accept header does not allow.")


def _accepts_json(request: Request[Any]) -> bool:
    accepted = request.headers.get("accept")
    if not accepted:
        return True
    for part in accepted.split(","):
        media_type, *parameters = (each.strip() for each in part.split(";"))
        is_refused = any(each.replace(" ", "") in ("q=0", "q=0.0") for each in parameters)
        if media_type in (JSON, "application/*", "*/*") and not is_refused:
            return True
    return False


def dated(request: PlacementRequest, body: Any, changed_at: datetime | None = None, *, status: int = 200) -> Reply:
    """An answer that says when its content changed last; what was put together just now has no other date."""
    headers: dict[str, str] = {}
    if request.allows("cache_headers"):
        changed_at = changed_at or request.service.clock.now()
        headers = {"Last-Modified": format_datetime(changed_at, usegmt=True), "Cache-Control": "no-cache"}
    return Reply(body, status=status, headers=headers)
