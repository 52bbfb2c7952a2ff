"""/v3/projects."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.identity import projects, records
from kilonova.identity.api.bodies import Fields, IdentityRequest, NewFields, RecordId, flag
from kilonova.identity.api.listing import TAG_FILTERS, listing, paged
from kilonova.identity.api.options import Immutability
from kilonova.identity.errors import InvalidReference, ResourceNotFound
from kilonova.identity.tables import Project
from kilonova.identity.views.records import chain_view, project_view, tree_view
from kilonova.kit.db import Tx
from kilonova.kit.db.selections import NOTHING, Filter
from kilonova.kit.errors import BadRequest, Forbidden
from kilonova.kit.http.bounds import LongText
from kilonova.kit.http.lists import text
from kilonova.kit.http.queries import yes_or_no

ProjectName = Annotated[str, Meta(min_length=1, max_length=64)]


def _that_are_domains(name: str, texts: Sequence[str]) -> Filter | None:
    """No project acts as a domain."""
    return NOTHING if texts[-1] == "" or yes_or_no(name, texts[-1]) else None


TEXTS = {"name": "name", "domain_id": "domain_id"}
SORTS = ("name", "domain_id", "enabled", "parent_id")
LISTS = listing(
    TEXTS, ("enabled",), SORTS, readers={"parent_id": text("parent_id"), "is_domain": _that_are_domains, **TAG_FILTERS}
)
REACH_LISTS = listing(TEXTS, ("enabled",), SORTS, order=(("name", "asc"), ("id", "asc")))
"""Of the projects that a user has a role on."""

HIERARCHY_QUERY: dict[str, str | None] = dict.fromkeys(
    ("parents_as_ids", "parents_as_list", "subtree_as_ids", "subtree_as_list")
)


MOST_TAGS = 80
"""Of a project: upstream's limit."""
Tag = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^,/]*$(?!\n)")]
Tags = Annotated[list[Tag], Meta(max_length=MOST_TAGS)]


def refuse_tags_twice(tags: Sequence[str] | UnsetType) -> None:
    """Raises BadRequest."""
    if tags is not UNSET and len(set(tags)) < len(tags):
        raise BadRequest("Invalid input for tags: each may be given once.")


class NewProject(NewFields):
    kind: ClassVar[str] = "project"

    name: ProjectName
    domain_id: RecordId | None = None
    parent_id: RecordId | None = None
    description: LongText | None = ""
    enabled: bool = True
    is_domain: bool = False
    tags: Tags = []
    options: Immutability | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_tags_twice(self.tags)


class NewProjectBody(Struct):
    project: NewProject


class ChangedProject(Fields):
    kind: ClassVar[str] = "project"

    name: ProjectName | UnsetType = UNSET
    description: LongText | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    domain_id: RecordId | UnsetType = UNSET
    parent_id: RecordId | UnsetType = UNSET
    is_domain: bool | UnsetType = UNSET
    options: Immutability | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_tags_twice(self.tags)


class ChangedProjectBody(Struct):
    project: ChangedProject


async def create_project(request: IdentityRequest, body: NewProjectBody) -> dict[str, Any]:
    fields = body.project
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
        extra=fields.attributes(),
    )
    async with request.service.database.transaction() as tx:
        await projects.add(tx, project)
    return {"project": project_view(project, request.base_url)}


async def list_projects(request: IdentityRequest) -> dict[str, Any]:
    request.authorize()
    page = LISTS.read(request)
    async with request.service.database.reading() as tx:
        found = await projects.list_matching(tx, page.selection)
    return paged(request, "projects", page, found, project_view)


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
    """With what it lies in and what lies in it, where the query asks for it."""
    asked = {name for name in HIERARCHY_QUERY if name in request.query and flag(request, name) is not False}
    for side in ("parents", "subtree"):
        if {f"{side}_as_ids", f"{side}_as_list"} <= asked:
            raise BadRequest(f"Use either {side}_as_ids or {side}_as_list, not both.")
    async with request.service.database.reading() as tx:
        project = await fetch_project(tx, request)
        above = await projects.ancestors(tx, project) if asked & {"parents_as_ids", "parents_as_list"} else []
        below = await projects.descendants(tx, project) if asked & {"subtree_as_ids", "subtree_as_list"} else []
    shown = project_view(project, request.base_url)
    if "parents_as_ids" in asked:
        shown["parents"] = chain_view(project, above)
    elif "parents_as_list" in asked:
        shown["parents"] = [{"project": project_view(each, request.base_url)} for each in above]
    if "subtree_as_ids" in asked:
        shown["subtree"] = tree_view(project.id, below)
    elif "subtree_as_list" in asked:
        shown["subtree"] = [{"project": project_view(each, request.base_url)} for each in below]
    return {"project": shown}


async def update_project(request: IdentityRequest, body: ChangedProjectBody) -> dict[str, Any]:
    fields = body.project
    fields.refuse_other_id(request.path["project_id"])
    if fields.is_domain is True:
        raise InvalidReference("A project cannot become one that acts as a domain.")
    identity = request.service
    values = fields.given(without=("domain_id", "parent_id", "is_domain"))
    async with identity.database.transaction() as tx:
        project = await fetch_project(tx, request)
        if fields.domain_id not in (UNSET, project.domain_id):
            raise InvalidReference("The domain of a project cannot be changed.")
        if fields.parent_id not in (UNSET, projects.parent_of(project)):
            raise Forbidden("The parent of a project cannot be changed.")
        project = await projects.change(tx, identity, project, values, fields.attributes())
    return {"project": project_view(project, request.base_url)}


async def delete_project(request: IdentityRequest) -> None:
    identity = request.service
    async with identity.database.transaction() as tx:
        project = await fetch_project(tx, request)
        await projects.remove(tx, identity, project)
