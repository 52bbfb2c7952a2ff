"""Compute hosts: registration, and what is known of them.

A host that registers becomes service, hypervisor and resource provider at once (design §3): there is no state "up but
not mapped".
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import delete, func, select, update

from kilonova.compute.errors import HypervisorNotFound, ServiceNotFound
from kilonova.compute.service import Compute
from kilonova.compute.tables import Host, hosts
from kilonova.kit.agents import AgentUnreachable
from kilonova.kit.bus import RemoteError
from kilonova.kit.db import Tx


async def register(tx: Tx, *, binary: str, host: str, zone: str, inventory: Mapping[str, Any], now: datetime) -> Host:
    """Inserts the host or brings its row up to date. Safe to repeat."""
    known = await find(tx, binary, host)
    if known is not None:
        values = {"inventory": dict(inventory), "updated_at": now, "hypervisor_hostname": inventory["hostname"]}
        await tx.execute(update(hosts).where(hosts.c.id == known.id).values(**values))
    else:
        newest = await tx.scalar(select(func.max(hosts.c.number)))
        row = Host(
            id=str(uuid.uuid4()),
            number=(newest or 0) + 1,
            service_id=str(uuid.uuid4()),
            binary=binary,
            host=host,
            hypervisor_hostname=inventory["hostname"],
            availability_zone=zone,
            disabled=False,
            disabled_reason=None,
            forced_down=False,
            failed_builds=0,
            inventory=dict(inventory),
            created_at=now,
            updated_at=now,
        )
        await tx.insert(hosts, row)
    registered = await find(tx, binary, host)
    if registered is None:
        raise RuntimeError(f"{binary} on {host} was not registered")
    return registered


async def find(tx: Tx, binary: str, host: str) -> Host | None:
    return await tx.first(Host, select(hosts).where(hosts.c.binary == binary, hosts.c.host == host))


async def is_known(tx: Tx, host: str) -> bool:
    return await tx.scalar(select(hosts.c.id).where(hosts.c.host == host)) is not None


class HostState(Struct, frozen=True):
    """What tells whether a host serves."""

    binary: str
    host: str
    disabled: bool
    forced_down: bool


async def states_of(tx: Tx, names: Collection[str]) -> list[HostState]:
    table = hosts.c
    statement = select(table.binary, table.host, table.disabled, table.forced_down)
    return await tx.all(HostState, statement.where(table.host.in_(names)))


async def list_all(tx: Tx) -> list[Host]:
    return await tx.all(Host, select(hosts).order_by(hosts.c.number))


def by_zone(rows: Iterable[Host]) -> dict[str, list[Host]]:
    """Zone → its enabled hosts; a zone whose hosts are all disabled is there with none."""
    zones: dict[str, list[Host]] = {}
    for row in rows:
        enabled = zones.setdefault(row.availability_zone, [])
        if not row.disabled:
            enabled.append(row)
    return zones


async def find_service(tx: Tx, service_id: str) -> Host:
    """Raises ServiceNotFound."""
    row = await tx.first(Host, select(hosts).where(hosts.c.service_id == service_id))
    if row is None:
        raise ServiceNotFound(service_id)
    return row


async def find_hypervisor(tx: Tx, hypervisor_id: str) -> Host:
    """By its id, or by the number older versions show. Raises HypervisorNotFound."""
    wanted = hosts.c.number == int(hypervisor_id) if hypervisor_id.isdecimal() else hosts.c.id == hypervisor_id
    row = await tx.first(Host, select(hosts).where(wanted))
    if row is None:
        raise HypervisorNotFound(hypervisor_id)
    return row


async def uptime(compute: Compute, row: Host) -> str | None:
    """What uptime(1) says on the host; None when its agent does not answer."""
    try:
        return await compute.agents.call(row.host, "uptime", str)
    except (AgentUnreachable, RemoteError):
        return None


async def count_failed_build(tx: Tx, host: str) -> None:
    """What the scheduler's BuildFailureWeigher goes by: failures since the last build that went well."""
    await tx.execute(update(hosts).where(hosts.c.host == host).values(failed_builds=hosts.c.failed_builds + 1))


async def count_success(tx: Tx, host: str) -> None:
    await tx.execute(update(hosts).where(hosts.c.host == host, hosts.c.failed_builds > 0).values(failed_builds=0))


async def remove(tx: Tx, row: Host) -> None:
    await tx.execute(delete(hosts).where(hosts.c.id == row.id))


async def change(tx: Tx, row: Host, now: datetime, **values: Any) -> Host:
    await tx.execute(update(hosts).where(hosts.c.id == row.id).values(updated_at=now, **values))
    return await find_service(tx, row.service_id)
