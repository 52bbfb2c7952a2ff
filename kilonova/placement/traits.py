"""Traits: the standard ones, and those of one's own that begin with `CUSTOM_`."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import func, select

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.placement.errors import InUse, TraitNotFound, UnknownTrait
from kilonova.placement.standard import TRAIT_SET, TRAITS
from kilonova.placement.tables import Trait, provider_traits, traits


async def list_all(tx: Tx, *, names: Collection[str] | None, prefix: str, associated: bool | None) -> list[str]:
    """Names, standard ones first. `associated`: only those some provider has, or only those none has."""
    custom = [name for (name,) in await tx.tuples(select(traits.c.name).order_by(traits.c.name))]
    found = [name for name in (*TRAITS, *custom) if name.startswith(prefix)]
    if names is not None:
        found = [name for name in found if name in names]
    if associated is not None:
        used = {name for (name,) in await tx.tuples(select(provider_traits.c.trait).distinct())}
        found = [name for name in found if (name in used) == associated]
    return found


def in_order(names: Iterable[str]) -> list[str]:
    """Standard ones first, each kind by name."""
    return sorted(names, key=lambda name: (name not in TRAIT_SET, name))


async def require_known(tx: Tx, names: Iterable[str]) -> None:
    """Raises UnknownTrait naming those that do not exist."""
    own = set(names) - TRAIT_SET
    if own:
        known = await tx.tuples(select(traits.c.name).where(traits.c.name.in_(own)))
        missing = own - {name for (name,) in known}
        if missing:
            raise UnknownTrait(missing)


async def find(tx: Tx, name: str) -> Trait | None:
    """The trait of one's own, None for a standard one. Raises TraitNotFound."""
    if name in TRAIT_SET:
        return None
    trait = await tx.find(Trait, traits, name=name)
    if trait is None:
        raise TraitNotFound(name)
    return trait


async def ensure(tx: Tx, name: str, now: datetime) -> bool:
    """Makes the trait unless it exists; whether it was made."""
    return await tx.insert_new(traits, Trait(name, now))


async def remove(tx: Tx, name: str) -> None:
    """Raises TraitNotFound, InUse, BadRequest for a standard trait."""
    if await find(tx, name) is None:
        raise BadRequest(f"{name} is a standard trait, which cannot be deleted.")
    if await tx.scalar(select(func.count()).where(provider_traits.c.trait == name)):
        raise InUse(f"{name} is a trait of some resource provider, so it cannot be deleted.")
    await tx.remove(traits, name=name)
