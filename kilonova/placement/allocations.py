"""Allocations: what consumers hold of providers' inventories.

What is given never exceeds what there is: `replace` reads, checks and writes in one write transaction, and raises the
generation of every provider it claims from, so that of two claims made of one view the second finds out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import bindparam, delete, select, update

from kilonova.kit.db import Tx
from kilonova.kit.db.statements import rows_among
from kilonova.placement import providers, resource_classes
from kilonova.placement.errors import AllocationRefused, AllocationsNotFound, ConcurrentUpdate, UnknownProvider
from kilonova.placement.tables import (
    Allocation,
    Consumer,
    Inventory,
    Provider,
    allocations,
    consumers,
    inventories,
)
from kilonova.placement.tables import providers as provider_table

NO_OWNER = "00000000-0000-0000-0000-000000000000"
"""Project and user of what was claimed before a claim had to name them."""

Key = tuple[str, str]
"""(provider id, resource class)"""


class Claim(Struct):
    """Everything one consumer is to hold from now on; nothing when `wanted` is empty."""

    consumer_id: str
    wanted: dict[str, dict[str, int]]
    """Provider id → resource class → amount."""
    project_id: str = NO_OWNER
    user_id: str = NO_OWNER
    consumer_type: str | None = None
    """None leaves the type as it is."""
    generation: int | None | UnsetType = UNSET
    """What the caller has seen: None for "no such consumer"; unset does not ask."""


class Holding(Struct):
    """What a consumer holds, with the generations of the providers."""

    consumer: Consumer
    allocations: list[Allocation]
    provider_generations: dict[str, int]


async def of_consumer(tx: Tx, consumer_id: str) -> Holding | None:
    """None when the consumer holds nothing."""
    consumer = await tx.find(Consumer, consumers, id=consumer_id)
    if consumer is None:
        return None
    held = await tx.find_all(Allocation, allocations, consumer_id=consumer_id)
    statement = select(provider_table.c.id, provider_table.c.generation)
    statement = statement.where(provider_table.c.id.in_({each.provider_id for each in held}))
    return Holding(consumer, held, {row[0]: row[1] for row in await tx.tuples(statement)})


async def of_provider(tx: Tx, provider_id: str) -> tuple[list[Allocation], dict[str, int]]:
    """What is held of the provider, and the generations of those who hold it."""
    held = await tx.all(
        Allocation,
        select(allocations)
        .where(allocations.c.provider_id == provider_id)
        .order_by(allocations.c.consumer_id, allocations.c.resource_class),
    )
    statement = select(consumers.c.id, consumers.c.generation)
    statement = statement.where(consumers.c.id.in_({each.consumer_id for each in held}))
    return held, {row[0]: row[1] for row in await tx.tuples(statement)}


async def release(tx: Tx, consumer_id: str, now: datetime) -> None:
    """Gives back everything the consumer holds. Raises AllocationsNotFound."""
    held = await tx.find_all(Allocation, allocations, consumer_id=consumer_id)
    if not held:
        raise AllocationsNotFound(consumer_id)
    await _write(tx, [Claim(consumer_id, {})], held, now)
    await tx.remove(consumers, id=consumer_id)


async def replace(tx: Tx, claims: Sequence[Claim], now: datetime) -> None:
    """Makes every claim the whole of what its consumer holds, all of them or none.

    Raises ConcurrentUpdate, UnknownProvider, UnknownResourceClass, AllocationRefused. A claim that leaves an overfull
    provider no fuller than it was is accepted.
    """
    ids = [claim.consumer_id for claim in claims]
    known = {each.id: each for each in await tx.all(Consumer, rows_among(consumers, "id"), id=ids)}
    for claim in claims:
        _check_generation(claim, known.get(claim.consumer_id))
    held = await tx.all(Allocation, rows_among(allocations, "consumer_id"), consumer_id=ids)
    touched = await _touched_providers(tx, claims, held)
    await resource_classes.require_known(
        tx, {name for claim in claims for each in claim.wanted.values() for name in each}
    )
    stock = await _stock(tx, claims, held)
    _check_room(claims, held, stock)
    # Consumers first: allocations refer to them.
    for claim in claims:
        await _write_consumer(tx, claim, known.get(claim.consumer_id), now)
    await _write(tx, claims, held, now)
    for provider in touched:
        await providers.advance(tx, provider, now)
    if empty := [claim.consumer_id for claim in claims if not claim.wanted]:
        await tx.execute(delete(consumers).where(consumers.c.id.in_(empty)))


def _check_generation(claim: Claim, consumer: Consumer | None) -> None:
    if claim.generation is UNSET:
        return
    expected = None if consumer is None else consumer.generation
    if claim.generation != expected:
        wanted, got = (("null" if value is None else value) for value in (expected, claim.generation))
        raise ConcurrentUpdate(
            f"consumer generation conflict: consumer {claim.consumer_id} is at {wanted}, not at {got}."
        )


async def _touched_providers(tx: Tx, claims: Sequence[Claim], held: Iterable[Allocation]) -> list[Provider]:
    """The providers whose generation goes up: those claimed from, and those left by consumers that leave altogether."""
    leaving = {claim.consumer_id for claim in claims if not claim.wanted}
    named = {provider_id for claim in claims for provider_id in claim.wanted}
    wanted = named | {each.provider_id for each in held if each.consumer_id in leaving}
    found = await tx.all(Provider, rows_among(provider_table, "id"), id=list(wanted))
    missing = named - {provider.id for provider in found}
    if missing:
        raise UnknownProvider(f"There are no such resource providers: {', '.join(sorted(missing))}.")
    return found


async def _stock(tx: Tx, claims: Iterable[Claim], held: Iterable[Allocation]) -> dict[Key, Inventory]:
    keys = {(each.provider_id, each.resource_class) for each in held}
    keys |= {(provider_id, name) for claim in claims for provider_id, each in claim.wanted.items() for name in each}
    ids = list({provider_id for provider_id, _ in keys})
    found = await tx.all(Inventory, rows_among(inventories, "provider_id"), provider_id=ids)
    return {key: each for each in found if (key := (each.provider_id, each.resource_class)) in keys}


def _check_room(claims: Iterable[Claim], held: Iterable[Allocation], stock: Mapping[Key, Inventory]) -> None:
    """Raises AllocationRefused. What the claims' consumers hold now counts as free: it is replaced."""
    used = {key: inventory.used for key, inventory in stock.items()}
    for each in held:
        used[each.provider_id, each.resource_class] -= each.used
    for claim in claims:
        for provider_id, resources in claim.wanted.items():
            for name, amount in resources.items():
                inventory = stock.get((provider_id, name))
                if inventory is None:
                    raise AllocationRefused(f"Resource provider {provider_id} has none of class '{name}'.")
                _check_one(inventory, amount, used[provider_id, name])
                used[provider_id, name] += amount


def _check_one(inventory: Inventory, amount: int, used: int) -> None:
    who, name = inventory.provider_id, inventory.resource_class
    if not inventory.fits(amount):
        raise AllocationRefused(
            f"Resource provider {who} does not give {amount} of '{name}' at once: its constraints are min_unit "
            f"{inventory.min_unit}, max_unit {inventory.max_unit}, step_size {inventory.step_size}."
        )
    if used + amount > inventory.capacity and used + amount > inventory.used:
        raise AllocationRefused(
            f"{amount} more of '{name}' would exceed the capacity of resource provider {who}: "
            f"{used} of {int(inventory.capacity)} are in use."
        )


async def _write_consumer(tx: Tx, claim: Claim, known: Consumer | None, now: datetime) -> None:
    if known is None:
        row = Consumer(claim.consumer_id, 1, claim.project_id, claim.user_id, claim.consumer_type, now)
        if await tx.insert_new(consumers, row):
            return
    else:
        values = {
            "generation": known.generation + 1,
            "project_id": claim.project_id,
            "user_id": claim.user_id,
            "consumer_type": claim.consumer_type or known.consumer_type,
            "updated_at": now,
        }
        if await tx.change(consumers, {"id": known.id, "generation": known.generation}, **values) == 1:
            return
    raise ConcurrentUpdate(f"consumer generation conflict: consumer {claim.consumer_id} was updated concurrently.")


_MOVE_USED = (
    update(inventories)
    .where(inventories.c.provider_id == bindparam("by_provider"), inventories.c.resource_class == bindparam("by_class"))
    .values(used=inventories.c.used + bindparam("difference"))
)


async def _write(tx: Tx, claims: Iterable[Claim], held: Sequence[Allocation], now: datetime) -> None:
    """Replaces the rows and moves the sums in `inventories.used` by the difference."""
    change: Counter[Key] = Counter()
    for each in held:
        change[each.provider_id, each.resource_class] -= each.used
    rows = []
    for claim in claims:
        for provider_id, resources in claim.wanted.items():
            for name, amount in resources.items():
                change[provider_id, name] += amount
                rows.append(Allocation(claim.consumer_id, provider_id, name, amount, now))
    if ids := {each.consumer_id for each in held}:
        await tx.execute(delete(allocations).where(allocations.c.consumer_id.in_(ids)))
    for (provider_id, name), difference in change.items():
        if difference:
            await tx.execute(_MOVE_USED, by_provider=provider_id, by_class=name, difference=difference)
    # Also those that a consumer leaves and whose generation stays.
    await providers.mark_changed(tx, {provider_id for (provider_id, _), difference in change.items() if difference})
    for row in rows:
        await tx.insert(allocations, row)
