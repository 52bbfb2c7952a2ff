"""Server groups: their rules and transactions, and which hosts their members leave.

Members are counted by the servers' mappings, so that a group's rule holds over all cells.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import and_, func, select, update

from kilonova.compute.catalog import quotas
from kilonova.compute.errors import ServerGroupNotFound
from kilonova.compute.notifications.records import tell_group
from kilonova.compute.tables import ServerGroup, server_groups, server_mappings, servers
from kilonova.compute.transactions import CellTx, RegionTx
from kilonova.kit.db.selections import Selection, select_rows

AFFINITY, ANTI_AFFINITY = "affinity", "anti-affinity"
SOFT_AFFINITY, SOFT_ANTI_AFFINITY = "soft-affinity", "soft-anti-affinity"


async def insert(tx: RegionTx, group: ServerGroup) -> None:
    """Raises QuotaExceeded."""
    limits = await quotas.limits_of(tx, group.project_id)
    mine = select(func.count()).select_from(server_groups).where(server_groups.c.project_id == group.project_id)
    count = await tx.scalar(mine)
    quotas.check_count(limits, "server_groups", count + 1, "Quota exceeded, too many server groups.")
    await tx.insert(server_groups, group)
    tell_group(tx, group, "create")


async def find(tx: RegionTx, group_id: str, project_id: str | None = None) -> ServerGroup:
    """Raises ServerGroupNotFound; with `project_id` also for a group of another project."""
    statement = select(server_groups).where(server_groups.c.id == group_id)
    if project_id is not None:
        statement = statement.where(server_groups.c.project_id == project_id)
    group = await tx.first(ServerGroup, statement)
    if group is None:
        raise ServerGroupNotFound(group_id)
    return group


async def list_page(tx: RegionTx, project_id: str | None, selection: Selection) -> list[ServerGroup]:
    """Every project's when `project_id` is None."""
    mine = () if project_id is None else (server_groups.c.project_id == project_id,)
    return await select_rows(tx, server_groups, ServerGroup, selection, mine)


async def members_of(tx: RegionTx, group_ids: list[str]) -> dict[str, list[str]]:
    """Group id → ids of its servers, the oldest first."""
    found: dict[str, list[str]] = {group_id: [] for group_id in group_ids}
    table = server_mappings.c
    statement = select(table.group_id, table.server_id).where(table.group_id.in_(group_ids))
    for group_id, server_id in await tx.tuples(statement.order_by(table.number)):
        found[group_id].append(server_id)
    return found


async def check_room(tx: RegionTx, group: ServerGroup, more: int) -> None:
    """Raises QuotaExceeded when `more` servers are too many for the group."""
    members = select(func.count()).select_from(server_mappings).where(server_mappings.c.group_id == group.id)
    wanted = await tx.scalar(members) + more
    limits = await quotas.limits_of(tx, group.project_id)
    quotas.check_count(limits, "server_group_members", wanted, "Quota exceeded, too many servers in group")


async def tell_members(tx: RegionTx, group_id: str) -> None:
    """Tells listeners that servers have joined a group. Raises ServerGroupNotFound."""
    members = await members_of(tx, [group_id])
    tell_group(tx, await find(tx, group_id), "add_member", members[group_id])


async def hosts_of_members(tx: RegionTx, group_id: str, except_server: str) -> dict[str, int]:
    """Host → how many other members are on it."""
    table = server_mappings.c
    others = and_(table.group_id == group_id, table.host.is_not(None), table.server_id != except_server)
    statement = select(table.host, func.count()).where(others).group_by(table.host)
    return {str(host): int(count) for host, count in await tx.tuples(statement)}


def is_kept(group: ServerGroup, host: str, members_on: Mapping[str, int]) -> bool:
    """Whether the group's hard rule allows one more member on `host`."""
    if group.policy == AFFINITY:
        return not members_on or host in members_on
    if group.policy == ANTI_AFFINITY:
        return members_on.get(host, 0) < (group.most_on_a_host or 1)
    return True


async def remove(tx: RegionTx, group: ServerGroup, everywhere: Iterable[CellTx]) -> None:
    """Its servers stay where they are. `everywhere`: a transaction of each database with servers."""
    for each in everywhere:
        await each.execute(update(servers).where(servers.c.group_id == group.id).values(group_id=None))
    mine = server_mappings.c.group_id == group.id
    await tx.execute(update(server_mappings).where(mine).values(group_id=None, host=None))
    if await tx.remove(server_groups, id=group.id):
        tell_group(tx, group, "delete")
