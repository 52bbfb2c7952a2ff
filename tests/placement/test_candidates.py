"""Candidates against the plainest way to find them: SQL that adds up every allocation, and trying every combination.

The index is asked all along while the providers change under it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec import Struct
from sqlalchemy import text

from kilonova.kit.db import Database, Tx
from kilonova.kit.db.selections import Selection
from kilonova.kit.errors import Fault
from kilonova.placement import allocations, candidates, inventories, providers
from kilonova.placement.allocations import Claim
from kilonova.placement.candidate_groups import Group, Wanted
from kilonova.placement.index import ProviderIndex
from kilonova.placement.inventories import Stock
from kilonova.placement.providers import ProviderFilters
from kilonova.placement.standard import SHARES_VIA_AGGREGATE
from kilonova.placement.tables import Provider, metadata

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")
TRAITS = ("COMPUTE_NODE", "HW_CPU_X86_AVX")
AGGREGATES = ("agg-1", "agg-2")

stocks = some.builds(
    Stock,
    total=some.integers(1, 8),
    reserved=some.integers(0, 2),
    min_unit=some.integers(1, 2),
    max_unit=some.integers(1, 6),
    step_size=some.integers(1, 2),
    allocation_ratio=some.sampled_from([1.0, 1.5, 2.0]),
)


class Host(Struct):
    stocks: dict[str, Stock]
    traits: frozenset[str]
    aggregates: frozenset[str]
    parent: int | None
    """Index of an earlier host, as far back as this says; None for a root."""
    used: dict[str, int]


hosts = some.builds(
    Host,
    stocks=some.dictionaries(some.sampled_from(CLASSES), stocks, min_size=1),
    traits=some.frozensets(some.sampled_from(TRAITS)),
    aggregates=some.frozensets(some.sampled_from(AGGREGATES)),
    parent=some.none() | some.integers(1, 3),
    used=some.dictionaries(some.sampled_from(CLASSES), some.integers(1, 4)),
)
groups = some.builds(
    Group,
    suffix=some.just(""),
    resources=some.dictionaries(some.sampled_from(CLASSES), some.integers(1, 6), min_size=1),
    required=some.lists(some.frozensets(some.sampled_from(TRAITS), min_size=1), max_size=2).map(tuple),
    forbidden=some.frozensets(some.sampled_from(TRAITS), max_size=1),
    member_of=some.lists(some.frozensets(some.sampled_from(AGGREGATES), min_size=1), max_size=1).map(tuple),
    forbidden_aggregates=some.frozensets(some.sampled_from(AGGREGATES), max_size=1),
)
Shape = frozenset[tuple[str, str, int]]


async def fill(tx: Tx, wanted: list[Host], sharing: bool) -> None:
    for index, host in enumerate(wanted):
        parent = None if host.parent is None or index == 0 else f"p{max(0, index - host.parent)}"
        provider = await providers.create(tx, f"p{index}", f"p{index}", parent, NOW)
        provider = await inventories.replace(tx, provider, host.stocks, NOW)
        names = host.traits | ({SHARES_VIA_AGGREGATE} if sharing and index % 3 == 2 else frozenset())
        await providers.set_aggregates(tx, provider, host.aggregates)
        await providers.set_traits(tx, provider, names, NOW)
        for name, amount in host.used.items():
            stock = host.stocks.get(name)
            if stock and stock.min_unit <= amount <= stock.max_unit and amount % stock.step_size == 0:
                free = int((stock.total - stock.reserved) * stock.allocation_ratio)
                if amount <= free:
                    await allocations.replace(tx, [Claim(f"c{index}{name}", {provider.id: {name: amount}})], NOW)


async def able(tx: Tx, name: str, amount: int) -> list[tuple[str, str]]:
    """(provider, root) of those that can give `amount`: plain SQL over all allocations."""
    statement = text(
        """
        SELECT p.id, p.root_id FROM providers p JOIN inventories i ON i.provider_id = p.id
        WHERE i.resource_class = :name AND :amount BETWEEN i.min_unit AND i.max_unit AND :amount % i.step_size = 0
          AND (SELECT coalesce(sum(a.used), 0) FROM allocations a
               WHERE a.provider_id = p.id AND a.resource_class = :name) + :amount
              <= (i.total - i.reserved) * i.allocation_ratio
        """
    ).bindparams(name=name, amount=amount)
    return [(provider, root) for provider, root in await tx.tuples(statement)]


async def every_way(tx: Tx, group: Group) -> set[Shape]:
    """Tries every choice of one provider a class around every root."""
    traits: dict[str, set[str]] = {}
    aggregates: dict[str, set[str]] = {}
    roots = dict(await tx.tuples(text("SELECT id, root_id FROM providers")))
    for provider, name in await tx.tuples(text("SELECT provider_id, trait FROM provider_traits")):
        traits.setdefault(provider, set()).add(name)
    for provider, aggregate in await tx.tuples(text("SELECT provider_id, aggregate_id FROM provider_aggregates")):
        aggregates.setdefault(provider, set()).add(aggregate)
    givers = {name: dict(await able(tx, name, amount)) for name, amount in group.resources.items()}
    is_flat = set(roots) == set(roots.values()) and not any(SHARES_VIA_AGGREGATE in each for each in traits.values())

    def meets(found: set[str], wanted: tuple[frozenset[str], ...]) -> bool:
        return all(names & found for names in wanted)

    def serves(provider: str, anchor: str) -> bool:
        own, above = aggregates.get(provider, set()), aggregates.get(anchor, set())
        if roots[provider] != anchor:
            shares = SHARES_VIA_AGGREGATE in traits.get(provider, set())
            members = {roots[other] for other, each in aggregates.items() if each & own}
            if not (shares and anchor in members and meets(own, group.member_of)):
                return False
        if group.forbidden_aggregates & (own | above) or group.forbidden & traits.get(provider, set()):
            return False
        return meets(own, group.member_of) or meets(above, group.member_of)

    def ways(anchor: str) -> Iterator[Shape]:
        choices = [[each for each in givers[name] if serves(each, anchor)] for name in group.resources]
        for chosen in product(*choices):
            if is_flat and len(set(chosen)) > 1:
                continue
            if meets(set[str]().union(*(traits.get(each, set()) for each in chosen)), group.required):
                yield frozenset(
                    (giver, name, amount) for giver, (name, amount) in zip(chosen, group.resources.items(), strict=True)
                )

    return {way for anchor in set(roots.values()) for way in ways(anchor)}


async def compare(database: Database, index: ProviderIndex, group: Group) -> None:
    async with database.reading() as tx:
        found = await candidates.find(tx, index, Wanted((group,)))
        shapes = [
            frozenset((giver, name, amount) for giver, each in one.allocations.items() for name, amount in each.items())
            for one in found.candidates
        ]
        expected = await every_way(tx, group)
        limited = await candidates.find(tx, index, Wanted((group,), limit=2))
        known = (await index.refresh(tx)).providers
        summaries = await plain_summaries(tx)
        memberships = await tx.tuples(text("SELECT provider_id, aggregate_id FROM provider_aggregates ORDER BY 1, 2"))
    assert len(shapes) == len(set(shapes))
    assert set(shapes) == expected
    assert [each.allocations for each in limited.candidates] == [each.allocations for each in found.candidates[:2]]
    named = {giver for shape in expected for giver, _, _ in shape}
    assert named <= found.summaries.keys()
    assert {provider_id: msgspec.to_builtins(each.summary) for provider_id, each in known.items()} == summaries
    assert sorted((each.id, one) for each in known.values() for one in each.aggregates) == memberships
    assert list(known) == sorted(known)


async def plain_summaries(tx: Tx) -> dict[str, dict[str, Any]]:
    """Every provider as the API shows it, by plain SQL."""
    found: dict[str, dict[str, Any]] = {}
    for provider_id, parent_id, root_id in await tx.tuples(text("SELECT id, parent_id, root_id FROM providers")):
        named = text("SELECT trait FROM provider_traits WHERE provider_id = :id ORDER BY trait")
        stock = text(
            """
            SELECT i.resource_class, CAST((i.total - i.reserved) * i.allocation_ratio AS INTEGER),
                   (SELECT coalesce(sum(a.used), 0) FROM allocations a
                    WHERE a.provider_id = :id AND a.resource_class = i.resource_class)
            FROM inventories i WHERE i.provider_id = :id
            """
        )
        found[provider_id] = {
            "resources": {
                name: {"capacity": capacity, "used": used}
                for name, capacity, used in await tx.tuples(stock.bindparams(id=provider_id))
            },
            "traits": [name for (name,) in await tx.tuples(named.bindparams(id=provider_id))],
            "parent_provider_uuid": parent_id,
            "root_provider_uuid": root_id,
        }
    return found


async def filled(wanted: list[Host], sharing: bool) -> Database:
    database = Database("sqlite://", metadata)
    database.run_alone(metadata.create_all)
    async with database.transaction() as tx:
        await fill(tx, wanted, sharing)
    return database


async def compare_once(wanted: list[Host], group: Group, sharing: bool) -> None:
    database = await filled(wanted, sharing)
    await compare(database, ProviderIndex(), group)
    await database.close()


@settings(max_examples=40)
@given(some.lists(hosts, min_size=1, max_size=6), groups, some.booleans())
def test_candidates_are_what_trying_everything_finds(wanted: list[Host], group: Group, sharing: bool) -> None:
    asyncio.run(compare_once(wanted, group, sharing))


@settings(max_examples=30)
@given(some.lists(hosts, min_size=1, max_size=6), groups)
def test_flat_candidates_are_what_trying_everything_finds(wanted: list[Host], group: Group) -> None:
    for host in wanted:
        host.parent = None
    asyncio.run(compare_once(wanted, group, False))


# --- while providers change ------------------------------------------------------------------------------------------


async def give_traits(tx: Tx, provider: Provider, as_host: Host) -> None:
    await providers.set_traits(tx, provider, as_host.traits, NOW)


async def give_aggregates(tx: Tx, provider: Provider, as_host: Host) -> None:
    await providers.set_aggregates(tx, provider, as_host.aggregates)


async def give_inventory(tx: Tx, provider: Provider, as_host: Host) -> None:
    await inventories.replace(tx, provider, as_host.stocks, NOW)


async def move(tx: Tx, provider: Provider, as_host: Host) -> None:
    parent = None if as_host.parent is None else f"p{as_host.parent - 1}"
    await providers.change(tx, provider.id, provider.name, parent, may_move=True, now=NOW)


async def claim(tx: Tx, provider: Provider, as_host: Host) -> None:
    """For a consumer that may hold something elsewhere: that is given back, and no generation tells."""
    held = await inventories.list_of(tx, provider.id)
    amounts = {each.resource_class: max(each.min_unit, each.step_size) for each in held[:1]}
    await allocations.replace(tx, [Claim("wanderer", {provider.id: amounts})], NOW)


async def release(tx: Tx, provider: Provider, as_host: Host) -> None:
    await allocations.release(tx, "wanderer", NOW)


async def remove(tx: Tx, provider: Provider, as_host: Host) -> None:
    if await tx.scalar(text("SELECT count(*) FROM providers")) > 1:
        await providers.remove(tx, provider.id)


async def remove_and_make(tx: Tx, provider: Provider, as_host: Host) -> None:
    """As many as before."""
    await providers.remove(tx, provider.id)
    await fill_one(tx, f"{provider.id}-again", as_host)


async def fill_one(tx: Tx, provider_id: str, host: Host) -> None:
    provider = await providers.create(tx, provider_id, provider_id, None, NOW)
    await inventories.replace(tx, provider, host.stocks, NOW)


Change = Callable[[Tx, Provider, Host], Awaitable[None]]
CHANGES: list[Change] = [
    give_traits,
    give_aggregates,
    give_inventory,
    move,
    claim,
    release,
    remove,
    remove_and_make,
]
steps = some.tuples(some.sampled_from(CHANGES), some.integers(0, 5), hosts)


async def compare_all_along(wanted: list[Host], group: Group, changes: list[tuple[Change, int, Host]]) -> None:
    database = await filled(wanted, sharing=True)
    index = ProviderIndex()
    await compare(database, index, group)
    for change, number, as_host in changes:
        with suppress(Fault):  # a refusal changes nothing either
            async with database.transaction() as tx:
                present = await providers.list_matching(tx, Selection(), ProviderFilters())
                await change(tx, present[number % len(present)], as_host)
        await compare(database, index, group)
    await database.close()


@settings(max_examples=40)
@given(some.lists(hosts, min_size=2, max_size=5), groups, some.lists(steps, min_size=2, max_size=8))
def test_the_index_follows_every_change(
    wanted: list[Host], group: Group, changes: list[tuple[Change, int, Host]]
) -> None:
    asyncio.run(compare_all_along(wanted, group, changes))


async def test_an_older_view_of_the_database_gets_an_older_answer() -> None:
    stock = Stock(total=4, reserved=0, min_unit=1, max_unit=4, step_size=1, allocation_ratio=1.0)
    host = Host({"VCPU": stock}, frozenset(), frozenset(), None, {})
    older, newer = await filled([host], False), await filled([host, host], False)
    index, group = ProviderIndex(), Group("", {"VCPU": 1})
    for database in (newer, older, newer):
        await compare(database, index, group)
    await older.close()
    await newer.close()
