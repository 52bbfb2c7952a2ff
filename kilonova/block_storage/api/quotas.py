"""/limits, /os-quota-sets and /os-quota-class-sets."""

from typing import Any

from kilonova.block_storage import quotas
from kilonova.block_storage.api import bodies
from kilonova.block_storage.api.access import VolumeRequest
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32
from kilonova.kit.http.queries import whole_number, yes_or_no

QUERY: dict[str, str | None] = {"usage": None}
USED = {
    "totalVolumesUsed": "volumes",
    "totalSnapshotsUsed": "snapshots",
    "totalGigabytesUsed": "gigabytes",
    "totalBackupsUsed": "backups",
    "totalBackupGigabytesUsed": "backup_gigabytes",
}
MOST = {
    "maxTotalVolumes": "volumes",
    "maxTotalSnapshots": "snapshots",
    "maxTotalVolumeGigabytes": "gigabytes",
    "maxTotalBackups": "backups",
    "maxTotalBackupGigabytes": "backup_gigabytes",
}


async def show_limits(request: VolumeRequest) -> dict[str, Any]:
    project_id, options = request.ctx.project_id or "", request.service.options
    named = request.query.get("project_id")
    if named and request.ctx.is_admin:
        project_id = named
    request.authorize({"project_id": project_id})
    async with request.service.database.reading() as tx:
        limits, used = await quotas.limits_of(tx, options, project_id), await quotas.usage_of(tx, options, project_id)
    absolute = {name: limits[resource] for name, resource in MOST.items()}
    absolute |= {name: used.get(resource, 0) for name, resource in USED.items()}
    return {"limits": {"rate": [], "absolute": absolute}}


async def show_quotas(request: VolumeRequest) -> dict[str, Any]:
    project_id, options = _project(request), request.service.options
    with_usage = "usage" in request.query and yes_or_no("usage", request.query["usage"])
    async with request.service.database.reading() as tx:
        limits, used = await quotas.limits_of(tx, options, project_id), await quotas.usage_of(tx, options, project_id)
    if not with_usage:
        return {"quota_set": {"id": project_id, **limits}}
    shown = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}
    return {"quota_set": {"id": project_id, **shown}}


def _project(request: VolumeRequest) -> str:
    """The project of the path; authorized."""
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    return project_id


async def show_defaults(request: VolumeRequest) -> dict[str, Any]:
    project_id = _project(request)
    async with request.service.database.reading() as tx:
        return {"quota_set": {"id": project_id, **await quotas.class_limits(tx, request.service.options)}}


async def update_quotas(request: VolumeRequest, body: bodies.QuotaSetBody) -> dict[str, Any]:
    """A limit below what is used is taken, as upstream does: nothing more is given then."""
    project_id, options = _project(request), request.service.options
    wanted = dict(body.quota_set)
    wanted.pop("tenant_id", None)
    skips = wanted.pop("skip_validation", None)
    is_checked = isinstance(skips, bool | str) and not bodies.flag_of("skip_validation", skips)
    async with request.service.database.transaction() as tx:
        known = await quotas.limits_of(tx, options, project_id)
        limits = _limits(wanted, known)
        if is_checked:
            used = await quotas.usage_of(tx, options, project_id)
            for name, limit in limits.items():
                if quotas.UNLIMITED != limit < used.get(name, 0):
                    raise BadRequest(f"Quota limit {limit} for {name} is less than the {used[name]} already used.")
        await quotas.change(tx, project_id, limits)
        return {"quota_set": await quotas.limits_of(tx, options, project_id)}


def _limits(wanted: dict[str, Any], known: dict[str, int]) -> dict[str, int]:
    """Raises BadRequest for a resource that does not exist, and for what is no limit."""
    limits = {}
    for name, value in wanted.items():
        if name not in known:
            raise BadRequest(
                f"There is no quota of {name}; there are {', '.join(quotas.DEFAULTS)}, and those of types."
            )
        if value is None:
            continue
        limits[name] = whole_number(name, str(value), least=-1, most=MAX_INT32)
    return limits


async def delete_quotas(request: VolumeRequest) -> None:
    project_id = _project(request)
    async with request.service.database.transaction() as tx:
        await quotas.reset(tx, project_id)


async def show_class(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    name = request.path["class_name"]
    async with request.service.database.reading() as tx:
        return {"quota_class_set": {"id": name, **await quotas.class_limits(tx, request.service.options, name)}}


async def update_class(request: VolumeRequest, body: bodies.QuotaClassBody) -> dict[str, Any]:
    request.authorize()
    name, options = request.path["class_name"], request.service.options
    async with request.service.database.transaction() as tx:
        known = await quotas.class_limits(tx, options, name)
        await quotas.change_class(tx, name, _limits(dict(body.quota_class_set), known))
        return {"quota_class_set": await quotas.class_limits(tx, options, name)}
