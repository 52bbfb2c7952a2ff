"""Finds allocation candidates: reads who could serve each group, puts them together, describes the trees in play.

Where no tree and no shared provider is in the way, one SQL query finds the providers and stops at the limit.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, func, select

from kilonova.kit.db import Tx
from kilonova.placement import resource_classes, traits
from kilonova.placement.candidate_groups import Candidate, Group, Key, Part, Supply, Wanted, combine, parts_of_tree
from kilonova.placement.providers import has_room
from kilonova.placement.standard import SHARES_VIA_AGGREGATE
from kilonova.placement.tables import (
    Inventory,
    inventories,
    provider_aggregates,
    provider_traits,
    providers,
)

BATCH = 500
"""Ids in one IN (...), and trees described before others get their turn."""


class Summary(Struct):
    """One provider of a tree in play."""

    provider_id: str
    parent_id: str | None
    root_id: str
    resources: dict[str, tuple[int, int]]
    """Resource class → capacity and what of it is used."""
    traits: list[str]


class Found(Struct):
    candidates: list[Candidate]
    summaries: list[Summary]


class Surroundings(Struct):
    """What every group's search needs to know of the whole cloud."""

    has_trees: bool
    sharing: frozenset[str]
    """Providers that lend to the trees in their aggregates."""
    anchors: dict[str, frozenset[str]]
    """Sharing provider → roots of the trees it lends to."""
    roots: frozenset[str] | None
    """The only roots allowed; None allows all."""


async def find(tx: Tx, wanted: Wanted) -> Found:
    """Raises UnknownResourceClass, UnknownTrait."""
    for group in wanted.groups:
        await resource_classes.require_known(tx, group.resources)
        await traits.require_known(tx, group.forbidden.union(*group.required))
    await traits.require_known(tx, wanted.root_required | wanted.root_forbidden)
    around = await _surroundings(tx, wanted)
    supply = Supply(has_trees=around.has_trees)
    parts: dict[str, Sequence[Part]] = {}
    roots: dict[str, str] = {}
    for group in wanted.groups:
        if not group.suffix and (around.sharing or around.has_trees):
            parts[group.suffix] = await _parts_of_trees(tx, group, around, roots)
        else:
            limit = wanted.limit if len(wanted.groups) == 1 and around.roots is None else None
            parts[group.suffix] = await _parts_of_one(tx, group, around, roots, limit)
        if not parts[group.suffix]:
            return Found([], [])
    supply.roots = roots
    if len(wanted.groups) > 1:
        supply.free = await _free(tx, roots, {name for group in wanted.groups for name in group.resources})
    if wanted.same_subtrees:
        supply.parents = await _parents(tx, set(roots.values()))
    # In a thread: with wide trees and several groups there may be very many combinations.
    found = await asyncio.to_thread(lambda: list(islice(combine(wanted, parts, supply), wanted.limit)))
    return Found(found, await _summaries(tx, wanted, found, supply))


# --- who could serve a group -----------------------------------------------------------------------------------------


async def _surroundings(tx: Tx, wanted: Wanted) -> Surroundings:
    has_trees = await tx.scalar(select(providers.c.id).where(providers.c.parent_id.is_not(None)).limit(1))
    shares = select(provider_traits.c.provider_id).where(provider_traits.c.trait == SHARES_VIA_AGGREGATE)
    sharing = frozenset(provider_id for (provider_id,) in await tx.tuples(shares))
    anchors: dict[str, set[str]] = {}
    if sharing:
        lender, borrower = provider_aggregates.alias("lender"), provider_aggregates.alias("borrower")
        pairs = (
            select(lender.c.provider_id, providers.c.root_id)
            .where(lender.c.provider_id.in_(shares))
            .where(borrower.c.aggregate_id == lender.c.aggregate_id)
            .where(providers.c.id == borrower.c.provider_id)
            .distinct()
        )
        for provider_id, root_id in await tx.tuples(pairs):
            anchors.setdefault(provider_id, set()).add(root_id)
    return Surroundings(
        has_trees is not None,
        sharing,
        {provider_id: frozenset(found) for provider_id, found in anchors.items()},
        await _allowed_roots(tx, wanted),
    )


async def _allowed_roots(tx: Tx, wanted: Wanted) -> frozenset[str] | None:
    if not wanted.root_required and not wanted.root_forbidden:
        return None
    statement = select(providers.c.id).where(providers.c.parent_id.is_(None))
    for name in wanted.root_required:
        statement = statement.where(providers.c.id.in_(_bearers([name])))
    if wanted.root_forbidden:
        statement = statement.where(providers.c.id.not_in(_bearers(wanted.root_forbidden)))
    return frozenset(provider_id for (provider_id,) in await tx.tuples(statement))


def _bearers(names: Iterable[str]) -> Select[tuple[str]]:
    return select(provider_traits.c.provider_id).where(provider_traits.c.trait.in_(names))


def _members(aggregate_ids: Iterable[str]) -> Select[tuple[str]]:
    return select(provider_aggregates.c.provider_id).where(provider_aggregates.c.aggregate_id.in_(aggregate_ids))


def _in_tree(group: Group) -> list[ColumnElement[bool]]:
    if group.in_tree is None:
        return []
    root = select(providers.c.root_id).where(providers.c.id == group.in_tree).scalar_subquery()
    return [providers.c.root_id == root]


async def _parts_of_one(
    tx: Tx, group: Group, around: Surroundings, roots: dict[str, str], limit: int | None
) -> list[Part]:
    """Ways to serve the group by one provider that meets every condition itself."""
    statement = select(providers.c.id, providers.c.root_id).where(*_in_tree(group))
    for name, amount in group.resources.items():
        statement = statement.where(providers.c.id.in_(select(inventories.c.provider_id).where(has_room(name, amount))))
    for names in group.required:
        statement = statement.where(providers.c.id.in_(_bearers(names)))
    if group.forbidden:
        statement = statement.where(providers.c.id.not_in(_bearers(group.forbidden)))
    for aggregate_ids in group.member_of:
        statement = statement.where(providers.c.id.in_(_members(aggregate_ids)))
    if group.forbidden_aggregates:
        statement = statement.where(providers.c.id.not_in(_members(group.forbidden_aggregates)))
    found = []
    for provider_id, root_id in await tx.tuples(statement.order_by(*_ORDER).limit(limit)):
        roots[provider_id] = root_id
        amounts = tuple((provider_id, name, amount) for name, amount in group.resources.items())
        for anchor in (root_id, *sorted(around.anchors.get(provider_id, frozenset()) - {root_id})):
            if around.roots is None or anchor in around.roots:
                found.append(Part(group.suffix, anchor, amounts, frozenset((provider_id,))))
    return found


_ORDER = (providers.c.created_at, providers.c.id)


async def _parts_of_trees(tx: Tx, group: Group, around: Surroundings, roots: dict[str, str]) -> list[Part]:
    """Ways to serve the group by the providers of a tree and those that share with it."""
    trees: dict[str, dict[str, list[str]]] = {}
    belongs = await _memberships(tx, group)
    for name, amount in group.resources.items():
        statement = select(providers.c.id, providers.c.root_id).join(
            inventories, inventories.c.provider_id == providers.c.id
        )
        able = await tx.tuples(statement.where(has_room(name, amount), *_in_tree(group)).order_by(*_ORDER))
        roots.update((provider_id, root_id) for provider_id, root_id in able)
        for provider_id, anchor in _with_borrowers(group, able, around, belongs):
            is_allowed = around.roots is None or anchor in around.roots
            if is_allowed and _is_member(group, provider_id, anchor, belongs):
                trees.setdefault(anchor, {}).setdefault(name, []).append(provider_id)
    complete = {anchor: givers for anchor, givers in trees.items() if len(givers) == len(group.resources)}
    involved = {giver for givers in complete.values() for each in givers.values() for giver in each}
    have = await _traits_of(tx, involved, group.forbidden.union(*group.required))
    return await asyncio.to_thread(
        lambda: [part for anchor, givers in complete.items() for part in parts_of_tree(group, givers, anchor, have)]
    )


def _with_borrowers(
    group: Group, able: Iterable[tuple[str, ...]], around: Surroundings, belongs: dict[str, frozenset[str]]
) -> Iterator[tuple[str, str]]:
    """(provider, anchor): every provider with its own root, a sharing one with those it lends to as well."""
    for provider_id, root_id in able:
        yield provider_id, root_id
        if provider_id not in around.sharing or group.in_tree is not None:
            continue
        if all(names & belongs.get(provider_id, frozenset()) for names in group.member_of):
            for anchor in sorted(around.anchors.get(provider_id, frozenset()) - {root_id}):
                yield provider_id, anchor


def _is_member(group: Group, provider_id: str, anchor: str, belongs: dict[str, frozenset[str]]) -> bool:
    """An aggregate of the anchor counts for its whole tree."""
    own, of_anchor = belongs.get(provider_id, frozenset()), belongs.get(anchor, frozenset())
    if group.forbidden_aggregates & (own | of_anchor):
        return False
    return all(names & own for names in group.member_of) or all(names & of_anchor for names in group.member_of)


async def _memberships(tx: Tx, group: Group) -> dict[str, frozenset[str]]:
    asked = group.forbidden_aggregates.union(*group.member_of)
    found: dict[str, set[str]] = {}
    if asked:
        columns = provider_aggregates.c
        statement = select(columns.provider_id, columns.aggregate_id).where(columns.aggregate_id.in_(asked))
        for provider_id, aggregate_id in await tx.tuples(statement):
            found.setdefault(provider_id, set()).add(aggregate_id)
    return {provider_id: frozenset(each) for provider_id, each in found.items()}


async def _traits_of(tx: Tx, involved: set[str], asked: frozenset[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    if asked:
        statement = select(provider_traits.c.provider_id, provider_traits.c.trait)
        for provider_id, name in await tx.tuples(statement.where(provider_traits.c.trait.in_(asked))):
            if provider_id in involved:
                found.setdefault(provider_id, set()).add(name)
    return {provider_id: frozenset(names) for provider_id, names in found.items()}


# --- what is known of those in play ----------------------------------------------------------------------------------


async def _free(tx: Tx, involved: Iterable[str], classes: set[str]) -> dict[Key, tuple[int, int]]:
    found: dict[Key, tuple[int, int]] = {}
    for batch in _batches(involved):
        columns = inventories.c
        statement = select(inventories).where(columns.provider_id.in_(batch), columns.resource_class.in_(classes))
        for each in await tx.all(Inventory, statement):
            found[each.provider_id, each.resource_class] = (int(each.capacity) - each.used, each.max_unit)
    return found


async def _parents(tx: Tx, root_ids: set[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for batch in _batches(root_ids):
        statement = select(providers.c.id, providers.c.parent_id).where(providers.c.root_id.in_(batch))
        found.update((provider_id, parent_id) for provider_id, parent_id in await tx.tuples(statement))
    return found


async def _summaries(tx: Tx, wanted: Wanted, found: Sequence[Candidate], supply: Supply) -> list[Summary]:
    """Every provider of the trees the candidates take from; only those they take from for who knows no trees."""
    used = {provider_id for candidate in found for provider_id in candidate.allocations}
    summaries: dict[str, Summary] = {}
    for batch in _batches({supply.roots[provider_id] for provider_id in used}):
        in_batch = providers.c.root_id.in_(batch)
        for row in await tx.tuples(select(providers.c.id, providers.c.parent_id, providers.c.root_id).where(in_batch)):
            if wanted.nested or not supply.has_trees or row[0] in used:
                summaries[row[0]] = Summary(row[0], row[1], row[2], {}, [])
        owned = select(providers.c.id).where(in_batch)
        for provider_id, name, capacity, taken in await tx.tuples(_STOCK.where(inventories.c.provider_id.in_(owned))):
            if provider_id in summaries:
                summaries[provider_id].resources[name] = (int(capacity), taken)
        for provider_id, joined in await tx.tuples(_TRAITS.where(provider_traits.c.provider_id.in_(owned))):
            if provider_id in summaries:
                summaries[provider_id].traits = traits.in_order(joined.split(","))
        # A large answer does not keep everybody else waiting.
        await asyncio.sleep(0)
    return list(summaries.values())


_STOCK = select(
    inventories.c.provider_id,
    inventories.c.resource_class,
    (inventories.c.total - inventories.c.reserved) * inventories.c.allocation_ratio,
    inventories.c.used,
)
# One row a provider, not one a trait: hosts have dozens.
_TRAITS = select(provider_traits.c.provider_id, func.aggregate_strings(provider_traits.c.trait, ",")).group_by(
    provider_traits.c.provider_id
)


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), BATCH):
        yield ordered[start : start + BATCH]
