"""Regions: where endpoints are. They may lie in one another."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from kilonova.identity import records
from kilonova.identity.errors import InvalidReference
from kilonova.identity.tables import Region, endpoints, regions
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection


async def find(tx: Tx, region_id: str) -> Region:
    """Raises ResourceNotFound."""
    return await records.find(tx, regions, Region, "region", region_id)


async def list_matching(tx: Tx, selection: Selection) -> list[Region]:
    """Raises BadRequest for a marker that is none."""
    return await records.list_where(tx, regions, Region, selection)


async def add(tx: Tx, region: Region) -> None:
    """Raises NameTaken for an id in use, ResourceNotFound for its parent."""
    if region.parent_region_id is not None:
        await find(tx, region.parent_region_id)
    await records.add(tx, regions, region, "region")


async def ensure(tx: Tx, region_id: str) -> None:
    await tx.insert_new(regions, Region(region_id, "", None))


async def change(tx: Tx, region_id: str, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Region:
    """Raises ResourceNotFound for it or its parent, InvalidReference for a parent that lies in it."""
    region = await find(tx, region_id)
    parent_id = values.get("parent_region_id")
    if parent_id is not None:
        await find(tx, parent_id)
        if parent_id in {region.id, *await _inside(tx, region.id)}:
            raise InvalidReference(f"Region {parent_id} lies in region {region.id}, which cannot lie in it as well.")
    written = records.with_extra(region.extra or {}, values, extra)
    return await records.change(tx, regions, Region, "region", region, written)


async def _inside(tx: Tx, region_id: str) -> list[str]:
    """The ids of the regions that lie in one, at any depth."""
    parents = dict(await tx.tuples(select(regions.c.id, regions.c.parent_region_id)))
    found: list[str] = []
    level = [region_id]
    while level:
        level = [each for each, parent in parents.items() if parent in level and each not in found]
        found += level
    return found


async def remove(tx: Tx, region_id: str) -> None:
    """With the regions that lie in it. Raises ResourceNotFound, and InvalidReference while endpoints are in any."""
    region = await find(tx, region_id)
    doomed = [*reversed(await _inside(tx, region.id)), region.id]
    used = {each for (each,) in await tx.tuples(select(endpoints.c.region_id).distinct())}
    for each in doomed:
        if each in used:
            raise InvalidReference(f"Region {each} still has endpoints; delete or move them first.")
    for each in doomed:
        await records.remove(tx, regions, each)
