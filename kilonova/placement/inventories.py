"""Inventories: what a provider has, by resource class. Every change raises the provider's generation."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, delete, insert, select, update

from kilonova.kit.db import Tx
from kilonova.placement import providers, resource_classes
from kilonova.placement.errors import ConcurrentUpdate, InvalidInventory, InventoryInUse, InventoryNotFound
from kilonova.placement.tables import Inventory, Provider, inventories

MAX_INTEGER = 0x7FFFFFFF


class Stock(Struct, frozen=True):
    """One inventory as it is asked for, without what the service adds."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = MAX_INTEGER
    step_size: int = 1
    allocation_ratio: float = 1.0


def check_capacity(provider_id: str, stocks: Mapping[str, Stock], *, may_reserve_all: bool) -> None:
    """Raises InvalidInventory for a class of which nothing, or less than nothing, is left."""
    for name, stock in stocks.items():
        capacity = int((stock.total - stock.reserved) * stock.allocation_ratio)
        if capacity < 0 or (capacity == 0 and not may_reserve_all):
            wrong = "greater than total" if may_reserve_all else "greater than or equal to total"
            raise InvalidInventory(
                f"Of '{name}' on resource provider {provider_id} more is reserved than may be: reserved is {wrong}."
            )


async def list_of(tx: Tx, provider_id: str) -> list[Inventory]:
    statement = select(inventories).where(inventories.c.provider_id == provider_id)
    return await tx.all(Inventory, statement.order_by(inventories.c.resource_class))


async def find(tx: Tx, provider_id: str, resource_class: str) -> Inventory:
    """Raises InventoryNotFound."""
    found = await tx.first(Inventory, select(inventories).where(_is(provider_id, resource_class)))
    if found is None:
        raise InventoryNotFound(f"Resource provider {provider_id} has no inventory of {resource_class}.")
    return found


async def replace(tx: Tx, provider: Provider, stocks: Mapping[str, Stock], now: datetime) -> Provider:
    """Makes `stocks` all the provider has. Raises UnknownResourceClass, InventoryInUse, ConcurrentUpdate.

    Less may be left than is in use: what is held stays held, and no more is given.
    """
    await resource_classes.require_known(tx, stocks)
    present = {each.resource_class: each for each in await list_of(tx, provider.id)}
    gone = present.keys() - stocks.keys()
    in_use = [name for name in present if name in gone and present[name].used]
    if in_use:
        raise InventoryInUse(in_use, provider.id)
    if gone:
        mine = inventories.c.provider_id == provider.id
        await tx.execute(delete(inventories).where(mine, inventories.c.resource_class.in_(gone)))
    for name, stock in stocks.items():
        if name in present:
            await _write(tx, provider.id, name, stock, now)
        else:
            await _insert(tx, provider.id, name, stock, now)
    return await providers.advance(tx, provider, now)


async def add(tx: Tx, provider: Provider, resource_class: str, stock: Stock, now: datetime) -> Provider:
    """Raises UnknownResourceClass, ConcurrentUpdate when the provider has such an inventory."""
    await resource_classes.require_known(tx, [resource_class])
    if await tx.scalar(select(inventories.c.total).where(_is(provider.id, resource_class))) is not None:
        raise ConcurrentUpdate(f"Resource provider {provider.id} already has an inventory of {resource_class}.")
    await _insert(tx, provider.id, resource_class, stock, now)
    return await providers.advance(tx, provider, now)


async def change(tx: Tx, provider: Provider, resource_class: str, stock: Stock, now: datetime) -> Provider:
    """Raises InvalidInventory when the provider has no such inventory."""
    if not await _write(tx, provider.id, resource_class, stock, now):
        raise InvalidInventory(f"Resource provider {provider.id} has no inventory of {resource_class} to change.")
    return await providers.advance(tx, provider, now)


async def remove(tx: Tx, provider: Provider, resource_class: str, now: datetime) -> None:
    """Raises InventoryNotFound, InventoryInUse."""
    found = await find(tx, provider.id, resource_class)
    if found.used:
        raise InventoryInUse([resource_class], provider.id)
    await tx.execute(delete(inventories).where(_is(provider.id, resource_class)))
    await providers.advance(tx, provider, now)


async def _insert(tx: Tx, provider_id: str, resource_class: str, stock: Stock, now: datetime) -> None:
    values = {"provider_id": provider_id, "resource_class": resource_class, "used": 0, "updated_at": now}
    await tx.execute(insert(inventories).values(**structs.asdict(stock), **values))


async def _write(tx: Tx, provider_id: str, resource_class: str, stock: Stock, now: datetime) -> bool:
    statement = update(inventories).where(_is(provider_id, resource_class))
    return await tx.execute(statement.values(**structs.asdict(stock), updated_at=now)) == 1


def _is(provider_id: str, resource_class: str) -> ColumnElement[bool]:
    return (inventories.c.provider_id == provider_id) & (inventories.c.resource_class == resource_class)
