"""Role assignments, and the roles they come to once implied roles are followed."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from sqlalchemy import ColumnElement, delete, select

from kilonova.identity import records
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import (
    SYSTEM_TARGET_ID,
    Assignment,
    Domain,
    ImpliedRole,
    Project,
    Role,
    TargetKind,
    User,
    assignments,
    domains,
    implied_roles,
    projects,
    roles,
    users,
)
from kilonova.kit.db import Tx


class Parts(Struct):
    """What a list of assignments speaks of, each by its id."""

    users: Mapping[str, User]
    roles: Mapping[str, Role]
    projects: Mapping[str, Project]
    domains: Mapping[str, Domain]


def target_of(project_id: str | None, domain_id: str | None) -> tuple[TargetKind, str]:
    """With neither, the system."""
    if project_id is not None:
        return "project", project_id
    if domain_id is not None:
        return "domain", domain_id
    return "system", SYSTEM_TARGET_ID


async def settle(tx: Tx, user_id: str, target: tuple[TargetKind, str], role_id: str) -> Assignment:
    """The assignment, all of whose parts exist. Raises ResourceNotFound naming the one that does not."""
    kind, target_id = target
    user = await records.find(tx, users, User, "user", user_id)
    role = await records.find(tx, roles, Role, "role", role_id)
    if kind == "project":
        await records.find(tx, projects, Project, "project", target_id)
    elif kind == "domain":
        await records.find(tx, domains, Domain, "domain", target_id)
    return Assignment(user.id, kind, target_id, role.id)


async def grant(tx: Tx, assignment: Assignment) -> None:
    """Safe to repeat."""
    await tx.insert_new(assignments, assignment)


async def withdraw(tx: Tx, assignment: Assignment) -> None:
    """Raises ResourceNotFound when it was never granted."""
    changed = await tx.execute(delete(assignments).where(*_same(assignment)))
    if not changed:
        raise ResourceNotFound("role assignment with role", assignment.role_id)


async def withdraw_all_on(tx: Tx, target_kind: TargetKind, target_id: str) -> None:
    """Every grant on a target that is about to go."""
    table = assignments.c
    await tx.execute(delete(assignments).where(table.target_kind == target_kind, table.target_id == target_id))


async def check(tx: Tx, assignment: Assignment) -> None:
    """Raises ResourceNotFound unless granted directly."""
    if await tx.first(Assignment, select(assignments).where(*_same(assignment))) is None:
        raise ResourceNotFound("role assignment with role", assignment.role_id)


async def list_granted(
    tx: Tx,
    *,
    user_id: str | None = None,
    role_id: str | None = None,
    target_kind: TargetKind | None = None,
    target_id: str | None = None,
) -> list[Assignment]:
    """Direct grants that match every given value."""
    statement = select(assignments).order_by(*assignments.primary_key.columns)
    wanted = {"user_id": user_id, "role_id": role_id, "target_kind": target_kind, "target_id": target_id}
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(assignments.c[column] == value)
    return await tx.all(Assignment, statement)


async def granted_roles(tx: Tx, user_id: str, target: tuple[TargetKind, str]) -> list[Role]:
    """The roles a user was given directly on one target. Raises ResourceNotFound for the user."""
    user = await records.find(tx, users, User, "user", user_id)
    granted = await list_granted(tx, user_id=user.id, target_kind=target[0], target_id=target[1])
    ids = {each.role_id for each in granted}
    return await tx.all(Role, select(roles).where(roles.c.id.in_(ids)).order_by(roles.c.id))


async def list_effective(tx: Tx, granted: Iterable[Assignment]) -> list[Assignment]:
    """The grants and what they imply, each once."""
    rules = await list_implied(tx)
    reached = {
        Assignment(each.user_id, each.target_kind, each.target_id, role_id): None
        for each in granted
        for role_id in sorted(with_implied({each.role_id}, rules))
    }
    return list(reached)


async def load_parts(tx: Tx, granted: Iterable[Assignment]) -> Parts:
    """Everything the grants speak of, in four queries however many they are."""
    granted = list(granted)
    known_users = await tx.all(User, select(users).where(users.c.id.in_({each.user_id for each in granted})))
    known_roles = await tx.all(Role, select(roles).where(roles.c.id.in_({each.role_id for each in granted})))
    project_ids = {each.target_id for each in granted if each.target_kind == "project"}
    known_projects = await tx.all(Project, select(projects).where(projects.c.id.in_(project_ids)))
    known_domains = await tx.all(Domain, select(domains))
    return Parts(
        {each.id: each for each in known_users},
        {each.id: each for each in known_roles},
        {each.id: each for each in known_projects},
        {each.id: each for each in known_domains},
    )


async def effective_roles(tx: Tx, user_id: str, target_kind: str, target_id: str) -> list[Role]:
    """The roles a user has on a target, implied ones included, by name."""
    granted = select(assignments.c.role_id).where(
        assignments.c.user_id == user_id,
        assignments.c.target_kind == target_kind,
        assignments.c.target_id == (target_id if target_kind != "system" else SYSTEM_TARGET_ID),
    )
    role_ids = with_implied({row[0] for row in await tx.tuples(granted)}, await list_implied(tx))
    return await tx.all(Role, select(roles).where(roles.c.id.in_(role_ids)).order_by(roles.c.name))


async def list_implied(tx: Tx) -> list[ImpliedRole]:
    return await tx.all(ImpliedRole, select(implied_roles))


def with_implied(role_ids: set[str], rules: list[ImpliedRole]) -> set[str]:
    """`role_ids` and all they imply, however long the chain; a circle ends."""
    found = set(role_ids)
    waiting = list(role_ids)
    while waiting:
        prior = waiting.pop()
        for rule in rules:
            if rule.prior_role_id == prior and rule.implied_role_id not in found:
                found.add(rule.implied_role_id)
                waiting.append(rule.implied_role_id)
    return found


async def projects_of(tx: Tx, user_id: str) -> list[Project]:
    """Enabled projects on which the user has any role."""
    mine = select(assignments.c.target_id).where(
        assignments.c.user_id == user_id, assignments.c.target_kind == "project"
    )
    statement = select(projects).where(projects.c.id.in_(mine), projects.c.enabled).order_by(projects.c.name)
    return await tx.all(Project, statement)


def _same(assignment: Assignment) -> tuple[ColumnElement[bool], ...]:
    table = assignments.c
    return (
        table.user_id == assignment.user_id,
        table.target_kind == assignment.target_kind,
        table.target_id == assignment.target_id,
        table.role_id == assignment.role_id,
    )
