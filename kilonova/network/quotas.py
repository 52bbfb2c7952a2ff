"""Quotas: how many of each resource a project may have. Source: Networking API, "Quotas extension".

A limit is checked in the transaction that creates what it limits, so two requests for the last one cannot both have it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, Table, bindparam, delete, func, literal, select

from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.network.errors import OverQuota
from kilonova.network.tables import (
    Quota,
    floating_ips,
    networks,
    ports,
    quotas,
    routers,
    security_group_rules,
    security_groups,
    subnets,
)

COUNTED: Mapping[str, Table] = {
    "network": networks,
    "subnet": subnets,
    "port": ports,
    "router": routers,
    "floatingip": floating_ips,
    "security_group": security_groups,
    "security_group_rule": security_group_rules,
}
DEFAULTS: Mapping[str, int] = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "router": 10,
    "router_route": 30,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}
"""Upstream's defaults."""

PER_ROUTER = "router_route"
"""Counts within each router, so that a project as a whole uses none of it."""

Limits = dict[str, int]
"""Resource → limit; negative: none."""


async def claim(tx: Tx, project_id: str, resource: str, amount: int = 1) -> None:
    """Raises OverQuota unless the project may have `amount` more of the resource."""
    ((limit, has),) = await tx.tuples(_limit_and_use(resource), project_id=project_id, resource=resource)
    if 0 <= (DEFAULTS[resource] if limit is None else limit) < amount + has:
        raise OverQuota(resource)


async def used(tx: Tx, project_id: str, resource: str) -> int:
    count: int = await tx.scalar(_count(resource), project_id=project_id)
    return count


@cache
def _count(resource: str) -> Select[int]:
    if resource == PER_ROUTER:
        return select(literal(0))
    table = COUNTED[resource]
    return select(func.count()).select_from(table).where(table.c.project_id == bindparam("project_id"))


@cache
def _limit_and_use(resource: str) -> Select[Any]:
    is_its = (quotas.c.project_id == bindparam("project_id")) & (quotas.c.resource == bindparam("resource"))
    return select(select(quotas.c.limit).where(is_its).scalar_subquery(), _count(resource).scalar_subquery())


async def limits(tx: Tx, project_id: str) -> Limits:
    found = await tx.find_all(Quota, quotas, project_id=project_id)
    return {**DEFAULTS, **{each.resource: each.limit for each in found}}


async def all_limits(tx: Tx) -> dict[str, Limits]:
    """Project → its limits, for the projects that have some of their own."""
    found: dict[str, Limits] = {}
    for each in await tx.all(Quota, select(quotas).order_by(quotas.c.project_id)):
        found.setdefault(each.project_id, dict(DEFAULTS))[each.resource] = each.limit
    return found


async def change(tx: Tx, project_id: str, wanted: Mapping[str, int], *, force: bool) -> None:
    """Sets limits. Raises BadRequest for one below what is already used, unless forced."""
    for resource, limit in wanted.items():
        has = await used(tx, project_id, resource)
        if 0 <= limit < has and not force:
            raise BadRequest(f"Quota limit {limit} for {resource} must be greater than or equal to already used {has}")
    await _forget(tx, project_id, list(wanted))
    for resource, limit in wanted.items():
        await tx.insert(quotas, Quota(project_id, resource, limit))


async def reset(tx: Tx, project_id: str) -> None:
    """Back to the defaults. Safe to repeat."""
    await _forget(tx, project_id, list(DEFAULTS))


async def _forget(tx: Tx, project_id: str, resources: Sequence[str]) -> None:
    named = (quotas.c.project_id == project_id) & quotas.c.resource.in_(resources)
    await tx.execute(delete(quotas).where(named))
