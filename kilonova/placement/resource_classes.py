"""Resource classes: the standard ones, and those of one's own that begin with `CUSTOM_`."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.placement.errors import InUse, ResourceClassNotFound, UnknownResourceClass
from kilonova.placement.standard import RESOURCE_CLASS_SET, RESOURCE_CLASSES
from kilonova.placement.tables import ResourceClass, inventories, resource_classes


async def list_all(tx: Tx) -> list[str]:
    """Names, standard ones first."""
    statement = select(resource_classes.c.name).order_by(resource_classes.c.updated_at, resource_classes.c.name)
    return [*RESOURCE_CLASSES, *(name for (name,) in await tx.tuples(statement))]


async def require_known(tx: Tx, names: Iterable[str]) -> None:
    """Raises UnknownResourceClass naming those that do not exist."""
    own = set(names) - RESOURCE_CLASS_SET
    if own:
        statement = select(resource_classes.c.name).where(resource_classes.c.name.in_(own))
        missing = own - {name for (name,) in await tx.tuples(statement)}
        if missing:
            raise UnknownResourceClass(missing)


async def find(tx: Tx, name: str) -> ResourceClass | None:
    """The class of one's own, None for a standard one. Raises ResourceClassNotFound."""
    if name in RESOURCE_CLASS_SET:
        return None
    found = await tx.find(ResourceClass, resource_classes, name=name)
    if found is None:
        raise ResourceClassNotFound(name)
    return found


async def ensure(tx: Tx, name: str, now: datetime) -> bool:
    """Makes the class unless it exists; whether it was made."""
    return await tx.insert_new(resource_classes, ResourceClass(name, now))


async def rename(tx: Tx, name: str, new_name: str, now: datetime) -> None:
    """Raises ResourceClassNotFound, InUse for a taken name or a class in use, BadRequest for a standard class."""
    if await find(tx, name) is None:
        raise BadRequest(f"{name} is a standard resource class, which cannot be changed.")
    if new_name != name and await tx.scalar(select(func.count()).where(resource_classes.c.name == new_name)):
        raise InUse(f"There is a resource class {new_name} already.")
    await _require_unused(tx, name)
    values = {"name": new_name, "updated_at": now}
    await tx.change(resource_classes, {"name": name}, **values)


async def remove(tx: Tx, name: str) -> None:
    """Raises ResourceClassNotFound, InUse, BadRequest for a standard class."""
    if await find(tx, name) is None:
        raise BadRequest(f"{name} is a standard resource class, which cannot be deleted.")
    await _require_unused(tx, name)
    await tx.remove(resource_classes, name=name)


async def _require_unused(tx: Tx, name: str) -> None:
    if await tx.scalar(select(func.count()).where(inventories.c.resource_class == name)):
        raise InUse(f"Some resource provider has inventory of the class {name}.")
