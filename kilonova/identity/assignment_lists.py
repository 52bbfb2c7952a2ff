"""What /v3/role_assignments lists: who was given which role on what, or which role each user comes to have there."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Table, select

from kilonova.identity import records
from kilonova.identity.assignments import list_implied, with_implied
from kilonova.identity.directory import Directory
from kilonova.identity.tables import (
    NO_DOMAIN,
    Assignment,
    Domain,
    Group,
    GroupAssignment,
    Project,
    Role,
    TargetKind,
    User,
    assignments,
    domains,
    group_assignments,
    projects,
    roles,
)
from kilonova.kit.db import Tx


class Listed(Struct, frozen=True):
    """One line: a user's own role, a group's, or with both ids a user's through a group."""

    user_id: str | None
    group_id: str | None
    target_kind: TargetKind
    target_id: str
    role_id: str


class Wanted(Struct):
    """What to list; None asks for nothing."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    target_kind: TargetKind | None = None
    target_id: str | None = None
    within: frozenset[str] | None = None
    """Of targets: these only."""


class Parts(Struct):
    """What a list of assignments speaks of, each by its id."""

    users: Mapping[str, User]
    groups: Mapping[str, Group]
    roles: Mapping[str, Role]
    projects: Mapping[str, Project]
    domains: Mapping[str, Domain]


async def list_granted(tx: Tx, wanted: Wanted) -> list[Listed]:
    """Direct grants, as they were given."""
    own = await _of_users(tx, wanted) if wanted.group_id is None else []
    found = own + (await _of_groups(tx, wanted) if wanted.user_id is None else [])
    return [each for each in found if wanted.within is None or each.target_id in wanted.within]


async def _of_users(tx: Tx, wanted: Wanted) -> list[Listed]:
    statement = select(assignments).where(*_asked(assignments, wanted, user_id=wanted.user_id))
    found = await tx.all(Assignment, statement.order_by(*assignments.primary_key.columns))
    return [Listed(each.user_id, None, each.target_kind, each.target_id, each.role_id) for each in found]


async def _of_groups(tx: Tx, wanted: Wanted) -> list[Listed]:
    statement = select(group_assignments).where(*_asked(group_assignments, wanted, group_id=wanted.group_id))
    found = await tx.all(GroupAssignment, statement.order_by(*group_assignments.primary_key.columns))
    return [Listed(None, each.group_id, each.target_kind, each.target_id, each.role_id) for each in found]


def _asked(table: Table, wanted: Wanted, **actor: str | None) -> list[ColumnElement[bool]]:
    columns = {
        **actor,
        "role_id": wanted.role_id,
        "target_kind": wanted.target_kind,
        "target_id": wanted.target_id,
    }
    return [table.c[column] == value for column, value in columns.items() if value is not None]


async def list_effective(tx: Tx, directory: Directory, wanted: Wanted) -> list[Listed]:
    """What users come to have: through groups and implied roles too, each once. No domain's own roles."""
    any_role = replace(wanted, role_id=None)
    granted = [*await _of_users(tx, any_role), *await _of_groups(tx, any_role)]
    granted = [each for each in granted if wanted.within is None or each.target_id in wanted.within]
    members = await directory.members_by_group(tx, wanted.user_id)
    rules = await list_implied(tx)
    reached = {
        Listed(user_id, grant.group_id, grant.target_kind, grant.target_id, role_id): None
        for grant in granted
        for user_id in (members.get(grant.group_id, []) if grant.group_id is not None else [grant.user_id])
        for role_id in sorted(with_implied({grant.role_id}, rules))
    }
    of_domains = {role_id for (role_id,) in await tx.tuples(select(roles.c.id).where(roles.c.domain_id != NO_DOMAIN))}
    return [each for each in reached if wanted.role_id in (None, each.role_id) and each.role_id not in of_domains]


async def load_parts(tx: Tx, directory: Directory, listed: Sequence[Listed]) -> Parts:
    """Everything the lines speak of."""
    project_ids = [each.target_id for each in listed if each.target_kind == "project"]
    return Parts(
        await directory.users_by_id(tx, (each.user_id for each in listed)),
        await directory.groups_by_id(tx, (each.group_id for each in listed)),
        await records.find_all(tx, roles, Role, (each.role_id for each in listed)),
        await records.find_all(tx, projects, Project, project_ids),
        {each.id: each for each in await tx.all(Domain, select(domains))},
    )
