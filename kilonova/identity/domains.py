"""Domains: what users and projects belong to."""

from collections.abc import Mapping
from typing import Any

from kilonova.identity import assignments, records
from kilonova.identity.announcements import announce
from kilonova.identity.errors import InvalidReference, NameTaken
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, Project, domains, projects
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection


async def find(tx: Tx, domain_id: str) -> Domain:
    """Raises ResourceNotFound."""
    return await records.find(tx, domains, Domain, "domain", domain_id)


async def look_up(tx: Tx, domain_id: str) -> Domain | None:
    return await records.look_up(tx, domains, Domain, domain_id)


async def require(tx: Tx, domain_id: str) -> None:
    """Raises InvalidReference when there is no such domain."""
    if await look_up(tx, domain_id) is None:
        raise InvalidReference(f"Could not find domain: {domain_id}.")


async def list_matching(tx: Tx, selection: Selection) -> list[Domain]:
    """Raises BadRequest for a marker that is none."""
    return await records.list_where(tx, domains, Domain, selection)


async def list_in_reach(tx: Tx, identity: Identity, user_id: str, selection: Selection) -> list[Domain]:
    """Enabled domains on which the user has any role. Raises BadRequest for a marker that is none."""
    ids = await assignments.targets_of(tx, identity.directory, user_id, "domain")
    return await records.list_where(
        tx,
        domains,
        Domain,
        selection,
        (
            domains.c.id.in_(ids),
            domains.c.enabled,
        ),
    )


async def add(tx: Tx, domain: Domain) -> None:
    """Raises NameTaken for a name or an id in use, also for a project's id: what lies in either is listed by it."""
    if await records.look_up(tx, projects, Project, domain.id) is not None:
        raise NameTaken("domain", domain.id)
    await records.add(tx, domains, domain, "domain")


async def change(tx: Tx, domain: Domain, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Domain:
    """Raises NameTaken."""
    changed = await records.change(
        tx, domains, Domain, "domain", domain, records.with_extra(domain.extra, values, extra)
    )
    if values.get("enabled") is False:
        # A domain holds users and projects alike.
        announce(tx)
    return changed
