"""Resource providers: whatever has something to give, in trees.

`root_id` of a provider is the top of its tree, itself when it has no parent; moving a provider moves its subtree.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select, update

from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection, select_rows
from kilonova.kit.errors import BadRequest
from kilonova.placement import resource_classes, traits
from kilonova.placement.errors import (
    ConcurrentUpdate,
    DuplicateName,
    ProviderHasChildren,
    ProviderInUse,
    ProviderNotFound,
)
from kilonova.placement.tables import (
    Provider,
    ProviderAggregate,
    ProviderTrait,
    allocations,
    inventories,
    provider_aggregates,
    provider_traits,
    providers,
    revisions,
)


class ProviderFilters(Struct):
    """What a list of providers may be narrowed by beside their rows; every one that is set has to hold."""

    in_tree: str | None = None
    member_of: list[frozenset[str]] = []
    """Each set: in at least one of these aggregates."""
    forbidden_aggregates: frozenset[str] = frozenset()
    required: list[frozenset[str]] = []
    """Each set: has at least one of these traits."""
    forbidden: frozenset[str] = frozenset()
    resources: dict[str, int] = {}


async def find(tx: Tx, provider_id: str) -> Provider:
    """Raises ProviderNotFound."""
    provider = await tx.find(Provider, providers, id=provider_id)
    if provider is None:
        raise ProviderNotFound(provider_id)
    return provider


async def create(tx: Tx, provider_id: str, name: str, parent_id: str | None, now: datetime) -> Provider:
    """Raises DuplicateName, BadRequest for a parent that does not exist."""
    root_id = provider_id
    if parent_id is not None:
        if parent_id == provider_id:
            raise BadRequest(f"Resource provider {provider_id} cannot be its own parent.")
        root_id = (await _parent(tx, parent_id)).root_id
    provider = Provider(provider_id, name, 0, root_id, parent_id, now, now, 0)
    if not await tx.insert_new(providers, provider):
        raise await _duplicate(tx, provider_id, name)
    await mark_changed(tx, [provider_id])
    return provider


async def _parent(tx: Tx, parent_id: str) -> Provider:
    try:
        return await find(tx, parent_id)
    except ProviderNotFound as error:
        raise BadRequest(f"There is no resource provider {parent_id} to be the parent.") from error


async def _duplicate(tx: Tx, provider_id: str, name: str) -> DuplicateName:
    taken = []
    if await tx.scalar(select(providers.c.id).where(providers.c.id == provider_id)):
        taken.append(f"uuid: {provider_id}")
    if await tx.scalar(select(providers.c.id).where(providers.c.name == name)):
        taken.append(f"name: {name}")
    return DuplicateName(f"There is a resource provider with {', '.join(taken)} already.")


async def change(
    tx: Tx, provider_id: str, name: str, parent_id: str | None, *, may_move: bool, now: datetime
) -> Provider:
    """Gives the provider a name and a parent. Raises ProviderNotFound, DuplicateName, BadRequest.

    Without `may_move` a provider that has a parent keeps it.
    """
    provider = await find(tx, provider_id)
    if name != provider.name and await tx.scalar(select(providers.c.id).where(providers.c.name == name)):
        raise DuplicateName(f"There is a resource provider with name: {name} already.")
    if parent_id != provider.parent_id:
        await _move(tx, provider, parent_id, may_move)
    values = {"name": name, "parent_id": parent_id, "updated_at": now}
    await tx.change(providers, {"id": provider_id}, **values)
    return await find(tx, provider_id)


async def _move(tx: Tx, provider: Provider, parent_id: str | None, may_move: bool) -> None:
    if provider.parent_id is not None and not may_move:
        action = "un-parenting" if parent_id is None else "re-parenting"
        raise BadRequest(f"Resource provider {provider.id}: {action} a provider is not allowed in this version.")
    subtree = await _subtree(tx, provider)
    if parent_id in subtree:
        raise BadRequest(f"Resource provider {provider.id}: its new parent is below it: the tree would be a loop.")
    root_id = provider.id if parent_id is None else (await _parent(tx, parent_id)).root_id
    await tx.execute(update(providers).where(providers.c.id.in_(subtree)).values(root_id=root_id))
    await mark_changed(tx, subtree)


async def _subtree(tx: Tx, top: Provider) -> set[str]:
    """Ids of the provider and everything below it."""
    rows = await tx.tuples(select(providers.c.id, providers.c.parent_id).where(providers.c.root_id == top.root_id))
    found = {top.id}
    before = 0
    while len(found) > before:
        before = len(found)
        found |= {provider_id for provider_id, parent_id in rows if parent_id in found}
    return found


async def remove(tx: Tx, provider_id: str) -> None:
    """Deletes the provider with its inventory, traits and aggregates.

    Raises ProviderNotFound, ProviderHasChildren, ProviderInUse.
    """
    await find(tx, provider_id)
    if await tx.scalar(select(func.count()).where(providers.c.parent_id == provider_id)):
        raise ProviderHasChildren(f"Resource provider {provider_id} cannot be deleted: it has child providers.")
    if await tx.scalar(select(func.count()).where(allocations.c.provider_id == provider_id)):
        raise ProviderInUse(f"Resource provider {provider_id} cannot be deleted: it has allocations.")
    for table in (inventories, provider_traits, provider_aggregates):
        await tx.remove(table, provider_id=provider_id)
    await tx.remove(providers, id=provider_id)
    await mark_changed(tx, [])


_NEXT_REVISION = update(revisions).values(number=revisions.c.number + 1)
_MARK = (
    update(providers)
    .where(providers.c.id.in_(bindparam("marked", expanding=True)))
    .values(revision=select(revisions.c.number).scalar_subquery())
)


async def mark_changed(tx: Tx, provider_ids: Collection[str]) -> None:
    """Gives the providers the next revision: whoever holds them in memory will read them again.

    Belongs to every change of what the index holds; with no ids after a removal, which leaves nobody to mark.
    """
    if not await tx.execute(_NEXT_REVISION):
        await tx.execute(insert(revisions).values(id=1, number=1))
    if provider_ids:
        await tx.execute(_MARK, marked=list(provider_ids))


async def advance(tx: Tx, provider: Provider, now: datetime) -> Provider:
    """Raises the generation. Raises ConcurrentUpdate when it is not `provider`'s any more."""
    changed = await tx.change(
        providers,
        {"id": provider.id, "generation": provider.generation},
        generation=provider.generation + 1,
        updated_at=now,
    )
    if changed != 1:
        raise ConcurrentUpdate(f"Resource provider {provider.id} was updated concurrently; please retry.")
    await mark_changed(tx, [provider.id])
    return structs.replace(provider, generation=provider.generation + 1, updated_at=now)


async def find_at(tx: Tx, provider_id: str, generation: int | None) -> Provider:
    """The provider as its caller has seen it; None takes any. Raises ProviderNotFound, ConcurrentUpdate."""
    provider = await find(tx, provider_id)
    if generation is not None and provider.generation != generation:
        raise ConcurrentUpdate(
            f"resource provider generation conflict: {provider_id} is at {provider.generation}, not at {generation}."
        )
    return provider


async def list_matching(tx: Tx, selection: Selection, filters: ProviderFilters) -> list[Provider]:
    """Raises UnknownResourceClass, UnknownTrait."""
    await resource_classes.require_known(tx, filters.resources)
    await traits.require_known(tx, filters.forbidden.union(*filters.required))
    of_id = providers.c.id
    where: list[ColumnElement[bool]] = [of_id.in_(_members(wanted)) for wanted in filters.member_of]
    where += [of_id.in_(_bearers(names)) for names in filters.required]
    if filters.in_tree is not None:
        root = select(providers.c.root_id).where(of_id == filters.in_tree).scalar_subquery()
        where.append(providers.c.root_id == root)
    if filters.forbidden_aggregates:
        where.append(of_id.not_in(_members(filters.forbidden_aggregates)))
    if filters.forbidden:
        where.append(of_id.not_in(_bearers(filters.forbidden)))
    for name, amount in filters.resources.items():
        where.append(of_id.in_(select(inventories.c.provider_id).where(has_room(name, amount))))
    return await select_rows(tx, providers, Provider, selection.narrowed(*where))


def has_room(resource_class: str, amount: int) -> ColumnElement[bool]:
    """The condition "this inventory can give `amount` of the class now"."""
    columns = inventories.c
    return (
        (columns.resource_class == resource_class)
        & (columns.used + amount <= (columns.total - columns.reserved) * columns.allocation_ratio)
        & (columns.min_unit <= amount)
        & (columns.max_unit >= amount)
        & (amount % columns.step_size == 0)
    )


def _members(aggregate_ids: Iterable[str]) -> Select[tuple[str]]:
    return select(provider_aggregates.c.provider_id).where(provider_aggregates.c.aggregate_id.in_(aggregate_ids))


def _bearers(names: Iterable[str]) -> Select[tuple[str]]:
    return select(provider_traits.c.provider_id).where(provider_traits.c.trait.in_(names))


async def traits_of(tx: Tx, provider_id: str) -> list[str]:
    statement = select(provider_traits.c.trait).where(provider_traits.c.provider_id == provider_id)
    return traits.in_order(name for (name,) in await tx.tuples(statement))


async def set_traits(tx: Tx, provider: Provider, names: Iterable[str], now: datetime) -> Provider:
    """Replaces the provider's traits; its generation goes up if that changes any. Raises UnknownTrait."""
    wanted = set(names)
    await traits.require_known(tx, wanted)
    present = set(await traits_of(tx, provider.id))
    if wanted == present:
        return provider
    of_provider = provider_traits.c.provider_id == provider.id
    await tx.execute(delete(provider_traits).where(of_provider, provider_traits.c.trait.in_(present - wanted)))
    for name in sorted(wanted - present):
        await tx.insert(provider_traits, ProviderTrait(provider.id, name))
    return await advance(tx, provider, now)


async def aggregates_of(tx: Tx, provider_id: str) -> list[str]:
    statement = select(provider_aggregates.c.aggregate_id).where(provider_aggregates.c.provider_id == provider_id)
    return [aggregate_id for (aggregate_id,) in await tx.tuples(statement.order_by(provider_aggregates.c.aggregate_id))]


async def set_aggregates(tx: Tx, provider: Provider, aggregate_ids: Iterable[str]) -> None:
    """Replaces the aggregates the provider is in. They exist by being named."""
    await tx.remove(provider_aggregates, provider_id=provider.id)
    rows = [structs.asdict(ProviderAggregate(provider.id, each)) for each in sorted(set(aggregate_ids))]
    if rows:
        await tx.execute(insert(provider_aggregates).values(rows))
    await mark_changed(tx, [provider.id])
