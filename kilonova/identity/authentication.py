"""Authentication: from the body of POST /v3/auth/tokens to a user, methods and a scope.

Methods served: `password` and `token`. Source: Identity API v3, "Authentication and token management".
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select

from kilonova.identity import tokens
from kilonova.identity.errors import AuthenticationFailed, InvalidReference
from kilonova.identity.passwords import verify_password
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, Project, User, domains, projects, users
from kilonova.identity.tokens import Payload, Scope
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest


class DomainRef(Struct):
    id: str | None = None
    name: str | None = None


class UserRef(Struct):
    password: Annotated[str, Meta(max_length=4096)]
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class PasswordMethod(Struct):
    user: UserRef


class TokenMethod(Struct):
    id: str


class IdentityPart(Struct):
    methods: list[str]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class ProjectRef(Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class SystemRef(Struct):
    all: bool


class ScopePart(Struct):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: SystemRef | None = None
    unscoped: dict[str, Any] | None = None


class AuthPart(Struct):
    identity: IdentityPart
    scope: ScopePart | Literal["unscoped"] | UnsetType = UNSET


class AuthBody(Struct):
    auth: AuthPart


class Authenticated(Struct):
    user: User
    methods: tuple[str, ...]
    previous: Payload | None
    """The token this one is got with, if any."""


async def authenticate(identity: Identity, part: IdentityPart) -> Authenticated:
    """Raises AuthenticationFailed without a cause, BadRequest for a body that cannot be meant."""
    if not part.methods:
        raise BadRequest("identity.methods must name at least one of: password, token.")
    user: User | None = None
    previous: Payload | None = None
    for method in part.methods:
        if method == "password":
            found = await _by_password(identity, part.password)
        elif method == "token":
            found, previous = await _by_token(identity, part.token)
        else:
            raise AuthenticationFailed
        if user is not None and user.id != found.id:
            raise AuthenticationFailed
        user = found
    if user is None:
        raise AuthenticationFailed
    return Authenticated(user, tuple(part.methods), previous)


async def _by_password(identity: Identity, method: PasswordMethod | None) -> User:
    if method is None:
        raise BadRequest("identity.password is required by the method password.")
    async with identity.database.reading() as tx:
        user = await _find_user(tx, method.user)
        domain = await tx.first(Domain, select(domains).where(domains.c.id == (user.domain_id if user else "")))
    matches = await verify_password(method.user.password, user.password_hash if user else None)
    if user is None or domain is None or not (matches and user.enabled and domain.enabled):
        raise AuthenticationFailed
    return user


async def _find_user(tx: Tx, wanted: UserRef) -> User | None:
    if wanted.id is not None:
        return await tx.first(User, select(users).where(users.c.id == wanted.id))
    if wanted.name is None or wanted.domain is None:
        raise BadRequest("identity.password.user needs an id, or a name and a domain.")
    domain_id = await _domain_id(tx, wanted.domain)
    statement = select(users).where(users.c.name == wanted.name, users.c.domain_id == domain_id)
    return await tx.first(User, statement)


async def _by_token(identity: Identity, method: TokenMethod | None) -> tuple[User, Payload]:
    if method is None:
        raise BadRequest("identity.token is required by the method token.")
    async with identity.database.reading() as tx:
        valid = await tokens.validate(tx, identity, method.id)
    return valid.user, valid.payload


async def choose_scope(tx: Tx, user: User, wanted: ScopePart | str | UnsetType) -> Scope:
    """The scope a token is to have. With none asked for, the user's default project if it can be used."""
    if isinstance(wanted, str) or (isinstance(wanted, ScopePart) and wanted.unscoped is not None):
        return Scope("unscoped")
    if isinstance(wanted, UnsetType):
        return Scope("project", user.default_project_id) if user.default_project_id else Scope("unscoped")
    given = [part for part in (wanted.project, wanted.domain, wanted.system) if part is not None]
    if len(given) != 1:
        raise BadRequest("scope must be exactly one of: project, domain, system, unscoped.")
    if wanted.project is not None:
        return Scope("project", await _project_id(tx, wanted.project))
    if wanted.domain is not None:
        return Scope("domain", await _domain_id(tx, wanted.domain))
    return Scope("system", "all")


async def _project_id(tx: Tx, wanted: ProjectRef) -> str:
    if wanted.id is not None:
        return wanted.id
    if wanted.name is None or wanted.domain is None:
        raise BadRequest("scope.project needs an id, or a name and a domain.")
    domain_id = await _domain_id(tx, wanted.domain)
    statement = select(projects).where(projects.c.name == wanted.name, projects.c.domain_id == domain_id)
    project = await tx.first(Project, statement)
    if project is None:
        raise AuthenticationFailed
    return project.id


async def _domain_id(tx: Tx, wanted: DomainRef) -> str:
    if wanted.id is not None:
        return wanted.id
    if wanted.name is None:
        raise InvalidReference("A domain is given by its id or its name.")
    domain = await tx.first(Domain, select(domains).where(domains.c.name == wanted.name))
    if domain is None:
        raise AuthenticationFailed
    return domain.id


async def usable_default(tx: Tx, identity: Identity, user: User, scope: Scope) -> Scope:
    """A default project the user has no role on, or that is gone, gives an unscoped token instead of a refusal."""
    from_default = scope.kind == "project" and scope.target_id == user.default_project_id
    if not from_default:
        return scope
    probe = tokens.seal(identity, user.id, ("password",), scope, None)
    try:
        await tokens.validate(tx, identity, probe)
    except AuthenticationFailed:
        return Scope("unscoped")
    return scope
