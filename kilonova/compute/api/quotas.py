"""/limits, /os-quota-sets and /os-quota-class-sets."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest, as_boolean, refuse_unknown_queries
from kilonova.compute.catalog import quotas
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT64, Word

FILES = ("injected_file_content_bytes", "injected_file_path_bytes", "injected_files")
NETWORKS = ("fixed_ips", "floating_ips", "security_group_rules", "security_groups")
GROUPS = ("server_group_members", "server_groups")
LARGEST = 0x7FFFFFFF
QUERY: dict[str, str | None] = {"user_id": None}
LIMITS_QUERY: dict[str, str | None] = {"tenant_id": None, "reserved": None}


Limit = Annotated[int, Meta(ge=-MAX_INT64, le=MAX_INT64)] | Word


class QuotaSetBody(Struct, forbid_unknown_fields=True):
    quota_set: Annotated[dict[Word, Limit | bool | None], Meta(max_length=64)]


class QuotaClassBody(Struct, forbid_unknown_fields=True):
    quota_class_set: Annotated[dict[Word, Limit], Meta(max_length=64)]


def _resources(request: ComputeRequest) -> list[str]:
    """The resources that quotas of this version name."""
    hidden: set[str] = set()
    if request.allows("quotas_without_files"):
        hidden.update(FILES)
    if request.allows("network_proxies_gone"):
        hidden.update(NETWORKS)
    return [each for each in quotas.DEFAULTS if each not in hidden]


def _class_resources(request: ComputeRequest) -> list[str]:
    shown = _resources(request)
    return shown if request.allows("groups_in_quota_classes") else [each for each in shown if each not in GROUPS]


def _own_project(request: ComputeRequest) -> str:
    """The project of the path; authorized."""
    project_id = request.path["project_id"]
    request.authorize({"project_id": project_id})
    refuse_unknown_queries(request)
    return project_id


async def show_quotas(request: ComputeRequest) -> dict[str, Any]:
    """There are no limits for single users here, so a user's (`user_id`) are his project's."""
    project_id = _own_project(request)
    async with request.service.reading() as tx:
        limits = await quotas.limits_of(tx, project_id)
    return {"quota_set": {"id": project_id, **{name: limits[name] for name in _resources(request)}}}


async def show_defaults(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.reading() as tx:
        limits = await quotas.class_limits(tx)
    shown = {name: limits[name] for name in _resources(request)}
    return {"quota_set": {"id": request.path["project_id"], **shown}}


async def show_quotas_in_detail(request: ComputeRequest) -> dict[str, Any]:
    project_id = _own_project(request)
    async with request.service.reading() as tx:
        limits, used = await quotas.limits_of(tx, project_id), await quotas.use_of(tx, project_id)
    shown = {name: {"in_use": used[name], "limit": limits[name], "reserved": 0} for name in _resources(request)}
    return {"quota_set": {"id": project_id, **shown}}


async def update_quotas(request: ComputeRequest, body: QuotaSetBody) -> dict[str, Any]:
    """A limit below what is used needs `force`."""
    project_id = _own_project(request)
    if "user_id" in request.query:
        raise BadRequest("Quotas of single users are not served here: leave user_id out.")
    wanted = dict(body.quota_set)
    force = as_boolean(wanted.pop("force", False), "force")
    wanted.pop("tenant_id", None)
    limits = _limits(wanted, _resources(request))
    async with request.service.transaction() as tx:
        used = await quotas.use_of(tx, project_id)
        for name, limit in limits.items():
            if not force and limit != quotas.UNLIMITED and limit < used[name]:
                raise BadRequest(
                    f"Quota limit {limit} for {name} must be greater than or equal to "
                    f"already used and reserved {used[name]}."
                )
        await quotas.change(tx, project_id, limits)
        now = await quotas.limits_of(tx, project_id)
    return {"quota_set": {name: now[name] for name in _resources(request)}}


def _limits(wanted: Mapping[str, int | str | bool | None], known: list[str]) -> dict[str, int]:
    """Raises BadRequest for a resource this version does not know and for what is no limit."""
    limits = {}
    for name, value in wanted.items():
        if name not in known:
            raise BadRequest(f"Additional properties are not allowed ({name}); allowed here: {', '.join(known)}.")
        try:
            limit = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
        except ValueError:
            limit = None
        if limit is None or not quotas.UNLIMITED <= limit <= LARGEST:
            raise BadRequest(f"Invalid input for {name}: a limit is a whole number, or -1 for none; got {value!r}.")
        limits[name] = limit
    return limits


async def delete_quotas(request: ComputeRequest) -> None:
    """Back to the defaults."""
    project_id = _own_project(request)
    async with request.service.transaction() as tx:
        await quotas.reset(tx, project_id)


async def show_class(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    name = request.path["class_name"]
    async with request.service.reading() as tx:
        limits = await quotas.class_limits(tx, name)
    return {"quota_class_set": {"id": name, **{each: limits[each] for each in _class_resources(request)}}}


async def update_class(request: ComputeRequest, body: QuotaClassBody) -> dict[str, Any]:
    request.authorize()
    name = request.path["class_name"]
    # Shown from version 2.50 on, and taken all along.
    limits = _limits(body.quota_class_set, [*_class_resources(request), *GROUPS])
    async with request.service.transaction() as tx:
        await quotas.change_class(tx, name, limits)
        now = await quotas.class_limits(tx, name)
    return {"quota_class_set": {each: now[each] for each in _class_resources(request)}}


ABSOLUTE = {
    "maxTotalInstances": "instances",
    "maxTotalCores": "cores",
    "maxTotalRAMSize": "ram",
    "maxServerMeta": "metadata_items",
    "maxTotalKeypairs": "key_pairs",
    "maxServerGroups": "server_groups",
    "maxServerGroupMembers": "server_group_members",
}
USED = {
    "totalInstancesUsed": "instances",
    "totalCoresUsed": "cores",
    "totalRAMUsed": "ram",
    "totalServerGroupsUsed": "server_groups",
}
FILE_LIMITS = {"maxPersonality": "injected_files", "maxPersonalitySize": "injected_file_content_bytes"}
NETWORK_LIMITS = {
    "maxTotalFloatingIps": "floating_ips",
    "maxSecurityGroups": "security_groups",
    "maxSecurityGroupRules": "security_group_rules",
}
NETWORK_USED = ("totalFloatingIpsUsed", "totalSecurityGroupsUsed")


async def show_limits(request: ComputeRequest) -> dict[str, Any]:
    """GET /limits: the caller's project, or for administrators that of `tenant_id`."""
    request.authorize()
    refuse_unknown_queries(request)
    wanted = request.query.get("tenant_id")
    project_id = request.ctx.project_id or ""
    if wanted and wanted != project_id:
        request.authorize({"project_id": wanted}, rule="os_compute_api:limits:other_project")
        project_id = wanted
    async with request.service.reading() as tx:
        limits, used = await quotas.limits_of(tx, project_id), await quotas.use_of(tx, project_id)
    absolute = {shown: limits[name] for shown, name in ABSOLUTE.items()}
    absolute |= {shown: used[name] for shown, name in USED.items()}
    if not request.allows("network_proxies_gone"):
        absolute |= {shown: limits[name] for shown, name in NETWORK_LIMITS.items()}
        absolute |= dict.fromkeys(NETWORK_USED, 0)
    if not request.allows("image_proxies_gone"):
        absolute["maxImageMeta"] = limits["metadata_items"]
    if not request.allows("quotas_without_files"):
        absolute |= {shown: limits[name] for shown, name in FILE_LIMITS.items()}
    return {"limits": {"rate": [], "absolute": absolute}}
