"""Role assignments, and the roles they come to once implied roles are followed."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, CompoundSelect, Select, Table, delete, select, union

from kilonova.identity import records
from kilonova.identity.announcements import announce
from kilonova.identity.directory import Directory
from kilonova.identity.errors import ResourceNotFound
from kilonova.identity.tables import (
    NO_DOMAIN,
    SYSTEM_TARGET_ID,
    Assignment,
    Domain,
    GroupAssignment,
    ImpliedRole,
    Project,
    Role,
    TargetKind,
    assignments,
    domains,
    group_assignments,
    implied_roles,
    projects,
    roles,
)
from kilonova.kit.db import Tx

Grant = Assignment | GroupAssignment
Granted = Select[str] | CompoundSelect[str]


class Actor(Struct, frozen=True):
    """Who is given a role."""

    kind: Literal["user", "group"]
    id: str


def target_of(project_id: str | None, domain_id: str | None) -> tuple[TargetKind, str]:
    """With neither, the system."""
    if project_id is not None:
        return "project", project_id
    if domain_id is not None:
        return "domain", domain_id
    return "system", SYSTEM_TARGET_ID


async def settle(tx: Tx, directory: Directory, actor: Actor, target: tuple[TargetKind, str], role_id: str) -> Grant:
    """The assignment, all of whose parts exist. Raises ResourceNotFound naming the one that does not."""
    kind, target_id = target
    await _require_actor(tx, directory, actor)
    role = await records.find(tx, roles, Role, "role", role_id)
    if kind == "project":
        await records.find(tx, projects, Project, "project", target_id)
    elif kind == "domain":
        await records.find(tx, domains, Domain, "domain", target_id)
    made: Grant = (Assignment if actor.kind == "user" else GroupAssignment)(actor.id, kind, target_id, role.id)
    return made


async def _require_actor(tx: Tx, directory: Directory, actor: Actor) -> None:
    find = directory.find_user if actor.kind == "user" else directory.find_group
    if await find(tx, actor.id) is None:
        raise ResourceNotFound(actor.kind, actor.id)


async def grant(tx: Tx, assignment: Grant) -> None:
    """Safe to repeat."""
    await tx.insert_new(_table(assignment), assignment)
    _announce(tx, assignment)


async def withdraw(tx: Tx, assignment: Grant) -> None:
    """Raises ResourceNotFound when it was never granted."""
    changed = await tx.execute(delete(_table(assignment)).where(*_same(assignment)))
    if not changed:
        raise ResourceNotFound("role assignment with role", assignment.role_id)
    _announce(tx, assignment)


def _announce(tx: Tx, assignment: Grant) -> None:
    """For the user's tokens, or for everybody's where a group's members are meant: roles are looked up at each
    validation."""
    announce(tx, user_id=assignment.user_id if isinstance(assignment, Assignment) else None)


async def withdraw_all_on(tx: Tx, target_kind: TargetKind, target_id: str) -> None:
    """Every grant on a target that is about to go."""
    for table in (assignments, group_assignments):
        await tx.execute(delete(table).where(table.c.target_kind == target_kind, table.c.target_id == target_id))


async def check(tx: Tx, assignment: Grant) -> None:
    """Raises ResourceNotFound unless granted directly."""
    table = _table(assignment)
    if await tx.first(type(assignment), select(table).where(*_same(assignment))) is None:
        raise ResourceNotFound("role assignment with role", assignment.role_id)


async def granted_roles(tx: Tx, directory: Directory, actor: Actor, target: tuple[TargetKind, str]) -> list[Role]:
    """The roles a user or group was given directly on one target. Raises ResourceNotFound for the actor."""
    await _require_actor(tx, directory, actor)
    table = assignments if actor.kind == "user" else group_assignments
    own = table.c.user_id if actor.kind == "user" else table.c.group_id
    ids = select(table.c.role_id).where(
        own == actor.id, table.c.target_kind == target[0], table.c.target_id == target[1]
    )
    return await tx.all(Role, select(roles).where(roles.c.id.in_(ids)).order_by(roles.c.id))


async def effective_roles(tx: Tx, directory: Directory, user_id: str, target_kind: str, target_id: str) -> list[Role]:
    """The roles a user has on a target, those of groups and implied ones included, by name.

    A domain's own role counts for what it implies only.
    """
    target_id = target_id if target_kind != "system" else SYSTEM_TARGET_ID
    granted = await _granted(tx, directory, user_id, "role_id", target_kind=target_kind, target_id=target_id)
    role_ids = {found for (found,) in await tx.tuples(granted)}
    reached = with_implied(role_ids, await list_implied(tx))
    statement = select(roles).where(roles.c.id.in_(reached), roles.c.domain_id == NO_DOMAIN)
    return await tx.all(Role, statement.order_by(roles.c.name))


async def _granted(tx: Tx, directory: Directory, user_id: str, column: str, **target: str) -> Granted:
    """Selects a column of what is granted on a target to the user, and to the groups the user is in."""
    own = _column_of(assignments, column, target).where(assignments.c.user_id == user_id)
    group_ids = await directory.group_ids_of_user(tx, user_id)
    if not group_ids:
        return own
    return union(own, _column_of(group_assignments, column, target).where(group_assignments.c.group_id.in_(group_ids)))


def _column_of(table: Table, column: str, target: Mapping[str, str]) -> Select[str]:
    return select(table.c[column]).where(*(table.c[name] == value for name, value in target.items()))


async def targets_of(tx: Tx, directory: Directory, user_id: str, target_kind: TargetKind) -> Granted:
    """Selects the ids of the targets on which a user has any role, also through a group."""
    return await _granted(tx, directory, user_id, "target_id", target_kind=target_kind)


async def has_any_on(tx: Tx, directory: Directory, user_id: str, target_kind: TargetKind) -> bool:
    """Whether the user has a role on any such target."""
    targets = await targets_of(tx, directory, user_id, target_kind)
    return bool(await tx.tuples(targets.limit(1)))


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


def _table(assignment: Grant) -> Table:
    return assignments if isinstance(assignment, Assignment) else group_assignments


def _same(assignment: Grant) -> list[ColumnElement[bool]]:
    table = _table(assignment).c
    return [table[name] == getattr(assignment, name) for name in assignment.__struct_fields__]
