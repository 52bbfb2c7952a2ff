"""Role assignments, and the roles they come to once implied roles are followed."""

from sqlalchemy import ColumnElement, delete, select

from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import (
    Assignment,
    ImpliedRole,
    Project,
    Role,
    TargetKind,
    assignments,
    implied_roles,
    projects,
    roles,
)
from kilonova.kit.db import Tx


async def grant(tx: Tx, assignment: Assignment) -> None:
    """Safe to repeat."""
    await tx.insert_new(assignments, assignment)


async def withdraw(tx: Tx, assignment: Assignment) -> None:
    """Raises ResourceNotFound when it was never granted."""
    changed = await tx.execute(delete(assignments).where(*_same(assignment)))
    if not changed:
        raise ResourceNotFound("role assignment with role", assignment.role_id)


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


async def effective_roles(tx: Tx, user_id: str, target_kind: str, target_id: str) -> list[Role]:
    """The roles a user has on a target, implied ones included, by name."""
    granted = select(assignments.c.role_id).where(
        assignments.c.user_id == user_id,
        assignments.c.target_kind == target_kind,
        assignments.c.target_id == (target_id if target_kind != "system" else "system"),
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
