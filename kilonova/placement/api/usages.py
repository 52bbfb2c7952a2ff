"""/usages: what a project holds in all."""

import re

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Reply
from kilonova.placement import usages
from kilonova.placement.api.bodies import PlacementRequest
from kilonova.placement.api.media import dated
from kilonova.placement.api.queries import check_parameters
from kilonova.placement.views.allocations import typed_usages_view, usages_view

PARAMETERS = {"project_id": None, "user_id": None, "consumer_type": "consumer_types"}


async def show_usages(request: PlacementRequest) -> Reply:
    query = request.query
    project_id = query.get("project_id")
    request.authorize({"project_id": project_id})
    check_parameters(request)
    if project_id is None:
        raise BadRequest("Invalid query string: the parameter project_id is required.")
    for name in ("project_id", "user_id"):
        if not 1 <= len(query.get(name, "x")) <= 255:
            raise BadRequest(f"Invalid query string: {name} must have 1 to 255 characters.")
    consumer_type = query.get("consumer_type")
    if consumer_type is not None and not re.fullmatch("[A-Z0-9_]{1,255}|all|unknown", consumer_type):
        raise BadRequest(
            f"Invalid query string: consumer_type must be all, unknown or match ^[A-Z0-9_]+$, got {consumer_type!r}."
        )
    async with request.service.database.reading() as tx:
        found = await usages.of_project(tx, project_id, query.get("user_id"), consumer_type)
    return dated(request, typed_usages_view(found) if request.allows("consumer_types") else usages_view(found))
