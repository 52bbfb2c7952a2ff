"""Guests' ports on the host, and those that it gets ready for: of ACTIVE bindings and others."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network import concerns
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import Asking, Spot, ids_of
from kilonova.network.tables import port_bindings, ports
from kilonova.network.wanted import AddressPair, WantedPort


class Ports:
    name = "ports"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.host(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        port_id = port_bindings.c.port_id
        bound = select(port_id).join(ports, ports.c.id == port_id).where(port_bindings.c.host == owner, port_id > after)
        guests = bound.where(ports.c.device_owner.not_like("network:%"))
        return await ids_of(asking.tx, guests.order_by(port_id).limit(most))

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, WantedPort]:
        found = await asking.ports([spot.id for spot in spots])
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        return {spot: _port(each) for spot, each in known.items() if spot.owner in each.hosts and not each.is_internal}


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
    )
