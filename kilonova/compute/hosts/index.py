"""The hosts of one cell with their loads, in memory, as the database has them.

The one rule: nothing is taken from memory before the database was asked what has changed (docs/decisions/0035). Every
change of a host or of its load gives it the next revision (`loads.py`); `HostIndex.refresh` reads what has a later one
than the last it saw, in the transaction that asks.
"""

import asyncio
from collections.abc import Mapping

from msgspec import Struct, structs
from sqlalchemy import BindParameter, bindparam, select

from kilonova.compute.hosts import takings
from kilonova.compute.hosts.memberships import Memberships
from kilonova.compute.scheduling.hosts import HostAggregate, HostState
from kilonova.compute.scheduling.numa.hosts import HostTopology
from kilonova.compute.tables import Host, HostLoad, host_loads, hosts
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentKey

BATCH = 500
"""Host names in one IN (...), and rows read before others get their turn."""


class KnownHost(Struct, frozen=True):
    row: Host
    state: HostState
    """The host as the scheduler sees it, but for its room and whether it answers, which the database does not know: it
    is up here unless an administrator says that it is down."""
    agent: AgentKey


class Snapshot(Struct, frozen=True):
    """All hosts as of one revision. Never changed: who got it may go on while a newer one is made."""

    revision: int
    hosts: Mapping[str, KnownHost]
    """By name, in the order of their numbers."""
    memberships: Memberships = Memberships()
    """The aggregates that the hosts are shown in."""


class HostIndex:
    """One for each cell that a process places servers in. Empty until it is first asked."""

    def __init__(self) -> None:
        self._snapshot = Snapshot(-1, {})
        self._refreshing = asyncio.Lock()

    async def refresh(self, tx: CellTx) -> Snapshot:
        """All hosts as `tx` sees them.

        It has to be the first that is read in `tx`: then no other refresh of this process has seen a later state.
        """
        async with self._refreshing:
            known = self._snapshot
            found = await tx.all(HostLoad, _SINCE, known=known.revision)
            if not found and known.revision >= 0:
                # Some host has the revision that is known or a later one, unless the database is an older one.
                known = Snapshot(-1, {}, known.memberships)
                found = await tx.all(HostLoad, _SINCE, known=known.revision)
            changes = [each for each in found if each.revision > known.revision]
            if changes or known is not self._snapshot:
                revision = max((each.revision for each in changes), default=known.revision)
                self._snapshot = Snapshot(revision, await _members(tx, known, changes), known.memberships)
            return self._snapshot

    def join(self, snapshot: Snapshot, memberships: Memberships) -> Snapshot:
        """Returns the same hosts, shown in these aggregates. It is kept: only a change of aggregates costs anything."""
        if snapshot.memberships is memberships:
            return snapshot
        joined = Snapshot(
            snapshot.revision,
            {
                name: KnownHost(each.row, structs.replace(each.state, aggregates=memberships.of(name)), each.agent)
                for name, each in snapshot.hosts.items()
            },
            memberships,
        )
        if self._snapshot is snapshot:
            self._snapshot = joined
        return joined


async def _members(tx: CellTx, known: Snapshot, changes: list[HostLoad]) -> dict[str, KnownHost]:
    """Returns the hosts of `known` with the changes applied, in the order of their numbers."""
    members = dict(known.hosts)
    renewed = [each.host for each in changes if each.row_revision > known.revision]
    rows = await _rows(tx, renewed)
    topologies = await _topologies(tx, rows)
    for host in renewed:
        members.pop(host, None)
    for each in changes:
        earlier = members.get(each.host)
        row = rows.get(each.host) or (earlier.row if earlier else None)
        # The API database counts servers on their way to hosts of other cells.
        if row is not None:
            topology = earlier.state.topology if earlier else topologies.get(row.host)
            state = _state(row, each, known.memberships.of(row.host), topology)
            members[each.host] = KnownHost(row, state, (row.binary, row.host))
    if renewed:
        members = dict(sorted(members.items(), key=lambda item: item[1].row.number))
    return members


async def _rows(tx: CellTx, names: list[str]) -> dict[str, Host]:
    """Name → row, of those hosts that there are."""
    found: dict[str, Host] = {}
    for start in range(0, len(names), BATCH):
        found.update((each.host, each) for each in await tx.all(Host, _ROWS, names=names[start : start + BATCH]))
        # A large cell that is read for the first time does not keep everybody else waiting.
        await asyncio.sleep(0)
    return found


async def _topologies(tx: CellTx, rows: Mapping[str, Host]) -> dict[str, HostTopology | None]:
    """Name → the host's NUMA nodes and what is taken of them, of those that tell theirs."""
    telling = [row for row in rows.values() if row.inventory.get("topology") is not None]
    found: dict[str, HostTopology | None] = {}
    for start in range(0, len(telling), BATCH):
        batch = telling[start : start + BATCH]
        taken = await takings.on_hosts(tx, [row.host for row in batch])
        found.update((row.host, takings.topology_of(row, taken.get(row.host, ()))) for row in batch)
        await asyncio.sleep(0)
    return found


def _state(
    row: Host, load: HostLoad, aggregates: tuple[HostAggregate, ...], topology: HostTopology | None
) -> HostState:
    return HostState(
        id=row.id,
        host=row.host,
        hypervisor_hostname=row.hypervisor_hostname,
        availability_zone=row.availability_zone,
        is_disabled=row.disabled,
        disabled_reason=row.disabled_reason,
        servers=load.servers,
        building=load.building,
        failed_builds=row.failed_builds,
        hypervisor_type=row.inventory["hypervisor_type"],
        supported_instances=tuple((one, two, three) for one, two, three in row.inventory["supported_instances"]),
        hypervisor_version=row.inventory.get("hypervisor_version", 0),
        inventory=row.inventory,
        aggregates=aggregates,
        topology=topology,
        is_up=not row.forced_down,
    )


_SINCE = select(host_loads).where(host_loads.c.revision >= bindparam("known"))
_NAMES: BindParameter[list[str]] = bindparam("names", expanding=True)
_ROWS = select(hosts).where(hosts.c.host.in_(_NAMES))
