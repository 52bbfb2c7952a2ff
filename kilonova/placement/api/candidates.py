"""/allocation_candidates."""

from kilonova.kit.http.routes import Reply
from kilonova.placement import candidates
from kilonova.placement.api.bodies import PlacementRequest
from kilonova.placement.api.media import dated
from kilonova.placement.api.queries import wanted_candidates
from kilonova.placement.views.allocations import candidates_view


async def list_candidates(request: PlacementRequest) -> Reply:
    request.authorize()
    wanted = wanted_candidates(request)
    async with request.service.database.reading() as tx:
        found = await candidates.find(tx, request.service.index, wanted)
    return dated(request, candidates_view(found))
