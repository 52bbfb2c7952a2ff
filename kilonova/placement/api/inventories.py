"""/resource_providers/{uuid}/inventories."""

from kilonova.kit.errors import MethodNotAllowed
from kilonova.kit.http.routes import Reply
from kilonova.placement import inventories, providers
from kilonova.placement.api.bodies import ChangedInventory, Inventories, NewInventory, PlacementRequest, no_content
from kilonova.placement.api.media import dated
from kilonova.placement.inventories import Stock
from kilonova.placement.tables import Inventory, Provider
from kilonova.placement.views.providers import inventory_view


def _listing(request: PlacementRequest, provider: Provider, found: list[Inventory]) -> Reply:
    body = {
        "resource_provider_generation": provider.generation,
        "inventories": {each.resource_class: inventory_view(each) for each in found},
    }
    return dated(request, body, max((each.updated_at for each in found), default=None))


def _single(request: PlacementRequest, provider: Provider, inventory: Inventory, *, status: int = 200) -> Reply:
    body = {**inventory_view(inventory), "resource_provider_generation": provider.generation}
    return dated(request, body, inventory.updated_at, status=status)


def _check(request: PlacementRequest, provider: Provider, stocks: dict[str, Stock]) -> None:
    inventories.check_capacity(provider.id, stocks, may_reserve_all=request.allows("reserved_equals_total"))


async def list_inventories(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        found = await inventories.list_of(tx, provider.id)
    return _listing(request, provider, found)


async def set_inventories(request: PlacementRequest, body: Inventories) -> Reply:
    request.authorize()
    stocks = {name: each.stock() for name, each in body.inventories.items()}
    async with request.service.database.transaction() as tx:
        provider = await providers.find_at(tx, request.path["uuid"], body.resource_provider_generation)
        _check(request, provider, stocks)
        provider = await inventories.replace(tx, provider, stocks, request.service.clock.now())
        found = await inventories.list_of(tx, provider.id)
    return _listing(request, provider, found)


async def create_inventory(request: PlacementRequest, body: NewInventory) -> Reply:
    request.authorize()
    name, stock = body.resource_class, body.stock()
    async with request.service.database.transaction() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        _check(request, provider, {name: stock})
        provider = await inventories.add(tx, provider, name, stock, request.service.clock.now())
        inventory = await inventories.find(tx, provider.id, name)
    reply = _single(request, provider, inventory, status=201)
    location = {"Location": f"{request.base_url}/resource_providers/{provider.id}/inventories/{name}"}
    return Reply(reply.body, status=201, headers={**reply.headers, **location})


async def delete_inventories(request: PlacementRequest) -> Reply:
    if not request.allows("delete_inventories"):
        raise MethodNotAllowed("DELETE is not allowed here before version 1.5.", headers={"Allow": "GET, POST, PUT"})
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        await inventories.replace(tx, provider, {}, request.service.clock.now())
    return no_content()


async def show_inventory(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        inventory = await inventories.find(tx, provider.id, request.path["resource_class"])
    return _single(request, provider, inventory)


async def update_inventory(request: PlacementRequest, body: ChangedInventory) -> Reply:
    request.authorize()
    name, stock = request.path["resource_class"], body.stock()
    async with request.service.database.transaction() as tx:
        provider = await providers.find_at(tx, request.path["uuid"], body.resource_provider_generation)
        _check(request, provider, {name: stock})
        provider = await inventories.change(tx, provider, name, stock, request.service.clock.now())
        inventory = await inventories.find(tx, provider.id, name)
    return _single(request, provider, inventory)


async def delete_inventory(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        await inventories.remove(tx, provider, request.path["resource_class"], request.service.clock.now())
    return no_content()
