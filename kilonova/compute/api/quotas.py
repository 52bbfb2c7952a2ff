"""/limits, /os-quota-sets and /os-quota-class-sets."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from kilonova.compute.api.bodies import ComputeRequest, as_boolean, refuse_unknown_queries
from kilonova.compute.catalog import quotas, user_quotas
from kilonova.compute.region import mappings
from kilonova.compute.transactions import RegionTx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT64, Word

FILES = ("injected_file_content_bytes", "injected_file_path_bytes", "injected_files")
NETWORKS = ("fixed_ips", "floating_ips", "security_group_rules", "security_groups")
GROUPS = ("server_group_members", "server_groups")
LARGEST = 0x7FFFFFFF
LONGEST_USER_ID = 64
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


def _user(request: ComputeRequest) -> str | None:
    """The user whose limits within the project are meant; None: the project's. Raises BadRequest."""
    user_id = request.query.get("user_id")
    if user_id is not None and not 0 < len(user_id) <= LONGEST_USER_ID:
        raise BadRequest(f"user_id has 1 to {LONGEST_USER_ID} characters.")
    return user_id


async def _limits_for(tx: RegionTx, project_id: str, user_id: str | None) -> dict[str, int]:
    """A user has the project's limits where he has none of his own."""
    limits = await quotas.limits_of(tx, project_id)
    return limits if user_id is None else limits | await user_quotas.limits_of(tx, project_id, user_id)


async def _use_for(tx: RegionTx, project_id: str, user_id: str | None) -> dict[str, int]:
    used = await quotas.use_of(tx, project_id)
    return used if user_id is None else used | await mappings.usage_of_user(tx, project_id, user_id)


async def show_quotas(request: ComputeRequest) -> dict[str, Any]:
    project_id, user_id = _own_project(request), _user(request)
    async with request.service.reading() as tx:
        limits = await _limits_for(tx, project_id, user_id)
    return {"quota_set": {"id": project_id, **{name: limits[name] for name in _resources(request)}}}


async def show_defaults(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    async with request.service.reading() as tx:
        limits = await quotas.class_limits(tx)
    shown = {name: limits[name] for name in _resources(request)}
    return {"quota_set": {"id": request.path["project_id"], **shown}}


async def show_quotas_in_detail(request: ComputeRequest) -> dict[str, Any]:
    project_id, user_id = _own_project(request), _user(request)
    async with request.service.reading() as tx:
        limits, used = await _limits_for(tx, project_id, user_id), await _use_for(tx, project_id, user_id)
    shown = {name: {"in_use": used[name], "limit": limits[name], "reserved": 0} for name in _resources(request)}
    return {"quota_set": {"id": project_id, **shown}}


async def update_quotas(request: ComputeRequest, body: QuotaSetBody) -> dict[str, Any]:
    """A limit below what is used needs `force`."""
    project_id, user_id = _own_project(request), _user(request)
    wanted = dict(body.quota_set)
    force = as_boolean(wanted.pop("force", False), "force")
    wanted.pop("tenant_id", None)
    limits = _limits(wanted, _resources(request))
    async with request.service.transaction() as tx:
        if user_id is not None:
            _check_within(limits, await quotas.limits_of(tx, project_id))
        used = await _use_for(tx, project_id, user_id)
        for name, limit in limits.items():
            if not force and limit != quotas.UNLIMITED and limit < used[name]:
                raise BadRequest(
                    f"Quota limit {limit} for {name} must be greater than or equal to "
                    f"already used and reserved {used[name]}."
                )
        if user_id is None:
            await quotas.change(tx, project_id, limits)
        else:
            await user_quotas.change(tx, project_id, user_id, limits)
        now = await _limits_for(tx, project_id, user_id)
    return {"quota_set": {name: now[name] for name in _resources(request)}}


def _check_within(limits: Mapping[str, int], of_project: Mapping[str, int]) -> None:
    """Raises BadRequest for a user's limit that is beyond his project's, or on what is not counted by user."""
    for name, limit in limits.items():
        if name not in user_quotas.COUNTED:
            counted = ", ".join(user_quotas.COUNTED)
            raise BadRequest(f"{name} is not counted by user: a user has limits of {counted}.")
        most = of_project[name]
        if most != quotas.UNLIMITED and not 0 <= limit <= most:
            raise BadRequest(f"Quota limit {limit} for {name} must be less than or equal to {most}.")


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
    """Back to the defaults; a user, to what his project has."""
    project_id, user_id = _own_project(request), _user(request)
    async with request.service.transaction() as tx:
        if user_id is None:
            await quotas.reset(tx, project_id)
        else:
            await user_quotas.reset(tx, project_id, user_id)


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
