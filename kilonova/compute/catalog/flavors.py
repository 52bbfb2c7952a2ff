"""Flavors: their rules and transactions."""

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from kilonova.compute.errors import FlavorNotFound, NameExists
from kilonova.compute.tables import Flavor, flavors
from kilonova.compute.transactions import RegionTx
from kilonova.kit.db.selections import after_marker, ordered
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.paging import Page


async def insert(tx: RegionTx, flavor: Flavor) -> None:
    """Raises NameExists for a name or id that is taken."""
    if not await tx.insert_new(flavors, flavor):
        by_name = await tx.find(Flavor, flavors, name=flavor.name)
        what = f"name {flavor.name}" if by_name is not None else f"ID {flavor.id}"
        raise NameExists(f"Flavor with {what} already exists.")


async def find(tx: RegionTx, flavor_id: str, *, project_id: str | None, sees_all: bool) -> Flavor:
    """Raises FlavorNotFound, also for a private flavor the project has no access to."""
    flavor = await tx.find(Flavor, flavors, id=flavor_id)
    if flavor is None or not (sees_all or is_visible(flavor, project_id)):
        raise FlavorNotFound(flavor_id)
    return flavor


def is_visible(flavor: Flavor, project_id: str | None) -> bool:
    return flavor.is_public or project_id in flavor.projects


class Filters(Struct, frozen=True):
    project_id: str | None
    is_public: bool | None
    """None: public and private ones alike, for those who manage access."""
    min_memory_mib: int = 0
    min_root_gib: int = 0
    name: str | None = None


async def list_page(tx: RegionTx, filters: Filters, page: Page) -> list[Flavor]:
    """One page and one row beyond it. Raises BadRequest for a marker that is not there, or not to be seen."""
    sorts = [(flavors.c[key], direction) for key, direction in page.sorts]
    statement = ordered(select(flavors), sorts).where(
        flavors.c.memory_mib >= filters.min_memory_mib, flavors.c.root_gib >= filters.min_root_gib
    )
    if filters.name is not None:
        statement = statement.where(flavors.c.name == filters.name)
    if filters.is_public is False:
        statement = statement.where(flavors.c.is_public.is_(False))
    if page.marker is not None:
        marker = await tx.find(Flavor, flavors, id=page.marker)
        if marker is None or (filters.is_public is True and not is_visible(marker, filters.project_id)):
            raise BadRequest(f"marker [{page.marker}] not found")
        statement = statement.where(after_marker(sorts, [getattr(marker, key) for key, _ in page.sorts]))
    found = await tx.all(Flavor, statement)
    if filters.is_public is True:
        # Who may use a private flavor stands in a JSON list: the few there are, are looked through here.
        found = [each for each in found if is_visible(each, filters.project_id)]
    return found[: page.limit + 1]


async def change(tx: RegionTx, flavor: Flavor, **values: Any) -> Flavor:
    await tx.change(flavors, {"id": flavor.id}, **values)
    return await find(tx, flavor.id, project_id=None, sees_all=True)


async def remove(tx: RegionTx, flavor: Flavor) -> None:
    await tx.remove(flavors, id=flavor.id)
