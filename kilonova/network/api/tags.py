"""/v2.0/{networks, subnets, ports, routers, floatingips, security-groups}/{id}/tags."""

from kilonova.kit.db import Tx
from kilonova.network import networks, tags
from kilonova.network.api.bodies import Body, NetworkRequest, check_revision, is_cloud_admin
from kilonova.network.api.fields import Fields, Tags
from kilonova.network.errors import TagNotFound, TagResourceNotFound
from kilonova.network.tags import Tagged


class TagsBody(Fields):
    tags: Tags


async def _fetch(tx: Tx, request: NetworkRequest) -> Tagged:
    """The resource the path names, if the caller may do this to its tags."""
    kind, wanted_id = tags.KINDS[request.url_path.split("/")[2]], request.path["resource_id"]
    tagged = await tags.find(tx, kind, wanted_id)
    own = tagged.row.project_id == request.ctx.project_id
    shared = False
    if kind == "network":
        network = await networks.find(tx, wanted_id)
        shared = network.shared or network.external
    if not (own or shared or is_cloud_admin(request)):
        raise TagResourceNotFound(kind, wanted_id)
    request.authorize({"project_id": tagged.row.project_id, "shared": shared})
    check_revision(request, tagged.row)
    return tagged


async def list_tags(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        tagged = await _fetch(tx, request)
    return {"tags": tagged.row.tags}


async def replace_tags(request: NetworkRequest, body: TagsBody) -> Body:
    tags.check(body.tags)
    async with request.service.database.transaction() as tx:
        tagged = await _fetch(tx, request)
        await tags.replace(tx, request.service, tagged, body.tags)
    return {"tags": body.tags}


async def add_tags(request: NetworkRequest, body: TagsBody) -> Body:
    """POST: those given join those there are."""
    tags.check(body.tags)
    async with request.service.database.transaction() as tx:
        tagged = await _fetch(tx, request)
        await tags.add(tx, request.service, tagged, body.tags)
    return {"tags": body.tags}


async def delete_tags(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        tagged = await _fetch(tx, request)
        await tags.replace(tx, request.service, tagged, [])


async def check_tag(request: NetworkRequest) -> None:
    """GET /…/tags/{tag}: 204 when the resource has it."""
    async with request.service.database.reading() as tx:
        tagged = await _fetch(tx, request)
    if request.path["tag"] not in tagged.row.tags:
        raise TagNotFound(request.path["tag"])


async def add_tag(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        tagged = await _fetch(tx, request)
        await tags.add(tx, request.service, tagged, [request.path["tag"]])


async def delete_tag(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        tagged = await _fetch(tx, request)
        await tags.remove(tx, request.service, tagged, request.path["tag"])
