"""/v3/projects."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import projects, records, tokens
from kilonova.identity.api.bodies import IdentityRequest, flag, given, listing, read_fields
from kilonova.identity.errors import InvalidReference, ResourceNotFound
from kilonova.identity.projects import TagFilter
from kilonova.identity.tables import Project
from kilonova.identity.views.records import project_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import Forbidden

ProjectName = Annotated[str, Meta(min_length=1, max_length=64)]


class NewProject(Struct):
    name: ProjectName
    domain_id: str | None = None
    parent_id: str | None = None
    description: str | None = ""
    enabled: bool = True
    is_domain: bool = False
    tags: list[str] = []


class ChangedProject(Struct):
    name: ProjectName | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    domain_id: str | UnsetType = UNSET
    parent_id: str | UnsetType = UNSET


async def create_project(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    request.authorize()
    fields, extra = read_fields(body, "project", NewProject)
    if fields.is_domain:
        raise InvalidReference("A project that acts as a domain is created at /v3/domains.")
    domain_id = fields.domain_id or request.ctx.domain_id or request.ctx.project_domain_id or "default"
    project = Project(
        id=records.new_id(),
        domain_id=domain_id,
        parent_id=fields.parent_id,
        name=fields.name,
        description=fields.description or "",
        enabled=fields.enabled,
        tags=fields.tags,
        extra=extra,
    )
    async with request.service.database.transaction() as tx:
        await projects.add(tx, project)
    return {"project": project_view(project, request.base_url)}


def _tag_filter(request: IdentityRequest) -> TagFilter:
    def read(name: str) -> frozenset[str]:
        return frozenset(tag for tag in request.query.get(name, "").split(",") if tag)

    return TagFilter(read("tags"), read("tags-any"), read("not-tags"), read("not-tags-any"))


async def list_projects(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    filters = {
        "name": request.query.get("name"),
        "domain_id": request.query.get("domain_id"),
        "enabled": flag(request, "enabled"),
    }
    async with request.service.database.reading() as tx:
        found = await projects.list_matching(
            tx, filters, parent_id=request.query.get("parent_id"), tags=_tag_filter(request)
        )
    if flag(request, "is_domain"):
        found = []
    return listing(request, "projects", [project_view(each, request.base_url) for each in found])


async def fetch_project(tx: Tx, request: IdentityRequest) -> Project:
    project_id = request.path["project_id"]
    project = await projects.look_up(tx, project_id)
    request.authorize(
        {"target.project.id": project_id, "target.project.domain_id": getattr(project, "domain_id", None)}
    )
    if project is None:
        raise ResourceNotFound("project", project_id)
    return project


async def show_project(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        project = await fetch_project(tx, request)
    return {"project": project_view(project, request.base_url)}


async def update_project(request: IdentityRequest, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = read_fields(body, "project", ChangedProject)
    identity = request.service
    values = given(fields, without=("domain_id", "parent_id"))
    if values.get("description", "") is None:
        values["description"] = ""
    async with identity.database.transaction() as tx:
        project = await fetch_project(tx, request)
        if fields.domain_id not in (UNSET, project.domain_id):
            raise InvalidReference("The domain of a project cannot be changed.")
        if fields.parent_id not in (UNSET, projects.parent_of(project)):
            raise Forbidden("The parent of a project cannot be changed.")
        project, event = await projects.change(tx, identity, project, values, extra)
    if event is not None:
        await tokens.announce(identity, event)
    return {"project": project_view(project, request.base_url)}


async def delete_project(request: IdentityRequest) -> None:
    identity = request.service
    async with identity.database.transaction() as tx:
        project = await fetch_project(tx, request)
        event = await projects.remove(tx, identity, project)
    await tokens.announce(identity, event)
