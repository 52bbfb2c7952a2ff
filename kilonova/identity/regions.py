"""Regions: where endpoints are. They may lie in one another."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from kilonova.identity import lists, records
from kilonova.identity.errors import InvalidReference
from kilonova.identity.lists import Listing, Page
from kilonova.identity.tables import Region, endpoints, regions
from kilonova.kit.db import Tx


async def find(tx: Tx, region_id: str) -> Region:
    """Raises ResourceNotFound."""
    return await records.find(tx, regions, Region, "region", region_id)


async def list_matching(tx: Tx, listing: Listing) -> Page[Region]:
    """Raises BadRequest for a marker that is none."""
    return await lists.page(tx, regions, Region, listing)


async def add(tx: Tx, region: Region) -> None:
    """Raises NameTaken for an id in use, ResourceNotFound for its parent."""
    if region.parent_region_id is not None:
        await find(tx, region.parent_region_id)
    await records.add(tx, regions, region, "region")


async def ensure(tx: Tx, region_id: str) -> None:
    await tx.insert_new(regions, Region(region_id, "", None))


async def change(tx: Tx, region_id: str, values: Mapping[str, Any]) -> Region:
    """Raises ResourceNotFound."""
    return await records.change(tx, regions, Region, "region", await find(tx, region_id), values)


async def remove(tx: Tx, region_id: str) -> None:
    """Raises ResourceNotFound, and InvalidReference while endpoints are in it."""
    region = await find(tx, region_id)
    if await tx.scalar(select(func.count()).select_from(endpoints).where(endpoints.c.region_id == region.id)):
        raise InvalidReference(f"Region {region.id} still has endpoints; delete or move them first.")
    await records.remove(tx, regions, region.id)
