"""/allocations, and the moves of inventory and allocations at /reshaper."""

from kilonova.kit.http.routes import Reply
from kilonova.placement import allocations, reshaper
from kilonova.placement.api.bodies import (
    AnyAllocations,
    DeletableAllocations,
    PlacementRequest,
    ReshapedSeen,
    ReshapedTyped,
    no_content,
    uuid_of_path,
)
from kilonova.placement.api.media import dated
from kilonova.placement.inventories import check_capacity
from kilonova.placement.reshaper import Reshaped
from kilonova.placement.views.allocations import holding_view


async def show_allocations(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        holding = await allocations.of_consumer(tx, request.path["consumer_uuid"])
    changed_at = None if holding is None else max(each.updated_at for each in holding.allocations)
    return dated(request, holding_view(holding), changed_at)


async def set_allocations(request: PlacementRequest, body: AnyAllocations) -> Reply:
    request.authorize()
    claim = body.claim(uuid_of_path(request, "consumer_uuid"))
    async with request.service.database.transaction() as tx:
        await allocations.replace(tx, [claim], request.service.clock.now())
    return no_content()


async def set_many_allocations(request: PlacementRequest, body: dict[str, DeletableAllocations]) -> Reply:
    request.authorize()
    claims = [each.claim(consumer_id) for consumer_id, each in body.items()]
    async with request.service.database.transaction() as tx:
        await allocations.replace(tx, claims, request.service.clock.now())
    return no_content()


async def delete_allocations(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await allocations.release(tx, request.path["consumer_uuid"], request.service.clock.now())
    return no_content()


async def reshape(request: PlacementRequest, body: ReshapedSeen | ReshapedTyped) -> Reply:
    request.authorize()
    wanted = {
        provider_id: Reshaped(
            each.resource_provider_generation, {name: stock.stock() for name, stock in each.inventories.items()}
        )
        for provider_id, each in body.inventories.items()
    }
    for provider_id, reshaped in wanted.items():
        check_capacity(provider_id, reshaped.stocks, may_reserve_all=True)
    claims = [each.claim(consumer_id) for consumer_id, each in body.allocations.items()]
    async with request.service.database.transaction() as tx:
        await reshaper.reshape(tx, wanted, claims, request.service.clock.now())
    return no_content()
