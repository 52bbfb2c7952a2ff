"""Guests' ports on the host, and those that it gets ready for: of ACTIVE bindings and others."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network import concerns
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import AFTER, MOST, OWNER, Asking, Spot, ids_of
from kilonova.network.tables import port_bindings, ports
from kilonova.network.wanted import AddressPair, WantedPort


class Ports:
    name = "ports"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.host(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return await ids_of(asking.tx, _IDS, owner=owner, after=after, most=most)

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, WantedPort]:
        found = await asking.ports([spot.id for spot in spots])
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        return {spot: _port(each) for spot, each in known.items() if spot.owner in each.hosts and not each.is_internal}


_PORT_ID = port_bindings.c.port_id
_IDS = (
    select(_PORT_ID)
    .join(ports, ports.c.id == _PORT_ID)
    .where(port_bindings.c.host == OWNER, _PORT_ID > AFTER, ports.c.device_owner.not_like("network:%"))
    .order_by(_PORT_ID)
    .limit(MOST)
)


def _port(port: PortFacts) -> WantedPort:
    pairs = (AddressPair(pair["ip_address"], pair["mac_address"]) for pair in port.allowed_address_pairs)
    return WantedPort(
        id=port.id,
        network_id=port.network_id,
        device_id=port.device_id,
        mac_address=port.mac_address,
        fixed_ips=tuple(port.fixed_ips),
        admin_state_up=port.admin_state_up,
        port_security_enabled=port.port_security_enabled,
        allowed_address_pairs=tuple(pairs),
        security_group_ids=tuple(port.group_ids),
        project_id=port.project_id,
        is_moving=len(port.hosts) > 1,
    )
