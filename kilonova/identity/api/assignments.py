"""Grants of roles on projects, domains and the system, and /v3/role_assignments."""

from typing import Any

from kilonova.identity import assignments, tokens
from kilonova.identity.api.bodies import IdentityRequest, flag, listing
from kilonova.identity.tables import Assignment, TargetKind
from kilonova.identity.views.assignments import assignment_view
from kilonova.identity.views.records import role_view
from kilonova.kit.db import Tx

QUERY: dict[str, str | None] = dict.fromkeys(
    "user.id role.id scope.project.id scope.domain.id scope.system effective include_names".split()
)


def _target(request: IdentityRequest) -> tuple[TargetKind, str]:
    return assignments.target_of(request.path.get("project_id"), request.path.get("domain_id"))


async def _assignment(tx: Tx, request: IdentityRequest) -> Assignment:
    return await assignments.settle(tx, request.path["user_id"], _target(request), request.path["role_id"])


async def create_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        assignment = await _assignment(tx, request)
        await assignments.grant(tx, assignment)
    await tokens.announce(request.service, {"user_id": assignment.user_id})


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
    await tokens.announce(request.service, {"user_id": assignment.user_id})


async def list_grants(request: IdentityRequest) -> dict[str, Any]:
    """The roles a user was given directly on one target."""
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await assignments.granted_roles(tx, request.path["user_id"], _target(request))
    return listing(request, "roles", [role_view(each, request.base_url) for each in found])


async def list_role_assignments(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/role_assignments with its filters; `effective` follows implied roles, `include_names` adds names."""
    request.authorize()
    query = request.query
    kind: TargetKind | None = None
    target_id: str | None = None
    if "scope.project.id" in query:
        kind, target_id = "project", query["scope.project.id"]
    elif "scope.domain.id" in query:
        kind, target_id = "domain", query["scope.domain.id"]
    elif "scope.system" in query:
        kind = "system"
    role_id = query.get("role.id")
    is_effective = flag(request, "effective") is True
    async with request.service.database.reading() as tx:
        found = await assignments.list_granted(
            tx,
            user_id=query.get("user.id"),
            role_id=None if is_effective else role_id,
            target_kind=kind,
            target_id=target_id,
        )
        if is_effective:
            found = [each for each in await assignments.list_effective(tx, found) if role_id in (None, each.role_id)]
        parts = await assignments.load_parts(tx, found) if flag(request, "include_names") is True else None
    shown = [assignment_view(each, request.base_url, parts) for each in found]
    return listing(request, "role_assignments", shown)
