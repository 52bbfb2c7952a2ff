"""Projects: what owns servers, images and networks. A disabled or deleted one ends every token scoped to it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import func, select

from kilonova.identity import assignments, domains, records, tokens
from kilonova.identity.errors import InvalidReference, NotALeaf
from kilonova.identity.service import Identity
from kilonova.identity.tables import Project, projects
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import Meanings, Selection, compared
from kilonova.kit.errors import Forbidden

MOST_LEVELS = 5
"""Of projects in one another: upstream's limit."""


async def look_up(tx: Tx, project_id: str) -> Project | None:
    return await records.look_up(tx, projects, Project, project_id)


async def find(tx: Tx, project_id: str) -> Project:
    """Raises ResourceNotFound."""
    return await records.find(tx, projects, Project, "project", project_id)


async def list_matching(tx: Tx, selection: Selection) -> list[Project]:
    """A project with no parent of its own has its domain as parent. Raises BadRequest for a marker that is none."""
    parent = func.coalesce(projects.c.parent_id, projects.c.domain_id)
    meanings: Meanings = {"parent_id": partial(compared, parent)}
    return await records.list_where(tx, projects, Project, selection, meanings=meanings)


async def list_of_user(tx: Tx, identity: Identity, user_id: str, selection: Selection) -> list[Project]:
    """Enabled projects on which the user has any role. Raises BadRequest for a marker that is none."""
    mine = await assignments.targets_of(tx, identity.directory, user_id, "project")
    return await records.list_where(
        tx,
        projects,
        Project,
        selection,
        (
            projects.c.id.in_(mine),
            projects.c.enabled,
        ),
    )


def parent_of(project: Project) -> str:
    return project.parent_id or project.domain_id


async def ancestors(tx: Tx, project: Project) -> list[Project]:
    """The projects it lies in, the nearest first."""
    found: list[Project] = []
    parent_id = project.parent_id
    while parent_id is not None and (parent := await look_up(tx, parent_id)) is not None:
        found.append(parent)
        parent_id = parent.parent_id
    return found


async def descendants(tx: Tx, project: Project) -> list[Project]:
    """The projects that lie in it, at any depth, parents before their children."""
    found: list[Project] = []
    ids = [project.id]
    while ids:
        level: list[Project] = []
        for start in range(0, len(ids), records.MOST_IDS):
            within = projects.c.parent_id.in_(ids[start : start + records.MOST_IDS])
            level += await tx.all(Project, select(projects).where(within).order_by(projects.c.name))
        found += level
        ids = [each.id for each in level]
    return found


async def add(tx: Tx, project: Project) -> None:
    """Raises InvalidReference for its domain, or a parent in another one; ResourceNotFound for its parent; Forbidden
    where nothing may lie; NameTaken."""
    await domains.require(tx, project.domain_id)
    if project.parent_id not in (None, project.domain_id):
        parent = await records.find(tx, projects, Project, "parent project", str(project.parent_id))
        if parent.domain_id != project.domain_id:
            raise InvalidReference(f"Project {parent.id} is in another domain, {parent.domain_id}.")
        above = [parent, *await ancestors(tx, parent)]
        if len(above) >= MOST_LEVELS:
            raise Forbidden(f"Projects lie in one another up to {MOST_LEVELS} levels deep, not deeper.")
        if disabled := [each for each in above if not each.enabled]:
            raise Forbidden(f"Project {disabled[0].id} is disabled: no project can be made in it.")
    await records.add(tx, projects, project, "project")


async def change(
    tx: Tx, identity: Identity, project: Project, values: Mapping[str, Any], extra: Mapping[str, Any]
) -> Project:
    """Returns the changed project; disabling it ends its tokens. Raises NameTaken, and Forbidden to
    leave an enabled project in a disabled one."""
    if "enabled" in values and values["enabled"] is not project.enabled:
        await _refuse_enabled_in_disabled(tx, project, enabled=values["enabled"])
    changed = await records.change(
        tx, projects, Project, "project", project, records.with_extra(project.extra, values, extra)
    )
    if values.get("enabled") is False:
        await tokens.revoke(tx, identity, project_id=project.id)
    return changed


async def _refuse_enabled_in_disabled(tx: Tx, project: Project, *, enabled: bool) -> None:
    around = await ancestors(tx, project) if enabled else await descendants(tx, project)
    others = [each.id for each in around if each.enabled is not enabled]
    if others and enabled:
        raise Forbidden(f"Project {project.id} lies in {others[0]}, which is disabled: enable that one first.")
    if others:
        raise Forbidden(f"In project {project.id} lies {others[0]}, which is enabled: disable that one first.")


async def remove(tx: Tx, identity: Identity, project: Project) -> None:
    """Raises Immutable, and NotALeaf while other projects lie in it."""
    records.refuse_immutable(project, "project")
    children = await records.list_equal(tx, projects, Project, {"parent_id": project.id})
    if children:
        raise NotALeaf(f"Project {project.id} has {len(children)} projects in it; delete them first.")
    await tokens.revoke(tx, identity, project_id=project.id)
    await assignments.withdraw_all_on(tx, "project", project.id)
    await identity.directory.forget_project(tx, project.id)
    await records.remove(tx, projects, project.id)
