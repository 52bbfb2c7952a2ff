"""Domains: what users and projects belong to."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from kilonova.identity import assignments, records
from kilonova.identity.errors import InvalidReference
from kilonova.identity.tables import Domain, domains
from kilonova.kit.db import Tx


async def find(tx: Tx, domain_id: str) -> Domain:
    """Raises ResourceNotFound."""
    return await records.find(tx, domains, Domain, "domain", domain_id)


async def look_up(tx: Tx, domain_id: str) -> Domain | None:
    return await records.look_up(tx, domains, Domain, domain_id)


async def require(tx: Tx, domain_id: str) -> None:
    """Raises InvalidReference when there is no such domain."""
    if await look_up(tx, domain_id) is None:
        raise InvalidReference(f"Could not find domain: {domain_id}.")


async def list_matching(tx: Tx, filters: Mapping[str, Any]) -> list[Domain]:
    return await records.list_equal(tx, domains, Domain, filters)


async def list_in_reach(tx: Tx, user_id: str) -> list[Domain]:
    """Enabled domains on which the user has any role, by name."""
    ids = await assignments.targets_of(tx, user_id, "domain")
    statement = select(domains).where(domains.c.id.in_(ids), domains.c.enabled).order_by(domains.c.name)
    return await tx.all(Domain, statement)


async def add(tx: Tx, domain: Domain) -> None:
    """Raises NameTaken."""
    await records.add(tx, domains, domain, "domain")


async def change(tx: Tx, domain: Domain, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Domain:
    """Raises NameTaken."""
    return await records.change(tx, domains, Domain, "domain", domain, records.with_extra(domain.extra, values, extra))
