"""Host aggregates: their rules and transactions. An aggregate with a zone is where its hosts' zone comes from.

A host is in one zone: that of its one aggregate that has one, else the default zone. The zone stands in the host's row
as well, which is in its cell: `everywhere` is a transaction of each database with hosts (`cells.everywhere`).
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import structs
from sqlalchemy import func, select, update

from kilonova.compute.errors import AggregateConflict, AggregateNotFound, HostNotFound, NameExists
from kilonova.compute.hosts import hosts, loads
from kilonova.compute.notifications.records import tell_aggregate
from kilonova.compute.tables import Aggregate, aggregates, servers
from kilonova.compute.tables import hosts as host_table
from kilonova.compute.transactions import CellTx, RegionTx

ZONE = "availability_zone"
"""The metadata key that makes an aggregate a zone."""


async def insert(tx: RegionTx, name: str, zone: str | None, now: datetime) -> Aggregate:
    """Raises NameExists."""
    newest = await tx.scalar(select(func.max(aggregates.c.number)))
    aggregate = Aggregate(
        number=(newest or 0) + 1,
        id=str(uuid.uuid4()),
        name=name,
        hosts=[],
        metadata={} if zone is None else {ZONE: zone},
        created_at=now,
        updated_at=None,
    )
    if not await tx.insert_new(aggregates, aggregate):
        raise NameExists(f"Aggregate {name} already exists.")
    tell_aggregate(tx, aggregate, "create")
    return aggregate


async def list_all(tx: RegionTx) -> list[Aggregate]:
    return await tx.all(Aggregate, select(aggregates).order_by(aggregates.c.number))


async def find(tx: RegionTx, reference: str) -> Aggregate:
    """By its number. Raises AggregateNotFound."""
    found = None
    if reference.isdecimal() and len(reference) < 10:
        found = await tx.find(Aggregate, aggregates, number=int(reference))
    if found is None:
        raise AggregateNotFound(reference)
    return found


async def rename(tx: RegionTx, aggregate: Aggregate, name: str, now: datetime) -> None:
    """Raises NameExists."""
    taken = await tx.scalar(select(aggregates.c.number).where(aggregates.c.name == name))
    if taken not in (None, aggregate.number):
        raise NameExists(f"Aggregate {name} already exists.")
    await _write(tx, aggregate, now, "update_prop", name=name)


async def change_metadata(
    tx: RegionTx,
    everywhere: Sequence[CellTx],
    aggregate: Aggregate,
    changes: Mapping[str, str | None],
    default_zone: str,
    now: datetime,
) -> None:
    """None takes a key out. Raises AggregateConflict for a zone its hosts cannot have now."""
    merged = {**aggregate.metadata, **changes}
    metadata = {key: value for key, value in merged.items() if value is not None}
    if metadata.get(ZONE) != aggregate.metadata.get(ZONE):
        await _move(tx, everywhere, aggregate, aggregate.hosts, metadata.get(ZONE) or default_zone)
    await _write(tx, aggregate, now, "update_metadata", metadata=metadata)


async def add_host(tx: RegionTx, everywhere: Sequence[CellTx], aggregate: Aggregate, host: str, now: datetime) -> None:
    """Raises HostNotFound, AggregateConflict."""
    if not any([await hosts.is_known(each, host) for each in everywhere]):
        raise HostNotFound(host)
    if host in aggregate.hosts:
        raise AggregateConflict(f"Cannot add host to aggregate {aggregate.number}: aggregate has host {host} already.")
    zone = aggregate.metadata.get(ZONE)
    if zone is not None:
        await _move(tx, everywhere, aggregate, [host], zone)
    await _write(tx, aggregate, now, "add_host", hosts=[*aggregate.hosts, host])


async def remove_host(
    tx: RegionTx, everywhere: Sequence[CellTx], aggregate: Aggregate, host: str, default_zone: str, now: datetime
) -> None:
    """Raises HostNotFound, AggregateConflict."""
    if host not in aggregate.hosts:
        raise HostNotFound(host)
    if ZONE in aggregate.metadata:
        await _move(tx, everywhere, aggregate, [host], default_zone)
    await _write(tx, aggregate, now, "remove_host", hosts=[each for each in aggregate.hosts if each != host])


async def remove(tx: RegionTx, aggregate: Aggregate) -> None:
    """Raises AggregateConflict while hosts are in it."""
    if aggregate.hosts:
        raise AggregateConflict(f"Cannot delete aggregate {aggregate.number}: host aggregate is not empty.")
    if await tx.remove(aggregates, number=aggregate.number):
        tell_aggregate(tx, aggregate, "delete")


async def forget_host(tx: RegionTx, host: str, now: datetime) -> None:
    """Takes a host that is no more out of every aggregate."""
    for aggregate in await list_all(tx):
        if host in aggregate.hosts:
            await _write(tx, aggregate, now, "remove_host", hosts=[each for each in aggregate.hosts if each != host])


async def place_new_host(tx: RegionTx, host: str, zone: str, now: datetime) -> None:
    """A host that registers with a zone of its own joins the aggregate of that zone, which is made if there is none.

    Only a new one: where an administrator has put it since is not the host's to say.
    """
    for aggregate in await list_all(tx):
        if aggregate.metadata.get(ZONE) == zone:
            await _write(tx, aggregate, now, "add_host", hosts=[*aggregate.hosts, host])
            return
    aggregate = await insert(tx, zone, zone, now)
    await _write(tx, aggregate, now, "add_host", hosts=[host])


async def _move(tx: RegionTx, everywhere: Sequence[CellTx], aggregate: Aggregate, moved: list[str], zone: str) -> None:
    """Into `zone`. Raises AggregateConflict for a host that is in another aggregate's, or has servers: they were
    promised the old one.
    """
    for other in await list_all(tx):
        theirs = other.metadata.get(ZONE)
        twice = sorted(set(moved) & set(other.hosts))
        if other.number != aggregate.number and theirs not in (None, zone) and twice:
            raise AggregateConflict(
                f"Cannot put host {twice[0]} into availability zone {zone}: it is in {theirs} already."
            )
    table = host_table.c
    for each in everywhere:
        elsewhere = select(table.host).where(table.host.in_(moved), table.availability_zone != zone)
        leaving = [host for (host,) in await each.tuples(elsewhere)]
        if not leaving:
            continue
        busy = select(servers.c.host).where(servers.c.host.in_(leaving)).order_by(servers.c.host).limit(1)
        host = await each.scalar(busy)
        if host is not None:
            raise AggregateConflict(f"One or more hosts contain instances in this zone: {host}.")
        await each.execute(update(host_table).where(table.host.in_(leaving)).values(availability_zone=zone))
        for left in leaving:
            await loads.mark_changed(each, left)


async def _write(tx: RegionTx, aggregate: Aggregate, now: datetime, verb: str, **values: Any) -> None:
    """`verb`: what listeners are told (`tell_aggregate`)."""
    found = aggregates.c.number == aggregate.number
    before = await tx.scalar(select(aggregates.c.updated_at).where(found))
    # Later than the last time, whatever clock this is: it is the version that others know the row by (`memberships`).
    later = now if before is None else max(now, before + timedelta(microseconds=1))
    await tx.execute(update(aggregates).where(found).values(updated_at=later, **values))
    tell_aggregate(tx, structs.replace(aggregate, **values), verb)
