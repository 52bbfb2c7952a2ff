"""/rooms: how much of everything each root provider has and how much of it is taken. Kilonova's own: one answer for all
hosts, where upstream's API is asked for each.
"""

from typing import Any

from kilonova.placement.api.bodies import PlacementRequest


async def list_rooms(request: PlacementRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        snapshot = await request.service.index.refresh(tx)
    roots = (each for each in snapshot.providers.values() if each.parent_id is None)
    return {"rooms": {each.id: {"resources": each.summary.resources} for each in roots}}
