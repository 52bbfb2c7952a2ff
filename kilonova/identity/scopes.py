"""The scope of a token: what its holder can do something to.

Source: Identity API v3, "Authentication and token management".
"""

from typing import Annotated, Any, Literal

from msgspec import Struct, UnsetType

from kilonova.identity import records, tokens
from kilonova.identity.errors import AuthenticationFailed, InvalidReference
from kilonova.identity.service import Identity
from kilonova.identity.tables import Domain, Project, User, domains, projects
from kilonova.identity.tokens import Scope
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import FREE, Id, Name


class DomainRef(Struct):
    id: Id | None = None
    name: Name | None = None


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


Wanted = ScopePart | Literal["unscoped"] | UnsetType


async def choose_scope(tx: Tx, user: User, wanted: Wanted) -> Scope:
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
    found = await find_domain_id(tx, wanted)
    if found is None:
        raise AuthenticationFailed
    return found


async def find_domain_id(tx: Tx, wanted: DomainRef) -> str | None:
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
