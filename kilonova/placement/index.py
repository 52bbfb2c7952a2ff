"""What every provider has, in memory, as the database has it.

The one rule: nothing is taken from memory before the database was asked whether it still holds. Every change of a
provider gives it the next revision, one counter for all (`providers.mark_changed`); `ProviderIndex.refresh` reads what
has a later revision than the last it saw, in the transaction that asks. Generations would not do: what a consumer gives
back, a move in a tree and aggregates before 1.19 change a provider and leave its generation.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property

from msgspec import Struct
from sqlalchemy import BindParameter, bindparam, func, select

from kilonova.kit.db import Tx
from kilonova.placement import traits
from kilonova.placement.standard import SHARES_VIA_AGGREGATE
from kilonova.placement.tables import inventories, provider_aggregates, provider_traits, providers, revisions

BATCH = 500
"""Ids in one IN (...), and providers read before others get their turn."""


class Room(Struct, frozen=True):
    """What a provider has of one resource class."""

    capacity: float
    """What may be used in all; not rounded."""
    used: int
    min_unit: int
    max_unit: int
    step_size: int

    def gives(self, amount: int) -> bool:
        """Whether `amount` can be had now."""
        return (
            self.used + amount <= self.capacity
            and self.min_unit <= amount <= self.max_unit
            and amount % self.step_size == 0
        )


class ResourceSummary(Struct, frozen=True):
    capacity: int
    used: int


class Summary(Struct, frozen=True, rename={"parent_id": "parent_provider_uuid", "root_id": "root_provider_uuid"}):
    """A provider as an answer shows it; made once, for answers may hold thousands."""

    resources: dict[str, ResourceSummary]
    traits: list[str]
    parent_id: str | None
    root_id: str


class Indexed(Struct, frozen=True):
    """One provider."""

    id: str
    made_at: datetime
    rooms: dict[str, Room]
    """By resource class."""
    traits: frozenset[str]
    aggregates: frozenset[str]
    summary: Summary

    @property
    def parent_id(self) -> str | None:
        return self.summary.parent_id

    @property
    def root_id(self) -> str:
        return self.summary.root_id


class Snapshot:
    """All providers as of one revision. Never changed: a search in a thread may go on while a newer one is made."""

    def __init__(self, revision: int, members: Mapping[str, Indexed]) -> None:
        self.revision = revision
        self.providers = members
        """By id, in the order they were made."""

    @cached_property
    def has_trees(self) -> bool:
        return any(each.parent_id is not None for each in self.providers.values())

    @cached_property
    def trees(self) -> dict[str, list[Indexed]]:
        """Root → the providers of its tree."""
        found: dict[str, list[Indexed]] = {}
        for each in self.providers.values():
            found.setdefault(each.root_id, []).append(each)
        return found

    @cached_property
    def lends_to(self) -> dict[str, frozenset[str]]:
        """Sharing provider → roots of the trees that have a provider in one of its aggregates."""
        sharing = [each for each in self.providers.values() if SHARES_VIA_AGGREGATE in each.traits]
        if not sharing:
            return {}
        roots: dict[str, set[str]] = {}
        for each in self.providers.values():
            for aggregate_id in each.aggregates:
                roots.setdefault(aggregate_id, set()).add(each.root_id)
        return {each.id: frozenset[str]().union(*(roots[one] for one in each.aggregates)) for each in sharing}


class ProviderIndex:
    """One a process. Empty until it is first asked."""

    def __init__(self) -> None:
        self._snapshot = Snapshot(-1, {})
        self._refreshing = asyncio.Lock()

    async def refresh(self, tx: Tx) -> Snapshot:
        """All providers as `tx` sees them."""
        async with self._refreshing:
            revision = await tx.scalar(_REVISION) or 0
            known = self._snapshot
            if revision == known.revision:
                return known
            if revision < known.revision:
                # An older view of the database, or an older database put in its place: what is known is of another one.
                known = Snapshot(-1, {})
            self._snapshot = Snapshot(revision, await _members(tx, known))
            return self._snapshot


async def _members(tx: Tx, known: Snapshot) -> dict[str, Indexed]:
    """What was known, with everything that changed since."""
    rows = await tx.tuples(_CHANGED, revision=known.revision)
    members = dict(known.providers)
    is_in_order = all(row[0] in members for row in rows) or not members
    alike = _Alike()
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        members.update((each.id, each) for each in await _read(tx, batch, alike))
        # A large cloud that is read for the first time does not keep everybody else waiting.
        await asyncio.sleep(0)
    # Everything there is was known or has just been read, so a difference in number is what was removed.
    if len(members) != await tx.scalar(_COUNT):
        present = {provider_id for (provider_id,) in await tx.tuples(select(providers.c.id))}
        members = {provider_id: each for provider_id, each in members.items() if provider_id in present}
    if not is_in_order:
        members = dict(sorted(members.items(), key=lambda item: (item[1].made_at, item[0])))
    return members


class _Alike:
    """Sets of traits, of which hosts of one kind have the same: kept once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[frozenset[str], list[str]]] = {"": (frozenset(), [])}

    def traits(self, joined: str) -> tuple[frozenset[str], list[str]]:
        found = self._known.get(joined)
        if found is None:
            names = traits.in_order(joined.split(","))
            found = self._known[joined] = (frozenset(names), names)
        return found


async def _read(tx: Tx, rows: Iterable[tuple[str, datetime, str | None, str]], alike: _Alike) -> Iterator[Indexed]:
    rows = list(rows)
    ids = [row[0] for row in rows]
    rooms: dict[str, dict[str, Room]] = {}
    for provider_id, name, *figures in await tx.tuples(_ROOMS, ids=ids):
        rooms.setdefault(provider_id, {})[name] = Room(*figures)
    aggregates: dict[str, set[str]] = {}
    for provider_id, aggregate_id in await tx.tuples(_AGGREGATES, ids=ids):
        aggregates.setdefault(provider_id, set()).add(aggregate_id)
    joined = dict(await tx.tuples(_TRAITS, ids=ids))
    return (
        _indexed(
            row, rooms.get(row[0], {}), frozenset(aggregates.get(row[0], ())), alike.traits(joined.get(row[0], ""))
        )
        for row in rows
    )


def _indexed(
    row: tuple[str, datetime, str | None, str],
    rooms: dict[str, Room],
    aggregates: frozenset[str],
    of_traits: tuple[frozenset[str], list[str]],
) -> Indexed:
    provider_id, made_at, parent_id, root_id = row
    names, in_order = of_traits
    resources = {name: ResourceSummary(int(room.capacity), room.used) for name, room in rooms.items()}
    return Indexed(provider_id, made_at, rooms, names, aggregates, Summary(resources, in_order, parent_id, root_id))


_REVISION = select(revisions.c.number)
_COUNT = select(func.count()).select_from(providers)
_CHANGED = (
    select(providers.c.id, providers.c.created_at, providers.c.parent_id, providers.c.root_id)
    .where(providers.c.revision > bindparam("revision"))
    .order_by(providers.c.created_at, providers.c.id)
)
_AMONG: BindParameter[list[str]] = bindparam("ids", expanding=True)
_ROOMS = select(
    inventories.c.provider_id,
    inventories.c.resource_class,
    (inventories.c.total - inventories.c.reserved) * inventories.c.allocation_ratio,
    inventories.c.used,
    inventories.c.min_unit,
    inventories.c.max_unit,
    inventories.c.step_size,
).where(inventories.c.provider_id.in_(_AMONG))
_AGGREGATES = select(provider_aggregates.c.provider_id, provider_aggregates.c.aggregate_id).where(
    provider_aggregates.c.provider_id.in_(_AMONG)
)
# One row a provider, not one a trait: hosts have dozens.
_TRAITS = (
    select(provider_traits.c.provider_id, func.aggregate_strings(provider_traits.c.trait, ","))
    .where(provider_traits.c.provider_id.in_(_AMONG))
    .group_by(provider_traits.c.provider_id)
)
