"""Projects: what owns servers, images and networks. A disabled or deleted one ends every token scoped to it."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import select

from kilonova.identity import assignments, domains, records, tokens
from kilonova.identity.errors import NotALeaf
from kilonova.identity.service import Identity
from kilonova.identity.tables import Project, projects
from kilonova.identity.tokens import RevocationEvent
from kilonova.kit.db import Tx


async def look_up(tx: Tx, project_id: str) -> Project | None:
    return await records.look_up(tx, projects, Project, project_id)


async def find(tx: Tx, project_id: str) -> Project:
    """Raises ResourceNotFound."""
    return await records.find(tx, projects, Project, "project", project_id)


class TagFilter(Struct):
    """A project matches when it has every tag of `every` and one of `any_of`, lacks one of `not_every` and every one
    of `none_of`. An empty set asks for nothing. Source: Identity API v3, "Project tags"."""

    every: frozenset[str] = frozenset()
    any_of: frozenset[str] = frozenset()
    not_every: frozenset[str] = frozenset()
    none_of: frozenset[str] = frozenset()

    def matches(self, tags: Iterable[str]) -> bool:
        found = frozenset(tags)
        return (
            self.every <= found
            and (not self.any_of or bool(self.any_of & found))
            and (not self.not_every or not self.not_every <= found)
            and not self.none_of & found
        )


async def list_matching(
    tx: Tx, filters: Mapping[str, Any], *, parent_id: str | None = None, tags: TagFilter | None = None
) -> list[Project]:
    """A project with no parent of its own has its domain as parent."""
    found = await records.list_equal(tx, projects, Project, filters)
    if parent_id is not None:
        found = [each for each in found if parent_of(each) == parent_id]
    if tags is not None:
        found = [each for each in found if tags.matches(each.tags)]
    return found


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
        statement = select(projects).where(projects.c.parent_id.in_(ids)).order_by(projects.c.name)
        level = await tx.all(Project, statement)
        found += level
        ids = [each.id for each in level]
    return found


async def add(tx: Tx, project: Project) -> None:
    """Raises InvalidReference for its domain, ResourceNotFound for its parent, NameTaken."""
    await domains.require(tx, project.domain_id)
    if project.parent_id not in (None, project.domain_id):
        await records.find(tx, projects, Project, "parent project", str(project.parent_id))
    await records.add(tx, projects, project, "project")


async def change(
    tx: Tx, identity: Identity, project: Project, values: Mapping[str, Any], extra: Mapping[str, Any]
) -> tuple[Project, RevocationEvent | None]:
    """The changed project, and the event to announce when disabling it ended tokens. Raises NameTaken."""
    changed = await records.change(
        tx, projects, Project, "project", project, records.with_extra(project.extra, values, extra)
    )
    if values.get("enabled") is False:
        return changed, await tokens.revoke(tx, identity, project_id=project.id)
    return changed, None


async def remove(tx: Tx, identity: Identity, project: Project) -> RevocationEvent:
    """Raises Immutable, and NotALeaf while other projects lie in it."""
    records.refuse_immutable(project, "project")
    children = await records.list_equal(tx, projects, Project, {"parent_id": project.id})
    if children:
        raise NotALeaf(f"Project {project.id} has {len(children)} projects in it; delete them first.")
    event = await tokens.revoke(tx, identity, project_id=project.id)
    await assignments.withdraw_all_on(tx, "project", project.id)
    await records.remove(tx, projects, project.id)
    return event
