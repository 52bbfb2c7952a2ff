"""/v3/auth: authentication, validation and revocation of tokens, and what the caller's token reaches."""

from typing import Any

from kilonova.identity import assignments, catalog, domains, projects, tokens
from kilonova.identity.api.bodies import IdentityRequest
from kilonova.identity.api.domains import REACH_LISTS as DOMAIN_LISTS
from kilonova.identity.api.listing import paged, whole
from kilonova.identity.api.projects import REACH_LISTS as PROJECT_LISTS
from kilonova.identity.authentication import AuthBody, authenticate
from kilonova.identity.errors import AuthenticationFailed, ResourceNotFound
from kilonova.identity.scopes import choose_scope, usable_default
from kilonova.identity.service import Identity
from kilonova.identity.tokens import ValidToken
from kilonova.identity.views.records import domain_view, project_view
from kilonova.identity.views.tokens import token_view
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.routes import Reply


async def create_token(request: IdentityRequest, body: AuthBody) -> Reply:
    identity = request.service
    caller = await authenticate(identity, body.auth.identity, request.client_address)
    async with identity.database.reading() as tx:
        scope = await choose_scope(tx, caller.user, body.auth.scope)
        if not body.auth.scope:
            scope = await usable_default(tx, identity, caller.user, scope)
    token = tokens.seal(identity, caller.user.id, caller.methods, scope, caller.previous)
    # What was just sealed is validated like any other: no second set of rules for who gets a token.
    valid = await tokens.check(identity, token)
    if valid.user.password_hash != caller.user.password_hash:
        # It was changed after it was compared, and the token is too young for what that has ended.
        raise AuthenticationFailed
    document = token_view(valid, await _catalog(request, valid))
    return Reply(document, status=201, headers={"X-Subject-Token": token, "Vary": "X-Auth-Token"})


async def _catalog(request: IdentityRequest, valid: ValidToken) -> list[dict[str, Any]] | None:
    if "nocatalog" in request.query:
        return None
    project_id = valid.project.id if valid.project is not None else None
    entries = await request.service.catalogs.get("", catalog.load)
    return catalog.render(entries, user_id=valid.user.id, project_id=project_id)


async def show_token(request: IdentityRequest) -> Reply:
    """GET and HEAD /v3/auth/tokens: the token in X-Subject-Token."""
    subject = _subject(request)
    valid = await _check_subject(request.service, subject)
    request.authorize({"target.token.user_id": valid.user.id})
    document = token_view(valid, await _catalog(request, valid))
    return Reply(document, headers={"X-Subject-Token": subject, "Vary": "X-Auth-Token"})


async def revoke_token(request: IdentityRequest) -> None:
    identity = request.service
    valid = await _check_subject(identity, _subject(request))
    request.authorize({"target.token.user_id": valid.user.id})
    async with identity.database.transaction() as tx:
        await tokens.revoke(tx, identity, audit_id=valid.payload.audit_ids[0])


def _subject(request: IdentityRequest) -> str:
    subject = request.headers.get("x-subject-token")
    if not subject:
        raise BadRequest("The header X-Subject-Token must name the token that is meant.")
    return subject


async def _check_subject(identity: Identity, subject: str) -> ValidToken:
    try:
        return await tokens.check(identity, subject)
    except AuthenticationFailed as error:
        # The caller is known; it is the subject that is not there (Identity API v3: 404).
        raise ResourceNotFound("token", "the subject token") from error


async def show_catalog(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.database.reading() as tx:
        entries = await catalog.load(tx)
    ctx = request.ctx
    return whole(request, "catalog", catalog.render(entries, user_id=ctx.user_id, project_id=ctx.project_id))


async def list_projects_in_reach(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/auth/projects: the projects the caller can get a token for."""
    request.authorize()
    async with request.service.database.reading() as tx:
        page = PROJECT_LISTS.read(request)
        found = await projects.list_of_user(tx, request.service, request.ctx.user_id, page.selection)
    return paged(request, "projects", page, found, project_view)


async def list_domains_in_reach(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/auth/domains: the domains the caller can get a token for."""
    request.authorize()
    async with request.service.database.reading() as tx:
        page = DOMAIN_LISTS.read(request)
        found = await domains.list_in_reach(tx, request.service, request.ctx.user_id, page.selection)
    return paged(request, "domains", page, found, domain_view)


async def show_system_in_reach(request: IdentityRequest) -> dict[str, Any]:
    """GET /v3/auth/system."""
    request.authorize()
    async with request.service.database.reading() as tx:
        granted = await assignments.has_any_on(tx, request.service.directory, request.ctx.user_id, "system")
    return {"system": [{"all": True}] if granted else []}
