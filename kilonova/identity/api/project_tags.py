"""/v3/projects/{project_id}/tags. Source: Identity API v3, "Project tags"."""

from typing import Any

import msgspec
from msgspec import Struct

from kilonova.identity import projects
from kilonova.identity.api.bodies import IdentityRequest
from kilonova.identity.api.projects import MOST_TAGS, Tag, Tags, fetch_project, refuse_tags_twice
from kilonova.identity.tables import Project
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.routes import Reply


class TagsBody(Struct):
    tags: Tags

    def __post_init__(self) -> None:
        refuse_tags_twice(self.tags)


def _view(request: IdentityRequest, tags: list[str]) -> dict[str, Any]:
    url = f"{request.base_url}/v3/projects/{request.path['project_id']}/tags"
    return {"tags": tags, "links": {"self": url, "previous": None, "next": None}}


async def list_tags(request: IdentityRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        project = await fetch_project(tx, request)
    return _view(request, project.tags)


async def replace_tags(request: IdentityRequest, body: TagsBody) -> dict[str, Any]:
    async with request.service.database.transaction() as tx:
        await _write(tx, request, await fetch_project(tx, request), body.tags)
    return _view(request, body.tags)


async def delete_tags(request: IdentityRequest) -> None:
    async with request.service.database.transaction() as tx:
        await _write(tx, request, await fetch_project(tx, request), [])


async def check_tag(request: IdentityRequest) -> None:
    async with request.service.database.reading() as tx:
        _require(await fetch_project(tx, request), request.path["tag"])


async def add_tag(request: IdentityRequest) -> Reply:
    tag = request.path["tag"]
    try:
        msgspec.convert(tag, Tag)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for tags: {error}.") from error
    async with request.service.database.transaction() as tx:
        project = await fetch_project(tx, request)
        if tag not in project.tags:
            if len(project.tags) >= MOST_TAGS:
                raise BadRequest(f"A project has {MOST_TAGS} tags at most.")
            await _write(tx, request, project, [*project.tags, tag])
    return Reply(None, status=201, headers={"Location": f"{request.base_url}{request.url_path}"})


async def delete_tag(request: IdentityRequest) -> None:
    tag = request.path["tag"]
    async with request.service.database.transaction() as tx:
        project = await fetch_project(tx, request)
        _require(project, tag)
        await _write(tx, request, project, [each for each in project.tags if each != tag])


def _require(project: Project, tag: str) -> None:
    if tag not in project.tags:
        raise NotFound(f"Could not find project tag: {tag}.")


async def _write(tx: Tx, request: IdentityRequest, project: Project, tags: list[str]) -> None:
    await projects.change(tx, request.service, project, {"tags": tags}, {})
