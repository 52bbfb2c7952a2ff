"""Bindings of ports: what the cloud's mechanisms make of a port on its host."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from kilonova.kit.db import Tx
from kilonova.network import networks, records
from kilonova.network.mechanisms.mechanism import UNBOUND, AgentsOfHost, Binding, Context
from kilonova.network.service import NetworkService
from kilonova.network.tables import Network, Port, agents


async def bind(
    tx: Tx, service: NetworkService, found: Sequence[Port], on: Mapping[str, Network] | None = None
) -> list[Binding]:
    """The bindings of ports on their hosts; agents and networks are read once for all of them.

    `on`: id → network, where the caller has read those already.
    """
    known = await _agents_of(tx, {each.host for each in found if each.host})
    if on is None:
        on = await networks.find_all(tx, {each.network_id for each in found if each.host})
    return [_bind(service, each, known, on) if each.host else UNBOUND for each in found]


def _bind(service: NetworkService, port: Port, known: Mapping[str, AgentsOfHost], on: Mapping[str, Network]) -> Binding:
    segment = networks.segment_of(on[port.network_id])
    return service.mechanisms.bind(Context(port.network_id, segment, port.vnic_type, known.get(port.host, {})))


async def _agents_of(tx: Tx, hosts: Collection[str]) -> dict[str, AgentsOfHost]:
    """Host → its agents."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for piece in records.chunks(sorted(hosts)):
        there = select(agents.c.host, agents.c.agent_type, agents.c.configurations).where(agents.c.host.in_(piece))
        for host, agent_type, configurations in await tx.tuples(there):
            found[host][agent_type] = configurations
    return dict(found)
