"""Authentication: from the body of POST /v3/auth/tokens to a user, methods and a scope.

Methods served: `password` and `token`. Source: Identity API v3, "Authentication and token management".
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import checking, factors, records, tokens
from kilonova.identity.checking import Claim
from kilonova.identity.errors import AuthenticationFailed, InvalidReference
from kilonova.identity.log_ins import account_of_names
from kilonova.identity.passwords import MAX_LENGTH
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, Project, User, domains, projects, users
from kilonova.identity.tokens import Payload, Scope
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import FREE, Id, Name

MethodName = Annotated[str, Meta(max_length=64)]
MOST_METHODS = 16
TokenText = Annotated[str, Meta(max_length=4096)]


class DomainRef(Struct):
    id: Id | None = None
    name: Name | None = None


class UserRef(Struct):
    password: Annotated[str, Meta(max_length=MAX_LENGTH)]
    id: Id | None = None
    name: Name | None = None
    domain: DomainRef | None = None


class PasswordMethod(Struct):
    user: UserRef


class TokenMethod(Struct):
    id: TokenText


class IdentityPart(Struct):
    methods: Annotated[list[MethodName], Meta(max_length=MOST_METHODS)]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class ProjectRef(Struct):
    id: Id | None = None
    name: Name | None = None
    domain: DomainRef | None = None


class SystemRef(Struct):
    all: bool


class ScopePart(Struct):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: SystemRef | None = None
    unscoped: Annotated[dict[str, Any], FREE] | None = None


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


async def authenticate(identity: Identity, part: IdentityPart, address: str) -> Authenticated:
    """`address` is where the caller is. Raises AuthenticationFailed without a cause, BadRequest for a body that cannot
    be meant, TooManyLogIns."""
    if not part.methods:
        raise BadRequest("identity.methods must name at least one of: password, token.")
    user: User | None = None
    previous: Payload | None = None
    # One named twice is carried out once: hashing a password costs a core's time.
    methods = tuple(dict.fromkeys(part.methods))
    for method in methods:
        if method == "password":
            found = await _by_password(identity, part.password, address)
        elif method == "token":
            found, previous = await _by_token(identity, part.token)
        else:
            raise AuthenticationFailed
        if user is not None and user.id != found.id:
            raise AuthenticationFailed
        user = found
    if user is None or not factors.are_enough(user, (*methods, *(previous.methods if previous else ()))):
        raise AuthenticationFailed
    return Authenticated(user, methods, previous)


async def _by_password(identity: Identity, method: PasswordMethod | None, address: str) -> User:
    if method is None:
        raise BadRequest("identity.password is required by the method password.")
    return await checking.check(identity, _claim(method.user, address))


def _claim(wanted: UserRef, address: str) -> Claim:
    """Raises BadRequest."""
    if wanted.id is not None:
        return checking.claim_of_id(wanted.id, wanted.password, address)
    name, domain = wanted.name, wanted.domain
    if name is None or domain is None or (domain.id is None and domain.name is None):
        raise BadRequest("identity.password.user needs an id, or a name and a domain.")

    async def find(tx: Tx) -> User | None:
        domain_id = await _find_domain_id(tx, domain)
        # Without such a domain as well: the answer takes as long.
        return await records.find_named(tx, users, User, name, domain_id or "")

    return Claim(find, account_of_names(domain.id or domain.name or "", name), wanted.password, address)


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
    project = await records.find_named(tx, projects, Project, wanted.name, domain_id)
    if project is None:
        raise AuthenticationFailed
    return project.id


async def _domain_id(tx: Tx, wanted: DomainRef) -> str:
    found = await _find_domain_id(tx, wanted)
    if found is None:
        raise AuthenticationFailed
    return found


async def _find_domain_id(tx: Tx, wanted: DomainRef) -> str | None:
    """One that is given by its id need not exist; None for a name that no domain has. Raises InvalidReference."""
    if wanted.id is not None:
        return wanted.id
    if wanted.name is None:
        raise InvalidReference("A domain is given by its id or its name.")
    domain = await records.find_named(tx, domains, Domain, wanted.name)
    return None if domain is None else domain.id


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
