"""Which cells there are, and which cell each host and each server is in. Every `tx` here is of the API database.

A server's mapping also counts for quotas and server groups: they hold over all cells, one that is down included, and
are checked in the transaction that takes a share of them.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select

from kilonova.compute.tables import (
    CellMapping,
    HostMapping,
    Server,
    ServerMapping,
    cell_mappings,
    console_tokens,
    host_mappings,
    server_history,
    server_mappings,
)
from kilonova.compute.transactions import RegionTx
from kilonova.kit.db.expressions import total

CELL0_ID = "00000000-0000-0000-0000-000000000000"
CELL1_ID = "00000000-0000-0000-0000-000000000001"
"""Of the cell that is the API database itself, where nobody has named another."""
NO_TRANSPORT = "none:///"

_NEWEST_NUMBER = select(func.max(server_mappings.c.number))
_CELL_OF = select(server_mappings.c.cell_id).where(server_mappings.c.server_id == bindparam("server_id"))
_USAGE = select(func.count(), total(server_mappings.c.vcpus), total(server_mappings.c.memory_mib)).where(
    server_mappings.c.project_id == bindparam("project_id"), server_mappings.c.deleted_at.is_(None)
)
_USAGE_OF_USER = _USAGE.where(server_mappings.c.user_id == bindparam("user_id"))

# --- cells ------------------------------------------------------------------------------------------------------------


async def list_cells(tx: RegionTx) -> list[CellMapping]:
    return await tx.all(CellMapping, select(cell_mappings).order_by(cell_mappings.c.id))


async def insert_cell(tx: RegionTx, cell: CellMapping) -> bool:
    """False when there is a cell of that id."""
    return await tx.insert_new(cell_mappings, cell)


async def change_cell(tx: RegionTx, cell_id: str, **values: Any) -> None:
    await tx.change(cell_mappings, {"id": cell_id}, **values)


async def remove_cell(tx: RegionTx, cell_id: str) -> None:
    """With what is left of its hosts' and deleted servers' mappings."""
    await tx.remove(host_mappings, cell_id=cell_id)
    await tx.remove(server_mappings, cell_id=cell_id)
    await tx.remove(cell_mappings, id=cell_id)


async def ensure_here(tx: RegionTx, now: datetime) -> None:
    """A region of one database: it is cell0 and cell1, too."""
    for cell_id, name, transport_url in ((CELL0_ID, "cell0", NO_TRANSPORT), (CELL1_ID, "cell1", "")):
        await insert_cell(tx, CellMapping(cell_id, name, transport_url, "", False, now))


# --- hosts ------------------------------------------------------------------------------------------------------------


async def map_host(tx: RegionTx, host: str, cell_id: str, now: datetime, *, number: int | None = None) -> HostMapping:
    """The host's mapping, made if there is none: it may name another cell. `number`: its own, if that is free."""
    known = await find_host(tx, host)
    if known is not None:
        return known
    taken = number is None or await tx.scalar(select(host_mappings.c.host).where(host_mappings.c.number == number))
    if number is None or taken:
        number = (await tx.scalar(select(func.max(host_mappings.c.number))) or 0) + 1
    made = HostMapping(host, number, cell_id, now)
    await tx.insert(host_mappings, made)
    return made


async def find_host(tx: RegionTx, host: str) -> HostMapping | None:
    return await tx.find(HostMapping, host_mappings, host=host)


async def list_hosts(tx: RegionTx, cell_id: str | None = None) -> list[HostMapping]:
    statement = select(host_mappings).order_by(host_mappings.c.cell_id, host_mappings.c.host)
    return await tx.all(HostMapping, statement if cell_id is None else statement.where(_of_cell(cell_id)))


def _of_cell(cell_id: str) -> Any:
    return host_mappings.c.cell_id == cell_id


async def unmap_host(tx: RegionTx, host: str) -> None:
    await tx.remove(host_mappings, host=host)


# --- servers ----------------------------------------------------------------------------------------------------------


async def next_number(tx: RegionTx) -> int:
    """The server's in every cell: domains are named by it. The mapping with the highest one is never forgotten."""
    return (await tx.scalar(_NEWEST_NUMBER) or 0) + 1


async def insert_server(tx: RegionTx, server: Server, cell_id: str | None = None) -> bool:
    """False when it is there already."""
    mapping = ServerMapping(
        server_id=server.id,
        number=server.number,
        project_id=server.project_id,
        user_id=server.user_id,
        cell_id=cell_id,
        group_id=server.group_id,
        host=server.host,
        vcpus=server.vcpus,
        memory_mib=server.memory_mib,
        created_at=server.created_at,
        deleted_at=None,
    )
    return await tx.insert_new(server_mappings, mapping)


async def find_server(tx: RegionTx, server_id: str) -> ServerMapping | None:
    return await tx.find(ServerMapping, server_mappings, server_id=server_id)


async def cell_of_server(tx: RegionTx, server_id: str) -> str | None:
    """None: it is not placed, or there is none."""
    cell_id: str | None = await tx.scalar(_CELL_OF, server_id=server_id)
    return cell_id


async def change_server(tx: RegionTx, server_id: str, **values: Any) -> None:
    await tx.change(server_mappings, {"server_id": server_id}, **values)


async def end_server(tx: RegionTx, server_id: str, now: datetime) -> None:
    """From now on it counts for nothing, and nobody's token opens a console of it. Safe to repeat."""
    await change_server(tx, server_id, deleted_at=now, group_id=None, host=None)
    await tx.remove(console_tokens, server_id=server_id)


async def servers_in(
    tx: RegionTx, cell_ids: Collection[str], project_id: str | None, limit: int
) -> list[ServerMapping]:
    """What is known of the servers in these cells without asking them, the newest first."""
    table = server_mappings.c
    statement = select(server_mappings).where(table.cell_id.in_(cell_ids), table.deleted_at.is_(None))
    if project_id is not None:
        statement = statement.where(table.project_id == project_id)
    return await tx.all(ServerMapping, statement.order_by(table.created_at.desc(), table.server_id.desc()).limit(limit))


async def has_servers(tx: RegionTx, cell_id: str) -> bool:
    table = server_mappings.c
    found = select(table.server_id).where(table.cell_id == cell_id, table.deleted_at.is_(None)).limit(1)
    return await tx.scalar(found) is not None


async def usage_of_project(tx: RegionTx, project_id: str) -> dict[str, int]:
    """`{"instances", "cores", "ram"}` in use in all cells; ram in MiB."""
    ((count, vcpus, memory_mib),) = await tx.tuples(_USAGE, project_id=project_id)
    return {"instances": count, "cores": vcpus, "ram": memory_mib}


async def usage_of_user(tx: RegionTx, project_id: str, user_id: str) -> dict[str, int]:
    """The same, of one user's servers in the project."""
    ((count, vcpus, memory_mib),) = await tx.tuples(_USAGE_OF_USER, project_id=project_id, user_id=user_id)
    return {"instances": count, "cores": vcpus, "ram": memory_mib}


async def forget_servers(tx: RegionTx, server_ids: Collection[str]) -> int:
    """Forgets servers for good, with their history; returns how many. The one with the highest number stays."""
    newest = await tx.scalar(_NEWEST_NUMBER)
    over = server_mappings.c.server_id.in_(server_ids)
    return await tx.execute(delete(server_mappings).where(over, server_mappings.c.number != newest))


async def remembered(tx: RegionTx, server_ids: Collection[str]) -> set[str]:
    """Those of these ids that are in the history of deleted servers; `tx` is of their cell."""
    statement = select(server_history.c.id).where(server_history.c.id.in_(server_ids))
    return {row[0] for row in await tx.tuples(statement)}
