"""Role assignments, and the roles they come to once implied roles are followed."""

from typing import Literal

from msgspec import Struct
from sqlalchemy import Column, ColumnElement, CompoundSelect, Select, Table, bindparam, delete, select, union

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
        await tx.remove(table, target_kind=target_kind, target_id=target_id)


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
    target = {"kind": target_kind, "target_id": target_id if target_kind != "system" else SYSTEM_TARGET_ID}
    granted = await tx.tuples(_OF_USER, actors=[user_id], **target)
    if group_ids := await directory.group_ids_of_user(tx, user_id):
        granted += await tx.tuples(_OF_GROUPS, actors=group_ids, **target)
    reached = with_implied({role_id for (role_id,) in granted}, await list_implied(tx))
    return await tx.all(Role, _ROLES, ids=sorted(reached))


def _granted(table: Table, actor: Column[str]) -> Select[str]:
    """Selects the roles that actors are given on a target."""
    of_actors = actor.in_(bindparam("actors", expanding=True))
    on_target = (table.c.target_kind == bindparam("kind")) & (table.c.target_id == bindparam("target_id"))
    return select(table.c.role_id).where(of_actors, on_target)


_OF_USER = _granted(assignments, assignments.c.user_id)
_OF_GROUPS = _granted(group_assignments, group_assignments.c.group_id)
_ROLES = (
    select(roles)
    .where(roles.c.id.in_(bindparam("ids", expanding=True)), roles.c.domain_id == NO_DOMAIN)
    .order_by(roles.c.name)
)
_IMPLIED = select(implied_roles)


async def targets_of(
    tx: Tx, directory: Directory, user_id: str, target_kind: TargetKind
) -> Select[str] | CompoundSelect[str]:
    """Selects the ids of the targets on which a user has any role, also through a group."""
    own = select(assignments.c.target_id).where(
        assignments.c.user_id == user_id, assignments.c.target_kind == target_kind
    )
    group_ids = await directory.group_ids_of_user(tx, user_id)
    if not group_ids:
        return own
    return union(
        own,
        select(group_assignments.c.target_id).where(
            group_assignments.c.group_id.in_(group_ids), group_assignments.c.target_kind == target_kind
        ),
    )


async def has_any_on(tx: Tx, directory: Directory, user_id: str, target_kind: TargetKind) -> bool:
    """Whether the user has a role on any such target."""
    targets = await targets_of(tx, directory, user_id, target_kind)
    return bool(await tx.tuples(targets.limit(1)))


async def list_implied(tx: Tx) -> list[ImpliedRole]:
    return await tx.all(ImpliedRole, _IMPLIED)


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
