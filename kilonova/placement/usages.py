"""How much is in use: of one provider, or by one project."""

from msgspec import Struct
from sqlalchemy import distinct, func, select

from kilonova.kit.db import Tx
from kilonova.kit.db.expressions import total
from kilonova.placement.tables import allocations, consumers, inventories

UNKNOWN_TYPE = "unknown"
ALL_TYPES = "all"


class TypeUsage(Struct):
    """What the consumers of one type hold together."""

    consumer_count: int
    resources: dict[str, int]


async def of_provider(tx: Tx, provider_id: str) -> dict[str, int]:
    """Every class of the provider's inventory, with 0 where nothing is in use."""
    statement = select(inventories.c.resource_class, inventories.c.used)
    rows = await tx.tuples(statement.where(inventories.c.provider_id == provider_id))
    return dict(sorted((name, used) for name, used in rows))


async def of_project(
    tx: Tx, project_id: str, user_id: str | None = None, consumer_type: str | None = None
) -> dict[str, TypeUsage]:
    """By consumer type. `consumer_type` may be a type, `unknown`, or `all`, which puts every type under that key."""
    merged = consumer_type == ALL_TYPES
    matching = [consumers.c.project_id == project_id, consumers.c.id == allocations.c.consumer_id]
    if user_id is not None:
        matching.append(consumers.c.user_id == user_id)
    if consumer_type == UNKNOWN_TYPE:
        matching.append(consumers.c.consumer_type.is_(None))
    elif consumer_type is not None and not merged:
        matching.append(consumers.c.consumer_type == consumer_type)
    kind = func.coalesce(consumers.c.consumer_type, UNKNOWN_TYPE)
    counts = select(kind, func.count(distinct(consumers.c.id))).where(*matching).group_by(kind)
    sums = select(kind, allocations.c.resource_class, total(allocations.c.used)).where(*matching)
    found: dict[str, TypeUsage] = {}
    for name, count in await tx.tuples(counts):
        usage = found.setdefault(ALL_TYPES if merged else name, TypeUsage(0, {}))
        usage.consumer_count += count
    for name, resource_class, used in await tx.tuples(sums.group_by(kind, allocations.c.resource_class)):
        resources = found[ALL_TYPES if merged else name].resources
        resources[resource_class] = resources.get(resource_class, 0) + used
    return found
