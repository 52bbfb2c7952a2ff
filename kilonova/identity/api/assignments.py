"""Grants of roles on projects, domains and the system, and /v3/role_assignments."""

from typing import Any

from kilonova.identity import assignment_lists, assignments, projects
from kilonova.identity.api.bodies import IdentityRequest, flag
from kilonova.identity.api.listing import UNPAGED, paged, whole
from kilonova.identity.assignment_lists import Wanted
from kilonova.identity.assignments import Actor, Grant
from kilonova.identity.tables import TargetKind
from kilonova.identity.views.assignments import assignment_view
from kilonova.identity.views.records import role_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Listing

INHERITED = "scope.OS-INHERIT:inherited_to"
SCOPES = ("scope.project.id", "scope.domain.id", "scope.system")
LISTING = Listing(
    dialect=UNPAGED,
    others=dict.fromkeys(
        ("user.id", "group.id", "role.id", *SCOPES, INHERITED, "include_subtree", "effective", "include_names")
    ),
)


def _target(request: IdentityRequest) -> tuple[TargetKind, str]:
    return assignments.target_of(request.path.get("project_id"), request.path.get("domain_id"))


def _actor(request: IdentityRequest) -> Actor:
    user_id = request.path.get("user_id")
    return Actor("user", user_id) if user_id is not None else Actor("group", request.path["group_id"])


async def _assignment(tx: Tx, request: IdentityRequest) -> Grant:
    return await assignments.settle(
        tx, request.service.directory, _actor(request), _target(request), request.path["role_id"]
    )


async def create_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await assignments.grant(tx, await _assignment(tx, request))


async def check_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.reading() as tx:
        await assignments.check(tx, await _assignment(tx, request))


async def revoke_grant(request: IdentityRequest) -> None:
    request.authorize()
    async with request.service.database.transaction() as tx:
        await assignments.withdraw(tx, await _assignment(tx, request))


async def list_grants(request: IdentityRequest) -> dict[str, Any]:
    """The roles a user or group was given directly on one target."""
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await assignments.granted_roles(tx, request.service.directory, _actor(request), _target(request))
    return whole(request, "roles", [role_view(each, request.base_url) for each in found])


async def list_role_assignments(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/role_assignments with its filters; `effective` follows groups and implied roles, `include_names` adds
    names, `include_subtree` the projects that lie in the one asked for."""
    request.authorize()
    page = LISTING.read(request)
    wanted = _wanted(request)
    is_effective = flag(request, "effective") is True
    if wanted.group_id is not None and (is_effective or wanted.user_id is not None):
        raise BadRequest("group.id goes neither with user.id nor with effective, which tells of users.")
    async with request.service.database.reading() as tx:
        if flag(request, "include_subtree") is True:
            await _widen(tx, wanted)
        directory = request.service.directory
        if is_effective:
            found = await assignment_lists.list_effective(tx, directory, wanted)
        else:
            found = await assignment_lists.list_granted(tx, wanted)
        is_named = flag(request, "include_names") is True
        parts = await assignment_lists.load_parts(tx, directory, found) if is_named else None
    # No role is inherited by projects: there is none to list.
    shown = [] if INHERITED in request.query else found
    return paged(request, "role_assignments", page, shown, lambda each, url: assignment_view(each, url, parts))


async def _widen(tx: Tx, wanted: Wanted) -> None:
    """Raises BadRequest without a project, ResourceNotFound."""
    if wanted.target_kind != "project" or wanted.target_id is None:
        raise BadRequest("include_subtree needs scope.project.id: the project at the top of it.")
    top = await projects.find(tx, wanted.target_id)
    wanted.within = frozenset({top.id, *(each.id for each in await projects.descendants(tx, top))})
    wanted.target_id = None


def _wanted(request: IdentityRequest) -> Wanted:
    query = request.query
    if len([name for name in SCOPES if name in query]) > 1:
        raise BadRequest(f"Assignments are listed for one scope: {', '.join(SCOPES)}.")
    wanted = Wanted(user_id=query.get("user.id"), group_id=query.get("group.id"), role_id=query.get("role.id"))
    if "scope.project.id" in query:
        wanted.target_kind, wanted.target_id = "project", query["scope.project.id"]
    elif "scope.domain.id" in query:
        wanted.target_kind, wanted.target_id = "domain", query["scope.domain.id"]
    elif "scope.system" in query:
        wanted.target_kind = "system"
    return wanted
