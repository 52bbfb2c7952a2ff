"""Quotas: how much of compute a project may have. Checked in the transaction that inserts what counts.

A limit is the project's own, else that of the class `default`, else upstream's default; -1 is no limit.
"""

from collections.abc import Mapping

from sqlalchemy import bindparam, func, select

from kilonova.compute.catalog import user_quotas
from kilonova.compute.errors import OverQuota, QuotaExceeded
from kilonova.compute.region import mappings
from kilonova.compute.tables import Flavor, QuotaLimit, quota_classes, quotas, server_groups
from kilonova.compute.transactions import RegionTx

DEFAULTS: dict[str, int] = {
    "cores": 20,
    "instances": 10,
    "key_pairs": 100,
    "metadata_items": 128,
    "ram": 51200,
    "server_group_members": 10,
    "server_groups": 10,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "injected_files": 5,
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_group_rules": -1,
    "security_groups": -1,
}
"""Upstream's, unless the configuration says otherwise; ram in MiB.

Those of networks are the network service's to keep, and files are not injected."""

DEFAULT_CLASS = "default"
UNLIMITED = -1

_LIMITS_OF_CLASS = select(quota_classes.c.resource, quota_classes.c.hard_limit).where(
    quota_classes.c.class_name == bindparam("class_name")
)
_LIMITS_OF_PROJECT = select(quotas.c.resource, quotas.c.hard_limit).where(
    quotas.c.project_id == bindparam("project_id")
)


def set_defaults(limits: Mapping[str, int]) -> None:
    """Replaces upstream's defaults for this process by those of its configuration. Raises KeyError."""
    unknown = set(limits) - set(DEFAULTS)
    if unknown:
        raise KeyError(f"no such resources: {sorted(unknown)}")
    DEFAULTS.update(limits)


async def class_limits(tx: RegionTx, class_name: str = DEFAULT_CLASS) -> dict[str, int]:
    """Every resource's limit in a class."""
    found = await tx.all(QuotaLimit, _LIMITS_OF_CLASS, class_name=class_name)
    return {**DEFAULTS, **{each.resource: each.hard_limit for each in found}}


async def limits_of(tx: RegionTx, project_id: str) -> dict[str, int]:
    """Every resource's limit for a project."""
    own = await tx.all(QuotaLimit, _LIMITS_OF_PROJECT, project_id=project_id)
    return {**await class_limits(tx), **{each.resource: each.hard_limit for each in own}}


async def use_of(tx: RegionTx, project_id: str) -> dict[str, int]:
    """What a project has of each resource. Those counted elsewhere (for a user, a server, a group) are 0."""
    groups = select(func.count()).select_from(server_groups).where(server_groups.c.project_id == project_id)
    counted = {**await mappings.usage_of_project(tx, project_id), "server_groups": await tx.scalar(groups)}
    return {**dict.fromkeys(DEFAULTS, 0), **counted}


async def change(tx: RegionTx, project_id: str, limits: Mapping[str, int]) -> None:
    for resource, limit in limits.items():
        await tx.remove(quotas, project_id=project_id, resource=resource)
        await tx.execute(quotas.insert().values(project_id=project_id, resource=resource, hard_limit=limit))


async def reset(tx: RegionTx, project_id: str) -> None:
    """Back to the limits of the class, for all users."""
    await user_quotas.reset(tx, project_id)
    await tx.remove(quotas, project_id=project_id)


async def change_class(tx: RegionTx, class_name: str, limits: Mapping[str, int]) -> None:
    table = quota_classes
    for resource, limit in limits.items():
        await tx.remove(table, class_name=class_name, resource=resource)
        await tx.execute(table.insert().values(class_name=class_name, resource=resource, hard_limit=limit))


async def affordable(tx: RegionTx, project_id: str, user_id: str, flavor: Flavor, least: int, most: int) -> int:
    """Returns how many servers of `flavor` the user may add, `most` at most. Raises OverQuota below `least`.

    His own limits count what is his, the project's everything in it.
    """
    limits, used = await limits_of(tx, project_id), await mappings.usage_of_project(tx, project_id)
    possible = _affordable(limits, used, flavor, least, most)
    own = await user_quotas.limits_of(tx, project_id, user_id)
    if own:
        used = await mappings.usage_of_user(tx, project_id, user_id)
        possible = _affordable(dict.fromkeys(used, UNLIMITED) | own, used, flavor, least, possible)
    return possible


async def check_growth(tx: RegionTx, project_id: str, user_id: str, more: Mapping[str, int]) -> None:
    """Raises QuotaExceeded when the project or the user may not have so much `{"cores", "ram"}` more; ram in MiB."""
    limits, used = await limits_of(tx, project_id), await mappings.usage_of_project(tx, project_id)
    _check_growth(limits, used, more)
    own = await user_quotas.limits_of(tx, project_id, user_id)
    if own:
        used = await mappings.usage_of_user(tx, project_id, user_id)
        _check_growth(dict.fromkeys(used, UNLIMITED) | own, used, more)


def _check_growth(limits: Mapping[str, int], used: Mapping[str, int], more: Mapping[str, int]) -> None:
    short = [name for name, n in more.items() if n > 0 and UNLIMITED != limits[name] < used[name] + n]
    if short:
        raise OverQuota({name: more[name] for name in short}, used, limits)


def _affordable(limits: Mapping[str, int], used: Mapping[str, int], flavor: Flavor, least: int, most: int) -> int:
    each = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.memory_mib}
    room = {name: (limits[name] - used[name]) // n for name, n in each.items() if n and limits[name] != UNLIMITED}
    possible = min([most, *room.values()])
    if possible < least:
        short = sorted(name for name, count in room.items() if count < least)
        wanted = {name: each[name] * least for name in short}
        raise OverQuota(wanted, used, limits)
    return possible


def check_count(limits: Mapping[str, int], resource: str, wanted: int, sentence: str) -> None:
    """Raises QuotaExceeded with `sentence` when `wanted` of the resource are more than its limit."""
    if UNLIMITED != limits[resource] < wanted:
        raise QuotaExceeded(sentence)


def check_metadata(limits: Mapping[str, int], items: int) -> None:
    """Raises QuotaExceeded for more metadata than one server may have."""
    allowed = limits["metadata_items"]
    check_count(limits, "metadata_items", items, f"Maximum number of metadata items exceeds {allowed}")
