"""Roles, and which role implies which."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import delete, select

from kilonova.identity import domains, records
from kilonova.identity.announcements import announce
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import NO_DOMAIN, ImpliedRole, Role, implied_roles, roles
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Selection
from kilonova.kit.errors import Forbidden


class Inference(Struct):
    """A role and all that it implies at once, without following the chain."""

    prior: Role
    implied: list[Role]


async def find(tx: Tx, role_id: str) -> Role:
    """Raises ResourceNotFound."""
    return await records.find(tx, roles, Role, "role", role_id)


async def list_matching(tx: Tx, selection: Selection, *, domain_id: str | None) -> list[Role]:
    """Without a domain, the roles that belong to none. Raises BadRequest for a marker that is none."""
    return await records.list_where(tx, roles, Role, selection, (roles.c.domain_id == (domain_id or NO_DOMAIN),))


MEMBER = "member"
ORDINARY_USER = "user"
"""The role that older guides make and give to ordinary users, when any role on a project was a member's."""


async def add(tx: Tx, name: str, domain_id: str | None, description: str, extra: dict[str, Any]) -> Role:
    """A new role. One named `user` implies `member` from the start, by a rule that can be removed. Raises NameTaken,
    and ResourceNotFound for a domain that does not exist."""
    if domain_id:
        await domains.find(tx, domain_id)
    role = await records.add(
        tx, roles, Role(records.new_id(), domain_id or NO_DOMAIN, name, description, extra), "role"
    )
    if role.folded_name == ORDINARY_USER and role.domain_id == NO_DOMAIN:
        for member in await records.list_equal(tx, roles, Role, {"name": MEMBER, "domain_id": NO_DOMAIN}):
            await tx.insert_new(implied_roles, ImpliedRole(role.id, member.id))
    return role


async def change(tx: Tx, role: Role, values: Mapping[str, Any], extra: Mapping[str, Any]) -> Role:
    """Raises NameTaken."""
    return await records.change(tx, roles, Role, "role", role, records.with_extra(role.extra, values, extra))


async def remove(tx: Tx, role: Role) -> None:
    """Its grants and rules go with it. Raises Immutable."""
    records.refuse_immutable(role, "role")
    await records.remove(tx, roles, role.id)
    announce(tx)


async def list_rules(tx: Tx) -> list[ImpliedRole]:
    return await tx.all(ImpliedRole, select(implied_roles))


async def list_inferences(tx: Tx) -> list[Inference]:
    """One for each role that implies any."""
    by_id = {role.id: role for role in await records.list_equal(tx, roles, Role, {})}
    found: dict[str, Inference] = {}
    for rule in await list_rules(tx):
        inference = found.setdefault(rule.prior_role_id, Inference(by_id[rule.prior_role_id], []))
        inference.implied.append(by_id[rule.implied_role_id])
    return list(found.values())


async def inference_of(tx: Tx, role_id: str) -> Inference:
    """Raises ResourceNotFound."""
    prior = await find(tx, role_id)
    for inference in await list_inferences(tx):
        if inference.prior.id == prior.id:
            return inference
    return Inference(prior, [])


async def imply(tx: Tx, prior_role_id: str, implied_role_id: str) -> Inference:
    """Makes the rule; safe to repeat. Raises ResourceNotFound for either role, Forbidden where a role of all domains
    would imply one domain's."""
    prior = await find(tx, prior_role_id)
    implied = await find(tx, implied_role_id)
    if prior.domain_id == NO_DOMAIN and implied.domain_id != NO_DOMAIN:
        raise Forbidden(f"Role {prior.id} belongs to no domain and cannot imply {implied.id}, a domain's own.")
    await tx.insert_new(implied_roles, ImpliedRole(prior.id, implied.id))
    announce(tx)
    return Inference(prior, [implied])


async def find_rule(tx: Tx, prior_role_id: str, implied_role_id: str) -> Inference:
    """Raises ResourceNotFound for a role or a rule that does not exist."""
    prior = await find(tx, prior_role_id)
    implied = await find(tx, implied_role_id)
    if ImpliedRole(prior.id, implied.id) not in await list_rules(tx):
        raise ResourceNotFound("implied role", implied_role_id)
    return Inference(prior, [implied])


async def remove_rule(tx: Tx, prior_role_id: str, implied_role_id: str) -> None:
    """Raises ResourceNotFound."""
    table = implied_roles.c
    matches = (table.prior_role_id == prior_role_id) & (table.implied_role_id == implied_role_id)
    if not await tx.execute(delete(implied_roles).where(matches)):
        raise ResourceNotFound("implied role", implied_role_id)
    announce(tx)
