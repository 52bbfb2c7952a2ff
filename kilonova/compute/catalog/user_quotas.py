"""Quotas of single users: how much of a project's quota one of its users may have. Checked together with that.

What is counted by user are servers and what they take; everything else is counted for a project, or has a limit for
every user already.
"""

from collections.abc import Mapping

from sqlalchemy import bindparam, select

from kilonova.compute.tables import QuotaLimit, user_quotas
from kilonova.compute.transactions import RegionTx

COUNTED = ("cores", "instances", "ram")

_LIMITS = select(user_quotas.c.resource, user_quotas.c.hard_limit).where(
    user_quotas.c.project_id == bindparam("project_id"), user_quotas.c.user_id == bindparam("user_id")
)


async def limits_of(tx: RegionTx, project_id: str, user_id: str) -> dict[str, int]:
    """The limits that the user has of his own in a project."""
    found = await tx.all(QuotaLimit, _LIMITS, project_id=project_id, user_id=user_id)
    return {each.resource: each.hard_limit for each in found}


async def change(tx: RegionTx, project_id: str, user_id: str, limits: Mapping[str, int]) -> None:
    for resource, limit in limits.items():
        key = {"project_id": project_id, "user_id": user_id, "resource": resource}
        await tx.remove(user_quotas, **key)
        await tx.execute(user_quotas.insert().values(**key, hard_limit=limit))


async def reset(tx: RegionTx, project_id: str, user_id: str | None = None) -> None:
    """Back to the limits of the project; without a user, for all of its users."""
    whose = {} if user_id is None else {"user_id": user_id}
    await tx.remove(user_quotas, project_id=project_id, **whose)
