"""/os-aggregates: a zone other than the default one is an aggregate of the hosts that registered in it.

Read only: hosts come with their zone, and there are no aggregates beside those.
"""

from typing import Any

from kilonova.compute import hosts
from kilonova.compute.api.bodies import ComputeRequest, refuse_unknown_queries
from kilonova.compute.errors import AggregateNotFound
from kilonova.compute.hosts import Aggregate
from kilonova.compute.views.records import aggregate_view


async def list_aggregates(request: ComputeRequest) -> dict[str, Any]:
    return {"aggregates": [aggregate_view(each) for each in await _known(request)]}


async def show_aggregate(request: ComputeRequest) -> dict[str, Any]:
    wanted = request.path["aggregate_id"]
    for each in await _known(request):
        if str(each.number) == wanted:
            return {"aggregate": aggregate_view(each)}
    raise AggregateNotFound(wanted)


async def _known(request: ComputeRequest) -> list[Aggregate]:
    request.authorize()
    refuse_unknown_queries(request, (), "flavor_without_rxtx")
    async with request.service.database.reading() as tx:
        return hosts.aggregates_of(await hosts.list_all(tx), request.service.default_zone)
