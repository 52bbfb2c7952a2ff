"""Where each port of a vxlan network is, for hosts whose agents want to know it (`l2_population`)."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network.sections.facts import Agents, PortFacts
from kilonova.network.sections.section import AFTER, MOST, OWNER, Asking, Spot, ids_of, names_of_ports
from kilonova.network.state import Station
from kilonova.network.tables import bound_ports


class Stations:
    name = "stations"
    is_single = False
    names = staticmethod(names_of_ports)

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return await ids_of(asking.tx, _IDS, owner=owner, after=after, most=most)

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, Station]:
        found = await asking.ports([spot.id for spot in spots])
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        return {spot: _station(each, asking.agents) for spot, each in known.items() if each.host}


_IDS = (
    select(bound_ports.c.id)
    .where(bound_ports.c.network_id == OWNER, bound_ports.c.host != "", bound_ports.c.id > AFTER)
    .order_by(bound_ports.c.id)
    .limit(MOST)
)


def _station(port: PortFacts, agents: Agents) -> Station:
    return Station(
        host=port.host,
        tunnel_ip=agents.tunnel_ips.get(port.host, ""),
        mac_address=port.mac_address,
        ip_addresses=tuple(sorted(fixed.ip_address for fixed in port.fixed_ips)),
        has_others=not port.is_internal and bool(port.allowed_address_pairs or not port.port_security_enabled),
    )
