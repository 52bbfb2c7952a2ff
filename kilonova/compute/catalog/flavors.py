"""Flavors: their rules and transactions."""

from typing import Any

from msgspec import Struct
from sqlalchemy import or_

from kilonova.compute.errors import FlavorNotFound, NameExists
from kilonova.compute.notifications.records import tell_flavor
from kilonova.compute.tables import Flavor, flavors
from kilonova.compute.transactions import RegionTx
from kilonova.kit.db.expressions import has_text
from kilonova.kit.db.selections import Selection, select_rows


async def insert(tx: RegionTx, flavor: Flavor) -> None:
    """Raises NameExists for a name or id that is taken."""
    if not await tx.insert_new(flavors, flavor):
        by_name = await tx.find(Flavor, flavors, name=flavor.name)
        what = f"name {flavor.name}" if by_name is not None else f"ID {flavor.id}"
        raise NameExists(f"Flavor with {what} already exists.")
    tell_flavor(tx, flavor, "create")


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
    name: str | None = None


async def list_page(tx: RegionTx, filters: Filters, selection: Selection) -> list[Flavor]:
    """Raises BadRequest for a marker that is not there, or not to be seen."""
    if filters.name is not None:
        selection = selection.narrowed(flavors.c.name == filters.name)
    if filters.is_public is False:
        selection = selection.narrowed(flavors.c.is_public.is_(False))
    if not filters.is_public:
        return await select_rows(tx, flavors, Flavor, selection)
    mine = has_text(flavors.c.projects, filters.project_id or "")
    return await select_rows(tx, flavors, Flavor, selection, (or_(flavors.c.is_public, mine),))


async def change(tx: RegionTx, flavor: Flavor, **values: Any) -> Flavor:
    await tx.change(flavors, {"id": flavor.id}, **values)
    changed = await find(tx, flavor.id, project_id=None, sees_all=True)
    tell_flavor(tx, changed, "update")
    return changed


async def remove(tx: RegionTx, flavor: Flavor) -> None:
    if await tx.remove(flavors, id=flavor.id):
        tell_flavor(tx, flavor, "delete")
