"""A host's interest: the owners it is told of, by section, found from its ports and routers in a few queries."""

from collections.abc import Collection, Mapping

from msgspec import Struct
from sqlalchemy import Select, select

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
    there, is_bound = port_bindings.c.host == host, port_bindings.c.port_id == ports.c.id
    bound = select(ports.c.network_id, ports.c.device_owner).join(port_bindings, is_bound)
    found = await tx.tuples(bound.where(there).distinct())
    served = await _ids(tx, select(networks.c.id).where(networks.c.dhcp_host == host))
    carried = served.union(network_id for network_id, _ in found)
    memberships = select(port_security_groups.c.security_group_id)
    memberships = memberships.join(ports, ports.c.id == port_security_groups.c.port_id).join(port_bindings, is_bound)
    groups = await _ids(tx, memberships.where(there, ports.c.device_owner.not_like("network:%")).distinct())
    naming = security_group_rules.c.security_group_id.in_(groups)
    remote = security_group_rules.c.remote_group_id
    named = await _ids(tx, select(remote).where(naming, remote.is_not(None)).distinct()) if groups else frozenset()
    is_tunnelled = networks.c.network_type.in_(TUNNELLED)
    tunnelled = await _ids(tx, select(networks.c.id).where(networks.c.id.in_(carried), is_tunnelled))
    routed = await _ids(tx, select(routers.c.id).where(routers.c.host == host))
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


async def _ids(tx: Tx, statement: Select[tuple[str]]) -> frozenset[str]:
    return frozenset(each for (each,) in await tx.tuples(statement))
