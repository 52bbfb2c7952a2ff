"""Grants of roles on projects, domains and the system, and /v3/role_assignments."""

from typing import Any

from kilonova.identity import assignments, records
from kilonova.identity.api.bodies import IdentityRequest, flag, listing
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import (
    SYSTEM_TARGET_ID,
    Assignment,
    Domain,
    Project,
    Role,
    TargetKind,
    User,
    domains,
    projects,
    roles,
    users,
)
from kilonova.identity.views.records import role_view
from kilonova.kit.db import Tx
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC


def _target(request: IdentityRequest) -> tuple[TargetKind, str]:
    if "project_id" in request.path:
        return "project", request.path["project_id"]
    if "domain_id" in request.path:
        return "domain", request.path["domain_id"]
    return "system", SYSTEM_TARGET_ID


async def _assignment(tx: Tx, request: IdentityRequest) -> Assignment:
    """The grant the path names, all of whose parts exist."""
    kind, target_id = _target(request)
    user = await records.find(tx, users, User, "user", request.path["user_id"])
    role = await records.find(tx, roles, Role, "role", request.path["role_id"])
    if kind == "project":
        await records.find(tx, projects, Project, "project", target_id)
    elif kind == "domain":
        await records.find(tx, domains, Domain, "domain", target_id)
    return Assignment(user.id, kind, target_id, role.id)


async def create_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        assignment = await _assignment(tx, request)
        await assignments.grant(tx, assignment)
    await request.service.bus.publish(REVOCATIONS_TOPIC, {"user_id": assignment.user_id})


async def check_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.reading() as tx:
        await assignments.check(tx, await _assignment(tx, request))


async def revoke_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        assignment = await _assignment(tx, request)
        await assignments.withdraw(tx, assignment)
    # Other services ask again for this user's tokens, and find the role gone: roles are looked up at each validation.
    await request.service.bus.publish(REVOCATIONS_TOPIC, {"user_id": assignment.user_id})


async def list_grants(request: IdentityRequest) -> dict[str, Any]:
    """The roles a user was given directly on one target."""
    request.authorize()
    kind, target_id = _target(request)
    async with request.service.database.reading() as tx:
        user = await records.find(tx, users, User, "user", request.path["user_id"])
        granted = await assignments.list_granted(tx, user_id=user.id, target_kind=kind, target_id=target_id)
        found = [await records.find(tx, roles, Role, "role", each.role_id) for each in granted]
    return listing(request, "roles", [role_view(each, request.base_url) for each in found])


async def list_role_assignments(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/role_assignments with its filters; `effective` follows implied roles, `include_names` adds names."""
    request.authorize()
    query = request.query
    kind: TargetKind | None = None
    target_id: str | None = None
    for name in ("project", "domain"):
        if f"scope.{name}.id" in query:
            kind, target_id = ("project" if name == "project" else "domain"), query[f"scope.{name}.id"]
    if "scope.system" in query:
        kind = "system"
    role_id = query.get("role.id")
    effective = "effective" in query and flag(request, "effective") is not False
    async with request.service.database.reading() as tx:
        found = await assignments.list_granted(
            tx,
            user_id=query.get("user.id"),
            role_id=None if effective else role_id,
            target_kind=kind,
            target_id=target_id,
        )
        if effective:
            found = [each for each in await _effective(tx, found) if role_id in (None, each.role_id)]
        with_names = "include_names" in query and flag(request, "include_names") is not False
        shown = [await _view(tx, request, each, with_names) for each in found]
    return listing(request, "role_assignments", shown)


async def _effective(tx: Tx, granted: list[Assignment]) -> list[Assignment]:
    rules = await assignments.list_implied(tx)
    seen: dict[tuple[str, ...], Assignment] = {}
    for each in granted:
        for role_id in assignments.with_implied({each.role_id}, rules):
            reached = Assignment(each.user_id, each.target_kind, each.target_id, role_id)
            seen[(each.user_id, each.target_kind, each.target_id, role_id)] = reached
    return list(seen.values())


async def _view(tx: Tx, request: IdentityRequest, each: Assignment, with_names: bool) -> dict[str, Any]:
    user: dict[str, Any] = {"id": each.user_id}
    role: dict[str, Any] = {"id": each.role_id}
    target: dict[str, Any] = {"id": each.target_id}
    if with_names:
        found = await records.find(tx, users, User, "user", each.user_id)
        user.update(name=found.name, domain=await _domain_name(tx, found.domain_id))
        role["name"] = (await records.find(tx, roles, Role, "role", each.role_id)).name
        if each.target_kind == "project":
            project = await records.find(tx, projects, Project, "project", each.target_id)
            target.update(name=project.name, domain=await _domain_name(tx, project.domain_id))
        elif each.target_kind == "domain":
            target = await _domain_name(tx, each.target_id)
    scope = {"system": {"all": True}} if each.target_kind == "system" else {each.target_kind: target}
    grant = f"users/{each.user_id}/roles/{each.role_id}"
    place = "system" if each.target_kind == "system" else f"{each.target_kind}s/{each.target_id}"
    links = {"assignment": f"{request.base_url}/v3/{place}/{grant}"}
    return {"user": user, "role": role, "scope": scope, "links": links}


async def _domain_name(tx: Tx, domain_id: str) -> dict[str, Any]:
    try:
        domain = await records.find(tx, domains, Domain, "domain", domain_id)
    except ResourceNotFound:
        return {"id": domain_id}
    return {"id": domain.id, "name": domain.name}
