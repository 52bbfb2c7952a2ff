"""The addresses of the ports of a security group, on every host: of guests' groups, and of those their rules name."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network import concerns
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import AFTER, MOST, OWNER, Asking, Spot, ids_of
from kilonova.network.tables import port_security_groups


class Members:
    name = "members"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.members_of(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return await ids_of(asking.tx, _IDS, owner=owner, after=after, most=most)

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, tuple[str, ...]]:
        found = await asking.ports({spot.id for spot in spots})
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        members = {spot: _addresses(each) for spot, each in known.items() if spot.owner in each.group_ids}
        return {spot: each for spot, each in members.items() if each}


_PORT_ID = port_security_groups.c.port_id
_IDS = (
    select(_PORT_ID)
    .where(port_security_groups.c.security_group_id == OWNER, _PORT_ID > AFTER)
    .order_by(_PORT_ID)
    .limit(MOST)
)


def _addresses(port: PortFacts) -> tuple[str, ...]:
    held = {fixed.ip_address for fixed in port.fixed_ips}
    return tuple(sorted(held.union(pair["ip_address"] for pair in port.allowed_address_pairs)))
