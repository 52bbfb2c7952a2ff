"""The hosts that carry a vxlan network, by their underlay addresses: frames for many receivers go to all of them."""

from collections.abc import Collection, Mapping

from sqlalchemy import select, union

from kilonova.network import concerns
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import AFTER, MOST, OWNER, Asking, Spot, ids_of
from kilonova.network.tables import networks, port_bindings, ports


class Peers:
    name = "peers"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.peers_of(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return await ids_of(asking.tx, _IDS, owner=owner, after=after, most=most)

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, str]:
        tunnel_ips = asking.agents.tunnel_ips
        reachable = [spot for spot in spots if spot.id in tunnel_ips]
        carrying = await asking.facts.carrying(asking.tx, asking.revision, reachable)
        return {spot: tunnel_ips[spot.id] for spot in reachable if spot in carrying}


_THERE = (
    select(port_bindings.c.host.label("host"))
    .join(ports, ports.c.id == port_bindings.c.port_id)
    .where(ports.c.network_id == OWNER, port_bindings.c.host > AFTER)
)
_SERVING = select(networks.c.dhcp_host.label("host")).where(networks.c.id == OWNER, networks.c.dhcp_host > AFTER)
_BOTH = union(_THERE, _SERVING).subquery()
_IDS = select(_BOTH.c.host).order_by(_BOTH.c.host).limit(MOST)
