"""Projects: what owns servers, images and networks. A disabled or deleted one ends every token scoped to it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, func, not_, or_, select

from kilonova.identity import assignments, domains, lists, records, tokens
from kilonova.identity.errors import InvalidReference, NotALeaf
from kilonova.identity.lists import Listing, Page
from kilonova.identity.service import Identity
from kilonova.identity.tables import Project, projects
from kilonova.kit.db import Tx
from kilonova.kit.db.expressions import has_text
from kilonova.kit.errors import Forbidden

MOST_LEVELS = 5
"""Of projects in one another: upstream's limit."""


async def look_up(tx: Tx, project_id: str) -> Project | None:
    return await records.look_up(tx, projects, Project, project_id)


async def find(tx: Tx, project_id: str) -> Project:
    """Raises ResourceNotFound."""
    return await records.find(tx, projects, Project, "project", project_id)


class TagFilter(Struct):
    """A project matches when it has every tag of `every` and one of `any_of`, lacks one of `not_every` and every one
    of `none_of`. An empty set asks for nothing. Source: Identity API v3, "Project tags"."""

    every: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    not_every: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """What the database is asked for."""

        def has(tags: tuple[str, ...]) -> list[ColumnElement[bool]]:
            return [has_text(projects.c.tags, tag) for tag in tags]

        found = has(self.every)
        if self.any_of:
            found.append(or_(*has(self.any_of)))
        if self.not_every:
            found.append(not_(and_(*has(self.not_every))))
        if self.none_of:
            found.append(not_(or_(*has(self.none_of))))
        return found


async def list_matching(tx: Tx, listing: Listing, *, parent_id: str | None = None, tags: TagFilter) -> Page[Project]:
    """A project with no parent of its own has its domain as parent. Raises BadRequest for a marker that is none."""
    conditions = tags.conditions()
    if parent_id is not None:
        conditions.append(func.coalesce(projects.c.parent_id, projects.c.domain_id) == parent_id)
    return await lists.page(tx, projects, Project, listing, *conditions)


async def list_of_user(tx: Tx, identity: Identity, user_id: str, listing: Listing) -> Page[Project]:
    """Enabled projects on which the user has any role, by name where nothing else is asked for. Raises BadRequest for a
    marker that is none."""
    mine = await assignments.targets_of(tx, identity.directory, user_id, "project")
    if listing.sorts == Listing().sorts:
        listing.sorts = (("name", "asc"), *listing.sorts)
    return await lists.page(tx, projects, Project, listing, projects.c.id.in_(mine), projects.c.enabled)


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
