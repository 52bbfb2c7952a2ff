"""A host's interest: the owners it is told of, by section, found from its ports and routers in a few queries."""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import BindParameter, Select, bindparam, select

from kilonova.kit.db import Tx
from kilonova.network import concerns
from kilonova.network.routers import GATEWAY
from kilonova.network.sections.facts import Agents
from kilonova.network.segments.offered import TUNNELLED
from kilonova.network.tables import networks, port_bindings, port_security_groups, ports, routers, security_group_rules


class Interest(Struct, frozen=True):
    owners: Mapping[str, frozenset[str]]
    """Section → the owners whose objects the host is told of."""
    gateway_networks: frozenset[str] = frozenset()
    """Networks in which routers of the host have their gateway."""

    def follows(self, host: str) -> set[str]:
        """The names whose changes may change this: what the host has of ports, routers, networks and rules."""
        names = {concerns.host(host), concerns.carried_by(host)}
        names.update(concerns.network(each) for each in self.owners["networks"])
        names.update(concerns.group(each) for each in self.owners["groups"])
        names.update(concerns.router(each) for each in self.owners["routers"])
        return names


SERVED = frozenset({"networks", "leases", "routers", "floating_ips"})
"""Sections that hosts need for DHCP and for routers, whatever binds their ports."""


async def read_interest(tx: Tx, host: str, known: Agents, bound_by: Collection[str]) -> Interest:
    """`bound_by`: the sections that the cloud's mechanisms need."""
    found = await tx.tuples(_BOUND, host=host)
    served = await _ids(tx, _SERVED, host=host)
    carried = served.union(network_id for network_id, _ in found)
    groups = await _ids(tx, _GROUPS, host=host)
    named = await _ids(tx, _NAMED, groups=list(groups)) if groups else frozenset()
    tunnelled = await _ids(tx, _TUNNELLED, networks=list(carried))
    routed = await _ids(tx, _ROUTED, host=host)
    owners = {
        "networks": carried,
        "ports": frozenset({host}),
        "groups": groups,
        "members": groups | named,
        "leases": served,
        "stations": tunnelled if known.wants_stations(host) else frozenset(),
        "peers": tunnelled,
        "routers": routed,
        "floating_ips": routed,
    }
    needed = SERVED.union(bound_by)
    return Interest(
        {name: each if name in needed else frozenset() for name, each in owners.items()},
        frozenset(network_id for network_id, owner in found if owner == GATEWAY),
    )


_HOST: BindParameter[str] = bindparam("host")
_IS_BOUND = port_bindings.c.port_id == ports.c.id
_BOUND = (
    select(ports.c.network_id, ports.c.device_owner)
    .join(port_bindings, _IS_BOUND)
    .where(port_bindings.c.host == _HOST)
    .distinct()
)
_SERVED = select(networks.c.id).where(networks.c.dhcp_host == _HOST)
_GROUPS = (
    select(port_security_groups.c.security_group_id)
    .join(ports, ports.c.id == port_security_groups.c.port_id)
    .join(port_bindings, _IS_BOUND)
    .where(port_bindings.c.host == _HOST, ports.c.device_owner.not_like("network:%"))
    .distinct()
)
_NAMED = (
    select(security_group_rules.c.remote_group_id)
    .where(
        security_group_rules.c.security_group_id.in_(bindparam("groups", expanding=True)),
        security_group_rules.c.remote_group_id.is_not(None),
    )
    .distinct()
)
_TUNNELLED = select(networks.c.id).where(
    networks.c.id.in_(bindparam("networks", expanding=True)), networks.c.network_type.in_(TUNNELLED)
)
_ROUTED = select(routers.c.id).where(routers.c.host == _HOST)


async def _ids(tx: Tx, statement: Select[tuple[str]], **values: Any) -> frozenset[str]:
    return frozenset(each for (each,) in await tx.tuples(statement, **values))
