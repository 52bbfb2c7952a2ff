"""/v3/roles and the roles they imply."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import delete

from kilonova.identity import assignments, records
from kilonova.identity.api.bodies import IdentityRequest, given, listing, read_fields
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import NO_DOMAIN, ImpliedRole, Role, implied_roles, roles
from kilonova.identity.views.records import role_view
from kilonova.kit.db import Tx
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC

RoleName = Annotated[str, Meta(min_length=1, max_length=255)]


class NewRole(Struct):
    name: RoleName
    domain_id: str | None = None
    description: str | None = ""


class ChangedRole(Struct):
    name: RoleName | UnsetType = UNSET
    description: str | UnsetType = UNSET


async def create_role(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, "role", NewRole)
    role = Role(records.new_id(), fields.domain_id or NO_DOMAIN, fields.name, fields.description or "", extra)
    async with request.service.database.transaction() as tx:
        await records.add(tx, roles, role, "role")
    return {"role": role_view(role, request.base_url)}


async def list_roles(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    filters = {"name": request.query.get("name"), "domain_id": request.query.get("domain_id", NO_DOMAIN)}
    async with request.service.database.reading() as tx:
        found = await records.list_equal(tx, roles, Role, filters)
    return listing(request, "roles", [role_view(each, request.base_url) for each in found])


async def _fetch(tx: Tx, request: IdentityRequest) -> Role:
    request.authorize()
    return await records.find(tx, roles, Role, "role", request.path["role_id"])


async def show_role(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        role = await _fetch(tx, request)
    return {"role": role_view(role, request.base_url)}


async def update_role(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = read_fields(body, "role", ChangedRole)
    values = given(fields)
    async with request.service.database.transaction() as tx:
        role = await _fetch(tx, request)
        if extra:
            values["extra"] = {**role.extra, **extra}
        role = await records.change(tx, roles, Role, "role", role, values)
    return {"role": role_view(role, request.base_url)}


async def delete_role(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        role = await _fetch(tx, request)
        await records.remove(tx, roles, role.id)
    await request.service.bus.publish(REVOCATIONS_TOPIC, {})


def _rule(request: IdentityRequest) -> ImpliedRole:
    return ImpliedRole(request.path["role_id"], request.path["implied_role_id"])


async def _names_of(tx: Tx, request: IdentityRequest) -> dict[str, Role]:
    return {role.id: role for role in await records.list_equal(tx, roles, Role, {})}


def _short(role: Role, base_url: str) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "links": {"self": f"{base_url}/v3/roles/{role.id}"}}


async def list_implied(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/roles/{role_id}/implies."""
    async with request.service.database.reading() as tx:
        prior = await _fetch(tx, request)
        names = await _names_of(tx, request)
        rules = [rule for rule in await assignments.list_implied(tx) if rule.prior_role_id == prior.id]
    implied = [_short(names[rule.implied_role_id], request.base_url) for rule in rules]
    return {"role_inference": {"prior_role": _short(prior, request.base_url), "implies": implied}}


async def list_role_inferences(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/role_inferences: every rule there is."""
    request.authorize()
    async with request.service.database.reading() as tx:
        names = await _names_of(tx, request)
        rules = await assignments.list_implied(tx)
    by_prior: dict[str, list[str]] = {}
    for rule in rules:
        by_prior.setdefault(rule.prior_role_id, []).append(rule.implied_role_id)
    shown = [
        {
            "prior_role": _short(names[prior], request.base_url),
            "implies": [_short(names[each], request.base_url) for each in implied],
        }
        for prior, implied in by_prior.items()
    ]
    return {"role_inferences": shown}


async def create_implied(request: IdentityRequest) -> dict[str, Any]:
    """PUT /v3/roles/{role_id}/implies/{implied_role_id}."""
    rule = _rule(request)
    async with request.service.database.transaction() as tx:
        prior = await _fetch(tx, request)
        implied = await records.find(tx, roles, Role, "role", rule.implied_role_id)
        await tx.insert_new(implied_roles, rule)
    await request.service.bus.publish(REVOCATIONS_TOPIC, {})
    return {
        "role_inference": {
            "prior_role": _short(prior, request.base_url),
            "implies": _short(implied, request.base_url),
        }
    }


async def check_implied(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.reading() as tx:
        if _rule(request) not in await assignments.list_implied(tx):
            raise ResourceNotFound("implied role", request.path["implied_role_id"])


async def delete_implied(request: IdentityRequest) -> None:
    request.authorize()
    rule = _rule(request)
    table = implied_roles.c
    async with request.service.database.transaction() as tx:
        matches = (table.prior_role_id == rule.prior_role_id) & (table.implied_role_id == rule.implied_role_id)
        if not await tx.execute(delete(implied_roles).where(matches)):
            raise ResourceNotFound("implied role", rule.implied_role_id)
    await request.service.bus.publish(REVOCATIONS_TOPIC, {})
