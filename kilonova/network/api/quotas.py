"""/v2.0/quotas."""

from typing import Annotated

from msgspec import Meta, structs

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import Id
from kilonova.network import quotas
from kilonova.network.api.bodies import Body, NetworkRequest
from kilonova.network.api.fields import Fields, Flag

MOST_ID_CHARACTERS = 64
Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]


class ChangedQuota(Fields):
    network: Limit | None = None
    subnet: Limit | None = None
    port: Limit | None = None
    router: Limit | None = None
    router_route: Limit | None = None
    floatingip: Limit | None = None
    security_group: Limit | None = None
    security_group_rule: Limit | None = None
    force: Flag = False
    """Also below what is already used."""
    check_limit: Flag = False
    """The opposite of `force`, which is how it is anyway."""
    tenant_id: Id | None = None
    project_id: Id | None = None


class ChangedQuotaBody(Fields):
    quota: ChangedQuota


def _project(request: NetworkRequest) -> str:
    """The project the path names; others than the caller's are for administrators."""
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    if len(project_id) > MOST_ID_CHARACTERS:
        raise BadRequest(f"A project's id has at most {MOST_ID_CHARACTERS} characters.")
    return project_id


async def list_quotas(request: NetworkRequest) -> Body:
    request.authorize()
    async with request.service.database.reading() as tx:
        found = await quotas.all_limits(tx)
    return {
        "quotas": [
            {**limits, "project_id": project_id, "tenant_id": project_id} for project_id, limits in found.items()
        ]
    }


async def show_quota(request: NetworkRequest) -> Body:
    project_id = _project(request)
    async with request.service.database.reading() as tx:
        return {"quota": await quotas.limits(tx, project_id)}


async def show_default(request: NetworkRequest) -> Body:
    """GET /v2.0/quotas/{project_id}/default."""
    _project(request)
    return {"quota": dict(quotas.DEFAULTS)}


async def show_details(request: NetworkRequest) -> Body:
    """GET /v2.0/quotas/{project_id}/details: limits beside what is used; nothing is ever merely reserved."""
    project_id = _project(request)
    async with request.service.database.reading() as tx:
        limits = await quotas.limits(tx, project_id)
        details = {
            resource: {"limit": limit, "used": await quotas.used(tx, project_id, resource), "reserved": 0}
            for resource, limit in limits.items()
        }
    return {"quota": details}


async def update_quota(request: NetworkRequest, body: ChangedQuotaBody) -> Body:
    project_id, changed = _project(request), body.quota
    for name in ("project_id", "tenant_id"):
        if getattr(changed, name) not in (None, project_id):
            raise BadRequest(f"{name} is not the project that the path names, {project_id}.")
    wanted = {name: limit for name, limit in structs.asdict(changed).items() if name in quotas.DEFAULTS}
    async with request.service.database.transaction() as tx:
        given = {name: limit for name, limit in wanted.items() if limit is not None}
        await quotas.change(tx, project_id, given, force=changed.force)
        return {"quota": await quotas.limits(tx, project_id)}


async def delete_quota(request: NetworkRequest) -> None:
    project_id = _project(request)
    async with request.service.database.transaction() as tx:
        await quotas.reset(tx, project_id)


async def show_own_project(request: NetworkRequest) -> Body:
    """GET /v2.0/quotas/project (or /tenant): which project the token is for."""
    request.authorize()
    if request.ctx.project_id is None:
        raise BadRequest("Project-id was missing from quota request.")
    name = request.url_path.rpartition("/")[2]
    return {name: {f"{name}_id": request.ctx.project_id}}
