"""The hosts that carry a vxlan network, by their underlay addresses: frames for many receivers go to all of them."""

from collections.abc import Collection, Mapping

from sqlalchemy import select, union

from kilonova.network import concerns
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import Asking, Spot, ids_of
from kilonova.network.tables import networks, port_bindings, ports


class Peers:
    name = "peers"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.peers_of(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        host = port_bindings.c.host
        there = select(host.label("host")).join(ports, ports.c.id == port_bindings.c.port_id)
        there = there.where(ports.c.network_id == owner, host > after)
        serving = select(networks.c.dhcp_host.label("host")).where(networks.c.id == owner, networks.c.dhcp_host > after)
        both = union(there, serving).subquery()
        return await ids_of(asking.tx, select(both.c.host).order_by(both.c.host).limit(most))

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, str]:
        tunnel_ips = asking.agents.tunnel_ips
        reachable = [spot for spot in spots if spot.id in tunnel_ips]
        carrying = await asking.facts.carrying(asking.tx, asking.revision, reachable)
        return {spot: tunnel_ips[spot.id] for spot in reachable if spot in carrying}
