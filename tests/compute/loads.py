"""The loads of hosts, as they are kept and as a recount of all servers has them."""

from typing import Any

from sqlalchemy import case, func, select

from kilonova.compute.hosts import takings
from kilonova.compute.hosts.index import HostIndex
from kilonova.compute.tables import Host, host_loads, hosts, servers
from kilonova.kit.db import Database
from kilonova.kit.db.expressions import total

Loads = dict[str, tuple[int, int]]
"""Host → its servers, and how many of them are being built."""

RECOUNT = (
    select(servers.c.host, func.count(), total(case((servers.c.vm_state == "building", 1), else_=0)))
    .where(servers.c.host.is_not(None))
    .group_by(servers.c.host)
)
KEPT = select(host_loads.c.host, host_loads.c.servers, host_loads.c.building)


async def check_loads(database: Database, index: HostIndex | None = None) -> None:
    """What is kept is what a recount finds; what `index` knows, and one that begins now, is what the database has."""
    async with database.reading() as tx:
        counted: Loads = {host: (count, building) for host, count, building in await tx.tuples(RECOUNT)}
        kept: Loads = {host: (count, building) for host, count, building in await tx.tuples(KEPT)}
        rows = await tx.all(Host, select(hosts).order_by(hosts.c.number))
        taken = await takings.on_hosts(tx, [row.host for row in rows])
        topologies = [takings.topology_of(row, taken.get(row.host, ())) for row in rows]
    assert {host: load for host, load in kept.items() if load != (0, 0)} == counted
    for each in (HostIndex(), index):
        if each is not None:
            async with database.reading() as tx:
                known: list[Any] = list((await each.refresh(tx)).hosts.values())
            assert [one.row for one in known] == rows
            loads = {one.state.host: (one.state.servers, one.state.building) for one in known}
            assert loads == {row.host: counted.get(row.host, (0, 0)) for row in rows}
            assert [_described(one.state) for one in known] == [_described_row(row) for row in rows]
            assert [one.state.topology for one in known] == topologies


def _described(state: Any) -> tuple[Any, ...]:
    return (state.id, state.availability_zone, state.is_disabled, state.failed_builds)


def _described_row(row: Host) -> tuple[Any, ...]:
    return (row.id, row.availability_zone, row.disabled, row.failed_builds)
