"""/resource_providers, with the traits, aggregates, allocations and usages of one."""

from typing import Any
from uuid import UUID, uuid4

from msgspec import UNSET

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Reply
from kilonova.placement import allocations, providers, usages
from kilonova.placement.api.bodies import (
    AggregatesOfProvider,
    ChangedProvider,
    NewProvider,
    PlacementRequest,
    TraitsOfProvider,
    no_content,
)
from kilonova.placement.api.media import dated
from kilonova.placement.api.queries import PROVIDERS, provider_filters
from kilonova.placement.views.providers import provider_allocations_view, provider_view


async def list_providers(request: PlacementRequest) -> Reply:
    request.authorize()
    page, filters = PROVIDERS.read(request), provider_filters(request)
    async with request.service.database.reading() as tx:
        found = await providers.list_matching(tx, page.selection, filters)
    changed_at = max((each.updated_at for each in found), default=None)
    return dated(request, {"resource_providers": [provider_view(each) for each in found]}, changed_at)


async def create_provider(request: PlacementRequest, body: NewProvider) -> Reply:
    request.authorize()
    provider_id = str(uuid4() if body.uuid is UNSET else body.uuid)
    parent_id = None if body.parent_provider_uuid is UNSET else _text(body.parent_provider_uuid)
    async with request.service.database.transaction() as tx:
        provider = await providers.create(tx, provider_id, body.name, parent_id, request.service.clock.now())
    location = {"Location": f"{request.base_url}/resource_providers/{provider.id}"}
    if not request.allows("provider_in_create_answer"):
        return Reply(None, status=201, headers=location)
    reply = dated(request, provider_view(provider), provider.updated_at)
    return Reply(reply.body, status=200, headers={**reply.headers, **location})


def _text(value: UUID | None | Any) -> str | None:
    return None if value is None else str(value)


async def show_provider(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
    return dated(request, provider_view(provider), provider.updated_at)


async def update_provider(request: PlacementRequest, body: ChangedProvider) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        parent_id = provider.parent_id
        if body.parent_provider_uuid is not UNSET:
            parent_id = _text(body.parent_provider_uuid)
        provider = await providers.change(
            tx,
            provider.id,
            body.name,
            parent_id,
            may_move=request.allows("reparenting"),
            now=request.service.clock.now(),
        )
    return dated(request, provider_view(provider), provider.updated_at)


async def delete_provider(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await providers.remove(tx, request.path["uuid"])
    return no_content()


async def show_usages(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        used = await usages.of_provider(tx, provider.id)
    return dated(request, {"resource_provider_generation": provider.generation, "usages": used})


async def list_allocations(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        held, generations = await allocations.of_provider(tx, provider.id)
    changed_at = max((each.updated_at for each in held), default=None)
    return dated(request, provider_allocations_view(provider, held, generations), changed_at)


async def list_traits(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        names = await providers.traits_of(tx, provider.id)
    return dated(request, {"traits": names, "resource_provider_generation": provider.generation})


async def set_traits(request: PlacementRequest, body: TraitsOfProvider) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find_at(tx, request.path["uuid"], body.resource_provider_generation)
        provider = await providers.set_traits(tx, provider, body.traits, request.service.clock.now())
        names = await providers.traits_of(tx, provider.id)
    return dated(request, {"traits": names, "resource_provider_generation": provider.generation})


async def delete_traits(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        await providers.set_traits(tx, provider, (), request.service.clock.now())
    return no_content()


async def list_aggregates(request: PlacementRequest) -> Reply:
    request.authorize()
    async with request.service.database.reading() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        found = await providers.aggregates_of(tx, provider.id)
    return dated(request, {"aggregates": found, "resource_provider_generation": provider.generation})


async def set_aggregates(request: PlacementRequest, body: AggregatesOfProvider) -> Reply:
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find_at(tx, request.path["uuid"], body.resource_provider_generation)
        await providers.set_aggregates(tx, provider, _distinct(body.aggregates))
        provider = await providers.advance(tx, provider, request.service.clock.now())
    return dated(request, {"aggregates": body.aggregates, "resource_provider_generation": provider.generation})


async def set_listed_aggregates(request: PlacementRequest, body: list[UUID]) -> Reply:
    """Before 1.19: a bare list, outside the provider's generation."""
    request.authorize()
    async with request.service.database.transaction() as tx:
        provider = await providers.find(tx, request.path["uuid"])
        await providers.set_aggregates(tx, provider, _distinct(body))
    return dated(request, {"aggregates": body, "resource_provider_generation": provider.generation})


def _distinct(aggregate_ids: list[UUID]) -> list[str]:
    if len(set(aggregate_ids)) < len(aggregate_ids):
        raise BadRequest("The aggregates have non-unique elements.")
    return [str(each) for each in aggregate_ids]
