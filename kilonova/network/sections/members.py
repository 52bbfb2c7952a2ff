"""The addresses of the ports of a security group, on every host: of guests' groups, and of those their rules name."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network import concerns
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import Asking, Spot, ids_of
from kilonova.network.tables import port_security_groups


class Members:
    name = "members"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.members_of(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        port_id = port_security_groups.c.port_id
        here = (port_security_groups.c.security_group_id == owner, port_id > after)
        return await ids_of(asking.tx, select(port_id).where(*here).order_by(port_id).limit(most))

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, tuple[str, ...]]:
        found = await asking.ports({spot.id for spot in spots})
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        members = {spot: _addresses(each) for spot, each in known.items() if spot.owner in each.group_ids}
        return {spot: each for spot, each in members.items() if each}


def _addresses(port: PortFacts) -> tuple[str, ...]:
    held = {fixed.ip_address for fixed in port.fixed_ips}
    return tuple(sorted(held.union(pair["ip_address"] for pair in port.allowed_address_pairs)))
