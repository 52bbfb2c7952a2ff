"""Moves inventory between providers together with what is held of it, all or nothing."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from kilonova.kit.db import Tx
from kilonova.placement import allocations, inventories, providers
from kilonova.placement.allocations import Claim
from kilonova.placement.errors import ProviderNotFound, UnknownProvider
from kilonova.placement.inventories import Stock
from kilonova.placement.tables import Inventory


class Reshaped(Struct):
    """One provider's inventory as it is to be."""

    generation: int
    stocks: dict[str, Stock]


async def reshape(tx: Tx, wanted: dict[str, Reshaped], claims: Sequence[Claim], now: datetime) -> None:
    """Raises UnknownProvider, ConcurrentUpdate, UnknownResourceClass, InventoryInUse, AllocationRefused."""
    for provider_id, reshaped in wanted.items():
        try:
            provider = await providers.find_at(tx, provider_id, reshaped.generation)
        except ProviderNotFound as error:
            raise UnknownProvider(error.message) from error
        # First what was and what is to be, side by side: allocations cannot move to what is not yet there, nor can
        # what they are still on be taken away.
        present = {each.resource_class: _stock_of(each) for each in await inventories.list_of(tx, provider_id)}
        if reshaped.stocks:
            await inventories.replace(tx, provider, {**present, **reshaped.stocks}, now)
    await allocations.replace(tx, claims, now)
    for provider_id, reshaped in wanted.items():
        await inventories.replace(tx, await providers.find(tx, provider_id), reshaped.stocks, now)


def _stock_of(inventory: Inventory) -> Stock:
    return Stock(
        inventory.total,
        inventory.reserved,
        inventory.min_unit,
        inventory.max_unit,
        inventory.step_size,
        inventory.allocation_ratio,
    )
