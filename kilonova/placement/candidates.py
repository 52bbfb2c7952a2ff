"""Finds allocation candidates: who could serve each group, put together, with the trees in play described.

Answers from the index in memory (`index.py`), which is compared with the database first.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import Struct

from kilonova.kit.db import Tx
from kilonova.placement import resource_classes, traits
from kilonova.placement.candidate_groups import Candidate, Group, Part, Supply, Wanted, combine, parts_of_tree
from kilonova.placement.index import Indexed, ProviderIndex, Snapshot, Summary


class Found(Struct):
    candidates: list[Candidate]
    summaries: dict[str, Summary]
    """By provider id: those of the trees in play."""


async def find(tx: Tx, index: ProviderIndex, wanted: Wanted) -> Found:
    """Raises UnknownResourceClass, UnknownTrait."""
    for group in wanted.groups:
        await resource_classes.require_known(tx, group.resources)
        await traits.require_known(tx, group.forbidden.union(*group.required))
    await traits.require_known(tx, wanted.root_required | wanted.root_forbidden)
    snapshot = await index.refresh(tx)
    # In a thread: there may be thousands of providers, and with wide trees and several groups very many combinations.
    return await asyncio.to_thread(search, snapshot, wanted)


def search(snapshot: Snapshot, wanted: Wanted) -> Found:
    """Pure."""
    roots = _allowed_roots(snapshot, wanted)
    parts: dict[str, Sequence[Part]] = {}
    for group in wanted.groups:
        if not group.suffix and (snapshot.lends_to or snapshot.has_trees):
            parts[group.suffix] = list(_parts_of_trees(snapshot, group, roots))
        else:
            # What is lent is found once around each tree it is lent to, and those ways are one candidate.
            is_enough = len(wanted.groups) == 1 and not snapshot.lends_to
            limit = wanted.limit if is_enough else None
            parts[group.suffix] = list(islice(_parts_of_one(snapshot, group, roots), limit))
        if not parts[group.suffix]:
            return Found([], {})
    found = list(islice(combine(wanted, parts, _supply(snapshot, wanted, parts)), wanted.limit))
    return Found(found, _summaries(snapshot, wanted, found))


# --- who could serve a group -----------------------------------------------------------------------------------------


def _allowed_roots(snapshot: Snapshot, wanted: Wanted) -> frozenset[str] | None:
    """None allows all."""
    if not wanted.root_required and not wanted.root_forbidden:
        return None
    return frozenset(
        each.id
        for each in snapshot.providers.values()
        if each.parent_id is None and wanted.root_required <= each.traits and not wanted.root_forbidden & each.traits
    )


def _in_tree(snapshot: Snapshot, group: Group) -> Iterable[Indexed]:
    """Those the group may ask: of one tree, or all."""
    if group.in_tree is None:
        return snapshot.providers.values()
    named = snapshot.providers.get(group.in_tree)
    return [] if named is None else snapshot.trees[named.root_id]


def _parts_of_one(snapshot: Snapshot, group: Group, roots: frozenset[str] | None) -> Iterator[Part]:
    """Ways to serve the group by one provider that meets every condition itself."""
    for each in _in_tree(snapshot, group):
        if not _meets(group, each):
            continue
        amounts = tuple((each.id, name, amount) for name, amount in group.resources.items())
        borrowers = snapshot.lends_to.get(each.id, frozenset()) - {each.root_id}
        for anchor in (each.root_id, *sorted(borrowers)):
            if roots is None or anchor in roots:
                yield Part(group.suffix, anchor, amounts, frozenset((each.id,)))


def _meets(group: Group, provider: Indexed) -> bool:
    rooms = provider.rooms
    for name, amount in group.resources.items():
        if name not in rooms or not rooms[name].gives(amount):
            return False
    if group.forbidden & provider.traits or group.forbidden_aggregates & provider.aggregates:
        return False
    return all(names & provider.traits for names in group.required) and all(
        names & provider.aggregates for names in group.member_of
    )


def _parts_of_trees(snapshot: Snapshot, group: Group, roots: frozenset[str] | None) -> Iterator[Part]:
    """Ways to serve the group by the providers of a tree and those that share with it."""
    asked = list(_in_tree(snapshot, group))
    trees: dict[str, dict[str, list[str]]] = {}
    for name, amount in group.resources.items():
        able = [each for each in asked if name in each.rooms and each.rooms[name].gives(amount)]
        for provider, anchor in _with_borrowers(snapshot, group, able):
            if (roots is None or anchor in roots) and _is_member(group, provider, snapshot.providers[anchor]):
                trees.setdefault(anchor, {}).setdefault(name, []).append(provider.id)
    for anchor, givers in trees.items():
        if len(givers) == len(group.resources):
            have = {giver: snapshot.providers[giver].traits for each in givers.values() for giver in each}
            yield from parts_of_tree(group, givers, anchor, have)


def _with_borrowers(snapshot: Snapshot, group: Group, able: Iterable[Indexed]) -> Iterator[tuple[Indexed, str]]:
    """(provider, anchor): every provider with its own root, a sharing one with those it lends to as well."""
    for each in able:
        yield each, each.root_id
        borrowers = snapshot.lends_to.get(each.id)
        if borrowers is None or group.in_tree is not None:
            continue
        if all(names & each.aggregates for names in group.member_of):
            for anchor in sorted(borrowers - {each.root_id}):
                yield each, anchor


def _is_member(group: Group, provider: Indexed, anchor: Indexed) -> bool:
    """An aggregate of the anchor counts for its whole tree."""
    if group.forbidden_aggregates & (provider.aggregates | anchor.aggregates):
        return False
    return all(names & provider.aggregates for names in group.member_of) or all(
        names & anchor.aggregates for names in group.member_of
    )


# --- what is known of those in play ----------------------------------------------------------------------------------


def _supply(snapshot: Snapshot, wanted: Wanted, parts: dict[str, Sequence[Part]]) -> Supply:
    """Only what this request makes `combine` look at."""
    supply = Supply(has_trees=snapshot.has_trees)
    givers = {giver for found in parts.values() for part in found for giver in part.providers}
    if not wanted.nested and snapshot.has_trees:
        supply.roots = {giver: snapshot.providers[giver].root_id for giver in givers}
    if len(wanted.groups) > 1:
        names = {name for group in wanted.groups for name in group.resources}
        supply.free = {
            (giver, name): (int(room.capacity) - room.used, room.max_unit)
            for giver in givers
            for name, room in snapshot.providers[giver].rooms.items()
            if name in names
        }
    if wanted.same_subtrees:
        supply.parents = {each.id: each.parent_id for each in snapshot.providers.values()}
    return supply


def _summaries(snapshot: Snapshot, wanted: Wanted, found: Iterable[Candidate]) -> dict[str, Summary]:
    """Every provider of the trees the candidates take from; only those they take from for who knows no trees."""
    used = {provider_id: None for candidate in found for provider_id in candidate.allocations}
    shown: Iterable[str] = used
    if wanted.nested and snapshot.has_trees:
        tops = {snapshot.providers[provider_id].root_id: None for provider_id in used}
        shown = [each.id for root_id in tops for each in snapshot.trees[root_id]]
    return {provider_id: snapshot.providers[provider_id].summary for provider_id in shown}
