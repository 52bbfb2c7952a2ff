"""/os-simple-tenant-usage: how long servers of which size a project had."""

from datetime import UTC, datetime
from typing import Any

from kilonova.compute.api.bodies import ComputeRequest, page_links, refuse_unknown_queries
from kilonova.compute.servers import usage
from kilonova.compute.servers.usage import Used
from kilonova.compute.views.usage import project_usage_view, server_usage_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.paging import Paging, next_link

QUERY: dict[str, str | None] = {
    "start": None,
    "end": None,
    "detailed": None,
    "limit": "usage_paging",
    "marker": "usage_paging",
}
PAGING = Paging(keys={"id": "id"}, default=(("id", "asc"),))
FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d")


async def list_usage(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-simple-tenant-usage: every project's, with its servers when `detailed` is 1."""
    request.authorize()
    now = request.service.clock.now()
    start, end = _period(request)
    found = await usage.everywhere(request.service, start, end)
    page, url = _page(request, found)
    projects: dict[str, list[Used]] = {}
    for each in page:
        projects.setdefault(each.project_id, []).append(each)
    shown = [project_usage_view(project_id, used, start, end) for project_id, used in projects.items()]
    if request.query.get("detailed") == "1":
        for view in shown:
            view["server_usages"] = [server_usage_view(used, now) for used in projects[view["tenant_id"]]]
    return {"tenant_usages": shown, **page_links("tenant_usages", url)}


async def show_usage(request: ComputeRequest) -> dict[str, Any]:
    """GET /os-simple-tenant-usage/{project_id}: with its servers; empty when it had none."""
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    now = request.service.clock.now()
    start, end = _period(request)
    found = await usage.everywhere(request.service, start, end, project_id)
    page, url = _page(request, found)
    if not page:
        return {"tenant_usage": {}}
    shown = project_usage_view(project_id, page, start, end)
    shown["server_usages"] = [server_usage_view(each, now) for each in page]
    return {"tenant_usage": shown, **page_links("tenant_usage", url)}


def _period(request: ComputeRequest) -> tuple[datetime, datetime]:
    refuse_unknown_queries(request)
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


def _page(request: ComputeRequest, found: list[Used]) -> tuple[list[Used], str | None]:
    """Pages are counted in servers; the marker is a server's id."""
    if not request.allows("usage_paging"):
        return found, None
    page = PAGING.parse(request.query)
    if page.marker is not None:
        ids = [each.id for each in found]
        if page.marker not in ids:
            raise BadRequest(f"marker [{page.marker}] not found")
        found = found[ids.index(page.marker) + 1 :]
    if len(found) <= page.limit:
        return found, None
    shown = found[: page.limit]
    return shown, next_link(request.base_url + request.url_path, request.query, shown[-1].id)
