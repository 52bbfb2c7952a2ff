"""Bindings of ports: on which hosts a port is, and what the cloud's mechanisms make of it there.

A port has one ACTIVE binding, whose host is empty while the port is on none. It may have INACTIVE ones on other hosts,
which get ready for it: a live migration adds one before it starts, and activates it when the guest has moved.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, select, update

from kilonova.kit.db import Tx
from kilonova.network import concerns, networks, records
from kilonova.network.concerns import Concern
from kilonova.network.errors import (
    InvalidInput,
    PortBindingAlreadyActive,
    PortBindingAlreadyExists,
    PortBindingError,
    PortBindingNotFound,
)
from kilonova.network.mechanisms.mechanism import FAILED, UNBOUND, AgentsOfHost, Binding, Context
from kilonova.network.service import NetworkService
from kilonova.network.tables import ACTIVE, Port, PortBinding, agents, port_bindings, ports

INACTIVE = "INACTIVE"
FIELDS = ("host", "vnic_type", "binding_profile")
"""What of a port its ACTIVE binding says, and may be changed."""


class Place(NamedTuple):
    """The network and host that a port is to be bound on; an empty host leaves it unbound."""

    network_id: str
    host: str
    vnic_type: str


async def bind(tx: Tx, service: NetworkService, places: Sequence[Place]) -> list[Binding]:
    """What mechanisms make of ports there; agents and networks are read once for all of them."""
    bound = [each for each in places if each.host]
    if not bound:
        return [UNBOUND for _ in places]
    known = await _agents_of(tx, {each.host for each in bound})
    on = await networks.find_all(tx, {each.network_id for each in bound})

    def bind_one(place: Place) -> Binding:
        segment = networks.segment_of(on[place.network_id])
        context = Context(place.network_id, segment, place.vnic_type, known.get(place.host, {}))
        return service.mechanisms.bind(context)

    return [bind_one(each) if each.host else UNBOUND for each in places]


async def _agents_of(tx: Tx, hosts: Collection[str]) -> Mapping[str, AgentsOfHost]:
    """Host → its agents."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for piece in records.chunks(sorted(hosts)):
        for host, agent_type, configurations in await tx.tuples(_AGENTS_OF, hosts=piece):
            found[host][agent_type] = configurations
    return found


_AGENTS_OF = select(agents.c.host, agents.c.agent_type, agents.c.configurations).where(
    agents.c.host.in_(bindparam("hosts", expanding=True))
)


async def insert(tx: Tx, service: NetworkService, port: Port) -> None:
    """The ACTIVE binding of a new port; `port` is told what became of it."""
    (binding,) = await bind(tx, service, [Place(port.network_id, port.host, port.vnic_type)])
    port.vif_type, port.vif_details = binding.vif_type, binding.vif_details
    await tx.insert(port_bindings, _row(port.id, port.host, ACTIVE, binding, port.vnic_type, port.binding_profile))


def _row(
    port_id: str, host: str, status: str, binding: Binding, vnic_type: str, profile: dict[str, Any]
) -> PortBinding:
    return PortBinding(port_id, host, status, binding.vif_type, binding.vif_details, vnic_type, profile)


async def change(
    tx: Tx, service: NetworkService, port: Port, hosts: Sequence[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `values` (FIELDS) into the port's ACTIVE binding, and binds it anew where it is another then. Returns what
    that made of it. The caller holds the port's row by having changed it; `hosts` are those that the port has."""
    host, vnic_type = values.get("host", port.host), values.get("vnic_type", port.vnic_type)
    news: dict[str, Any] = {}
    if "host" in values or "vnic_type" in values:
        (binding,) = await bind(tx, service, [Place(port.network_id, host, vnic_type)])
        news = {"vif_type": binding.vif_type, "vif_details": binding.vif_details}
    if host != port.host and len(hosts) > 1:
        # It is there now; and a port that is nowhere waits nowhere.
        others = _of(port.id, port_bindings.c.status == INACTIVE)
        await tx.execute(delete(port_bindings).where(others & (port_bindings.c.host == host) if host else others))
    written = {"host": host, "vnic_type": vnic_type, **news}
    if "binding_profile" in values:
        written["profile"] = values["binding_profile"]
    await tx.execute(update(port_bindings).where(_of(port.id, port_bindings.c.status == ACTIVE)).values(**written))
    return news


def _of(port_id: str, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    found = port_bindings.c.port_id == port_id
    for each in conditions:
        found &= each
    return found


async def move(tx: Tx, service: NetworkService, found: Sequence[Port], host: str) -> None:
    """Brings ports of the network service's own to another host, or nowhere, in an update for each network."""
    there = [(each.id, Place(each.network_id, host, each.vnic_type)) for each in found]
    await _bind_all(tx, service, there, port_bindings.c.status == ACTIVE)


async def bind_again(tx: Tx, service: NetworkService, host: str) -> None:
    """Binds what is on a host whose agents are others now, in an update for each network."""
    of_host = port_bindings.c.host == host
    bound = select(ports.c.id, ports.c.network_id, port_bindings.c.vnic_type)
    bound = bound.join(port_bindings, port_bindings.c.port_id == ports.c.id).where(of_host)
    there = [(port_id, Place(on, host, vnic_type)) for port_id, on, vnic_type in await tx.tuples(bound)]
    await _bind_all(tx, service, there, of_host)


async def _bind_all(
    tx: Tx, service: NetworkService, found: Sequence[tuple[str, Place]], which: ColumnElement[bool]
) -> None:
    """Writes what mechanisms make of ports by their ids; `which` says which of their bindings are meant."""
    ids: dict[Place, list[str]] = defaultdict(list)
    for port_id, place in found:
        ids[place].append(port_id)
    for place, binding in zip(ids, await bind(tx, service, list(ids)), strict=True):
        values = {"host": place.host, "vif_type": binding.vif_type, "vif_details": binding.vif_details}
        for piece in records.chunks(ids[place]):
            await tx.execute(update(port_bindings).where(port_bindings.c.port_id.in_(piece), which).values(**values))


async def of_port(tx: Tx, port_id: str) -> list[PortBinding]:
    """The ACTIVE one, then the others by their hosts."""
    statement = select(port_bindings).where(_of(port_id))
    return await tx.all(PortBinding, statement.order_by(port_bindings.c.status, port_bindings.c.host))


async def hosts_of(tx: Tx, port: Port) -> list[str]:
    """The hosts of all bindings of a port. A port that is on none waits on none."""
    if not port.host:
        return []
    return [host for (host,) in await tx.tuples(select(port_bindings.c.host).where(_of(port.id)))]


def hosts_then(hosts: Sequence[str], before: str, after: str) -> list[str]:
    """The hosts of a port once its ACTIVE binding has gone from one host to another."""
    return [after, *(each for each in hosts if each not in (before, after))] if after else []


def concerned_by(port: Port, hosts: Iterable[str], carrying: Collection[str] = ()) -> list[Concern]:
    """Who has to hear that a port is bound on these hosts, or is no more. `carrying`: those of them that carry its
    network without it, so that other hosts know them already."""
    found = [Concern(concerns.ports_of(port.network_id), port.id)]
    for host in hosts:
        found.append(Concern(concerns.host(host), port.id))
        if host not in carrying:
            found.append(Concern(concerns.peers_of(port.network_id), host))
    return found


_OTHER = (
    select(port_bindings.c.host)
    .join(ports, ports.c.id == port_bindings.c.port_id)
    .where(
        port_bindings.c.host == bindparam("host"),
        ports.c.network_id == bindparam("network_id"),
        ports.c.id != bindparam("port_id"),
    )
    .limit(1)
)


async def with_others(tx: Tx, port: Port, hosts: Iterable[str]) -> set[str]:
    """Which of the hosts have other ports of the port's network."""
    place = {"network_id": port.network_id, "port_id": port.id}
    return {host for host in hosts if await tx.scalar(_OTHER, host=host, **place) is not None}


async def add(
    tx: Tx, service: NetworkService, port: Port, host: str, *, profile: dict[str, Any] | None = None
) -> PortBinding:
    """Gives a guest's port an INACTIVE binding, so that the host gets ready for it. Raises InvalidInput,
    PortBindingAlreadyExists, PortBindingError when no mechanism can bind it there."""
    if not port.host or port.device_owner.startswith("network:"):
        raise InvalidInput(f"port {port.id} is not on a host as a guest's port: it can have no other binding.")
    (binding,) = await bind(tx, service, [Place(port.network_id, host, port.vnic_type)])
    if binding == FAILED:
        raise PortBindingError(port.id, host)
    row = _row(port.id, host, INACTIVE, binding, port.vnic_type, profile or {})
    if not await tx.insert_new(port_bindings, row):
        raise PortBindingAlreadyExists(port.id, host)
    await _touch(tx, service, port, {})
    await records.raise_revision(tx, *await _concerned(tx, port, host))
    return row


async def _concerned(tx: Tx, port: Port, host: str) -> list[Concern]:
    """Returns who has to hear of an INACTIVE binding; the host that has the port hears whether the port moves."""
    return [
        *concerned_by(port, [host], await with_others(tx, port, [host])),
        Concern(concerns.host(port.host), port.id),
    ]


async def activate(tx: Tx, service: NetworkService, port: Port, host: str) -> None:
    """Makes a port's INACTIVE binding the ACTIVE one, and the other way round. The port is DOWN until the host's agent
    says otherwise. Raises PortBindingNotFound, PortBindingAlreadyActive, and RevisionNumberConstraintFailed when the
    port is not as it was read."""
    if host == port.host:
        raise PortBindingAlreadyActive(port.id, host)
    await _touch(tx, service, port, {"status": "DOWN"})
    await _set_status(tx, port.id, port.host, ACTIVE, INACTIVE)
    await _set_status(tx, port.id, host, INACTIVE, ACTIVE)
    # The new host is told of the port once more, so that its agent says once more whether it is up.
    hosts = [port.host, host]
    await records.raise_revision(tx, *concerned_by(port, hosts, await with_others(tx, port, hosts)))


async def _touch(tx: Tx, service: NetworkService, port: Port, values: Mapping[str, Any]) -> None:
    """A port's row stands for all of its bindings: whoever changes one has read them as they are."""
    await records.change(tx, ports, port, service.clock.now(), values)


async def _set_status(tx: Tx, port_id: str, host: str, before: str, after: str) -> None:
    there = _of(port_id, port_bindings.c.host == host, port_bindings.c.status == before)
    if not await tx.execute(update(port_bindings).where(there).values(status=after)):
        raise PortBindingNotFound(port_id, host)


async def remove(tx: Tx, service: NetworkService, port: Port, host: str) -> None:
    """Takes away an INACTIVE binding: its host gives up what it has of the port. Raises PortBindingNotFound,
    PortBindingAlreadyActive."""
    if host == port.host:
        raise PortBindingAlreadyActive(port.id, host)
    there = _of(port.id, port_bindings.c.host == host, port_bindings.c.status == INACTIVE)
    if not await tx.execute(delete(port_bindings).where(there)):
        raise PortBindingNotFound(port.id, host)
    await _touch(tx, service, port, {})
    await records.raise_revision(tx, *await _concerned(tx, port, host))
