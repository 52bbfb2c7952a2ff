"""/os-simple-tenant-usage: how long servers of which size a project had."""

from datetime import UTC, datetime
from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.listing import DIALECT
from kilonova.compute.servers import usage
from kilonova.compute.servers.usage import Used
from kilonova.compute.views.usage import project_usage_view, server_usage_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Listing, cut_among

LISTING = Listing(dialect=DIALECT, others=dict.fromkeys(("start", "end", "detailed")), since="usage_paging")
"""Pages are counted in servers; the marker is a server's id."""
QUERY = LISTING.query
FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d")


async def list_usage(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-simple-tenant-usage: every project's, with its servers when `detailed` is 1."""
    request.authorize()
    now = request.service.clock.now()
    page, (start, end) = LISTING.read(request), _period(request)
    found = cut_among(await usage.everywhere(request.service, start, end), page)
    projects: dict[str, list[Used]] = {}
    for each in found.rows:
        projects.setdefault(each.project_id, []).append(each)
    shown = [project_usage_view(project_id, used, start, end) for project_id, used in projects.items()]
    if request.query.get("detailed") == "1":
        for view in shown:
            view["server_usages"] = [server_usage_view(used, now) for used in projects[view["tenant_id"]]]
    return {"tenant_usages": shown, **found.links("tenant_usages")}


async def show_usage(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-simple-tenant-usage/{project_id}: with its servers; empty when it had none."""
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    now = request.service.clock.now()
    page, (start, end) = LISTING.read(request), _period(request)
    found = cut_among(await usage.everywhere(request.service, start, end, project_id), page)
    if not found.rows:
        return {"tenant_usage": {}}
    shown = project_usage_view(project_id, found.rows, start, end)
    shown["server_usages"] = [server_usage_view(each, now) for each in found.rows]
    return {"tenant_usage": shown, **found.links("tenant_usage")}


def _period(request: ComputeRequest) -> tuple[datetime, datetime]:
    now = request.service.clock.now()
    start, end = (_moment(request, name) or now for name in ("start", "end"))
    if start > end:
        raise BadRequest("Invalid start time. The start time cannot occur after the end time.")
    return start, end


def _moment(request: ComputeRequest, name: str) -> datetime | None:
    text = request.query.get(name)
    if not text:
        return None
    for pattern in FORMATS:
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise BadRequest(f"{name} must be a time such as 2026-01-31T12:00:00, got {text!r}.")
