"""Compute hosts: registration, and what is known of them.

A host that registers becomes service, hypervisor and resource provider at once (design §3): there is no state "up but
not mapped". Its row is in the database of its cell.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, func, select, update

from kilonova.compute.agent.contract import UPTIME
from kilonova.compute.errors import HypervisorNotFound, ServiceNotFound
from kilonova.compute.hosts import control_daemons, loads
from kilonova.compute.notifications.records import tell_service
from kilonova.compute.region import cells
from kilonova.compute.service import Cell, Region
from kilonova.compute.tables import CellMapping, Host, hosts
from kilonova.compute.transactions import CellTx
from kilonova.kit.agents import AgentKey, AgentUnreachable, NoArguments
from kilonova.kit.bus import RemoteError
from kilonova.kit.errors import NotFound
from kilonova.kit.log import logger

log = logger(__name__)


class NewHost(Struct, frozen=True):
    """A host as its agent describes it."""

    binary: str
    host: str
    zone: str
    inventory: Mapping[str, Any]


async def register(tx: CellTx, new: NewHost, now: datetime, *, number: int | None = None) -> Host:
    """Inserts the host or brings its row up to date. Safe to repeat. `number`: that of its mapping."""
    binary, host, zone, inventory = new.binary, new.host, new.zone, new.inventory
    known = await find(tx, binary, host)
    if known is not None:
        values = {"inventory": dict(inventory), "updated_at": now, "hypervisor_hostname": inventory["hostname"]}
        await tx.change(hosts, {"id": known.id}, **values)
    else:
        if number is None:
            number = (await tx.scalar(select(func.max(hosts.c.number))) or 0) + 1
        row = Host(
            id=str(uuid.uuid4()),
            number=number,
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
        tell_service(tx, row, "create")
    await loads.mark_changed(tx, host)
    registered = await find(tx, binary, host)
    if registered is None:
        raise RuntimeError(f"{binary} on {host} was not registered")
    return registered


async def find(tx: CellTx, binary: str, host: str) -> Host | None:
    return await tx.find(Host, hosts, binary=binary, host=host)


async def is_known(tx: CellTx, host: str) -> bool:
    return await tx.scalar(_ID_OF, host=host) is not None


_ID_OF = select(hosts.c.id).where(hosts.c.host == bindparam("host"))


class HostState(Struct, frozen=True):
    """What tells whether a host serves."""

    binary: str
    host: str
    disabled: bool
    forced_down: bool


async def states_of(tx: CellTx, names: Collection[str]) -> list[HostState]:
    table = hosts.c
    statement = select(table.binary, table.host, table.disabled, table.forced_down)
    return await tx.all(HostState, statement.where(table.host.in_(names)))


async def list_agents(tx: CellTx) -> list[AgentKey]:
    return [(binary, host) for binary, host in await tx.tuples(select(hosts.c.binary, hosts.c.host))]


async def list_all(tx: CellTx) -> list[Host]:
    return await tx.all(Host, _ALL)


_ALL = select(hosts).order_by(hosts.c.number)


def by_zone(rows: Iterable[Host]) -> dict[str, list[Host]]:
    """Zone → its enabled hosts; a zone whose hosts are all disabled is there with none."""
    zones: dict[str, list[Host]] = {}
    for row in rows:
        enabled = zones.setdefault(row.availability_zone, [])
        if not row.disabled:
            enabled.append(row)
    return zones


async def find_service(tx: CellTx, service_id: str) -> Host:
    """Raises ServiceNotFound."""
    row = await tx.find(Host, hosts, service_id=service_id)
    if row is None:
        raise ServiceNotFound(service_id)
    return row


async def find_hypervisor(tx: CellTx, hypervisor_id: str) -> Host:
    """By its id, or by the number older versions show. Raises HypervisorNotFound."""
    wanted = (
        hosts.c.number == int(hypervisor_id)
        if hypervisor_id.isdecimal() and len(hypervisor_id) < 10
        else hosts.c.id == hypervisor_id
    )
    row = await tx.first(Host, select(hosts).where(wanted))
    if row is None:
        raise HypervisorNotFound(hypervisor_id)
    return row


@dataclass(frozen=True, slots=True)
class PlacedHost:
    """A host, and the service on its cell's database."""

    cell: Cell
    host: Host


async def everywhere(region: Region) -> list[PlacedHost]:
    """Those of all cells that answer, by number."""
    return (await look_everywhere(region))[0]


async def look_everywhere(region: Region) -> tuple[list[PlacedHost], list[CellMapping]]:
    """The same, and the cells that do not answer."""

    async def ask(_cell: Cell, tx: CellTx) -> list[Host]:
        return await list_all(tx)

    gathered = await cells.gather(region, ask)
    found = [PlacedHost(cell, each) for cell, rows in gathered.answers for each in rows]
    return sorted(found, key=lambda each: each.host.number), gathered.down


async def locate(region: Region, look: Callable[[CellTx], Awaitable[Host]]) -> PlacedHost:
    """The host that `look` finds in some cell. Raises what `look` raises where there is none."""

    async def ask(_cell: Cell, tx: CellTx) -> Host | NotFound:
        try:
            return await look(tx)
        except NotFound as error:
            return error

    gathered = await cells.gather(region, ask)
    for cell, found in gathered.answers:
        if isinstance(found, Host):
            return PlacedHost(cell, found)
    raise next(error for error in gathered.values() if isinstance(error, NotFound))


async def look_after(region: Region) -> None:
    """Asks the agents of all cells, and the daemons beside them, whether they live.

    Where it cannot be read who they are, nobody is asked: nobody is held to be down for that.
    """

    async def ask(_cell: Cell, tx: CellTx) -> list[AgentKey]:
        return await list_agents(tx)

    gathered = await cells.gather(region, ask)
    async with region.reading() as tx:
        daemons = [(each.binary, each.host) for each in await control_daemons.list_all(tx)]
    keys = {id(region.here.liveness): (region.here.liveness, daemons)}
    for cell, agents in gathered.answers:
        keys.setdefault(id(cell.liveness), (cell.liveness, []))[1].extend(agents)
    await asyncio.gather(*(liveness.look(agents) for liveness, agents in keys.values()))


async def uptime(cell: Cell, row: Host) -> str | None:
    """What uptime(1) says on the host; None when its agent does not answer."""
    try:
        return await cell.agents.call(row.host, UPTIME, NoArguments())
    except (AgentUnreachable, RemoteError):
        return None


async def count_failed_build(tx: CellTx, host: str) -> None:
    """What the scheduler's BuildFailureWeigher goes by: failures since the last build that went well."""
    await tx.execute(update(hosts).where(hosts.c.host == host).values(failed_builds=hosts.c.failed_builds + 1))
    await loads.mark_changed(tx, host)


async def count_success(tx: CellTx, host: str) -> None:
    if await tx.execute(_FORGIVING, by_host=host):
        await loads.mark_changed(tx, host)


_FORGIVING = (
    update(hosts).where(hosts.c.host == bindparam("by_host"), hosts.c.failed_builds > 0).values(failed_builds=0)
)


async def remove(tx: CellTx, row: Host) -> None:
    if await tx.remove(hosts, id=row.id):
        tell_service(tx, row, "delete")
    await loads.mark_changed(tx, row.host)


async def change(tx: CellTx, row: Host, now: datetime, **values: Any) -> Host:
    await tx.change(hosts, {"id": row.id}, updated_at=now, **values)
    await loads.mark_changed(tx, row.host)
    changed = await find_service(tx, row.service_id)
    tell_service(tx, changed, "update")
    return changed
