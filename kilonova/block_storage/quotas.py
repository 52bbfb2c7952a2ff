"""Quotas: how many volumes and snapshots a project may have, and how many gigabytes of them.

A limit is the project's own, else that of the class `default`, else the configuration's; -1 is no limit. Each resource
is also counted for each volume type (`volumes_TYPE`), without a limit unless somebody sets one. What is used is counted
from the rows, in the transaction that adds to them.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Table, bindparam, func, select

from kilonova.block_storage.errors import OverQuota
from kilonova.block_storage.options import VolumeOptions
from kilonova.block_storage.tables import QuotaLimit, backups, quota_classes, quotas, snapshots, volume_types, volumes
from kilonova.kit.db import Tx
from kilonova.kit.db.expressions import total

DEFAULTS: Mapping[str, int] = {
    "volumes": 10,
    "snapshots": 10,
    "gigabytes": 1000,
    "backups": 10,
    "backup_gigabytes": 1000,
    "per_volume_gigabytes": -1,
    "groups": 10,
}
"""Upstream's."""
OF_TYPES = ("volumes", "snapshots", "gigabytes")
UNLIMITED = -1
DEFAULT_CLASS = "default"

Limits = dict[str, int]
"""Resource → limit."""
Usage = dict[str, int]
"""Resource → what is used of it; what is not named is not used."""

_OF_CLASS = select(quota_classes.c.resource, quota_classes.c.hard_limit).where(
    quota_classes.c.class_name == bindparam("class_name")
)
_OF_PROJECT = select(quotas.c.resource, quotas.c.hard_limit).where(quotas.c.project_id == bindparam("project_id"))


async def class_limits(tx: Tx, options: VolumeOptions, class_name: str = DEFAULT_CLASS) -> Limits:
    """Returns every resource's limit in a class, those of each volume type among them."""
    names = [row[0] for row in await tx.tuples(select(volume_types.c.name).order_by(volume_types.c.name))]
    of_types = {f"{resource}_{name}": UNLIMITED for name in names for resource in OF_TYPES}
    set_limits = {each.resource: each.hard_limit for each in await tx.all(QuotaLimit, _OF_CLASS, class_name=class_name)}
    known = {**DEFAULTS, **options.quotas, **of_types}
    return {**known, **{name: limit for name, limit in set_limits.items() if name in known}}


async def limits_of(tx: Tx, options: VolumeOptions, project_id: str) -> Limits:
    known = await class_limits(tx, options)
    own = {each.resource: each.hard_limit for each in await tx.all(QuotaLimit, _OF_PROJECT, project_id=project_id)}
    return {**known, **{name: limit for name, limit in own.items() if name in known}}


async def usage_of(tx: Tx, options: VolumeOptions, project_id: str) -> Usage:
    """Returns what a project uses, in all and by volume type."""
    used: Usage = dict.fromkeys(("volumes", "snapshots", "gigabytes"), 0)
    ((used["backups"], used["backup_gigabytes"]),) = await tx.tuples(_BACKUPS_USED, project_id=project_id)

    def add(resource: str, type_name: str | None, amount: int) -> None:
        for name in filter(None, (resource, f"{resource}_{type_name}" if type_name else None)):
            used[name] = used.get(name, 0) + amount

    for type_name, count, gigabytes in await tx.tuples(_VOLUMES_USED, project_id=project_id):
        add("volumes", type_name, count)
        add("gigabytes", type_name, gigabytes)
    for type_name, count, gigabytes in await tx.tuples(_SNAPSHOTS_USED, project_id=project_id):
        add("snapshots", type_name, count)
        if options.snapshots_take_gigabytes:
            add("gigabytes", type_name, gigabytes)
    return used


_VOLUMES_USED = (
    select(volume_types.c.name, func.count(), total(volumes.c.size_gib + volumes.c.growth_gib))
    .select_from(volumes.outerjoin(volume_types, volumes.c.volume_type_id == volume_types.c.id))
    .where(volumes.c.project_id == bindparam("project_id"))
    .group_by(volume_types.c.name)
)
_SNAPSHOTS_USED = (
    select(volume_types.c.name, func.count(), total(snapshots.c.size_gib))
    .select_from(snapshots.outerjoin(volume_types, snapshots.c.volume_type_id == volume_types.c.id))
    .where(snapshots.c.project_id == bindparam("project_id"))
    .group_by(volume_types.c.name)
)

_BACKUPS_USED = select(func.count(), total(backups.c.size_gib)).where(backups.c.project_id == bindparam("project_id"))


async def claim_backup(tx: Tx, options: VolumeOptions, project_id: str, size_gib: int) -> None:
    """Raises OverQuota unless a project may have one more backup, of a volume of that size.

    It is called in the write transaction that adds the row.
    """
    limits, used = await limits_of(tx, options, project_id), await usage_of(tx, options, project_id)
    for name, amount in (("backups", 1), ("backup_gigabytes", size_gib)):
        _check(limits, used, name, amount)


async def claim(
    tx: Tx, options: VolumeOptions, project_id: str, type_name: str, wanted: Mapping[str, int], *, size_gib: int = 0
) -> None:
    """Raises OverQuota unless a project may have so much more of these resources, in all and of that type.

    `size_gib`: the size of the one volume it is for. It is called in the write transaction that adds the rows.
    """
    limits, used = await limits_of(tx, options, project_id), await usage_of(tx, options, project_id)
    if UNLIMITED != limits["per_volume_gigabytes"] < size_gib:
        raise OverQuota("per_volume_gigabytes", size_gib, 0, limits["per_volume_gigabytes"])
    for resource, amount in wanted.items():
        for name in (resource, f"{resource}_{type_name}"):
            _check(limits, used, name, amount)


async def claim_of_type(
    tx: Tx, options: VolumeOptions, project_id: str, type_name: str, wanted: Mapping[str, int]
) -> None:
    """Raises OverQuota unless a project may have so much more of a type; in all it has it already."""
    limits, used = await limits_of(tx, options, project_id), await usage_of(tx, options, project_id)
    for resource, amount in wanted.items():
        _check(limits, used, f"{resource}_{type_name}", amount)


def _check(limits: Limits, used: Usage, name: str, amount: int) -> None:
    limit, has = limits.get(name, UNLIMITED), used.get(name, 0)
    if UNLIMITED != limit < has + amount:
        raise OverQuota(name, amount, has, limit)


async def change(tx: Tx, project_id: str, wanted: Mapping[str, int]) -> None:
    await _write(tx, quotas, {"project_id": project_id}, wanted)


async def reset(tx: Tx, project_id: str) -> None:
    """Gives a project the limits of the class again. Safe to repeat."""
    await tx.remove(quotas, project_id=project_id)


async def change_class(tx: Tx, class_name: str, wanted: Mapping[str, int]) -> None:
    await _write(tx, quota_classes, {"class_name": class_name}, wanted)


async def _write(tx: Tx, table: Table, owner: Mapping[str, str], wanted: Mapping[str, int]) -> None:
    for resource, limit in wanted.items():
        await tx.remove(table, **owner, resource=resource)
        await tx.execute(table.insert().values(**owner, resource=resource, hard_limit=limit))


async def forget_types(tx: Tx, names: Iterable[str]) -> None:
    """Removes the limits that were set for volume types of these names."""
    for name in names:
        for resource in OF_TYPES:
            await tx.remove(quotas, resource=f"{resource}_{name}")
            await tx.remove(quota_classes, resource=f"{resource}_{name}")


async def rename_type(tx: Tx, name: str, new_name: str) -> None:
    """Keeps the limits that were set for a volume type when its name changes."""
    for resource in OF_TYPES:
        for table in (quotas, quota_classes):
            await tx.change(table, {"resource": f"{resource}_{name}"}, resource=f"{resource}_{new_name}")
