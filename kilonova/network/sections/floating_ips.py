"""The floating IPs of the routers that the host carries."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.kit.db.statements import rows_among
from kilonova.network import concerns
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import AFTER, MOST, OWNER, Asking, Spot, ids_of
from kilonova.network.tables import FloatingIp, floating_ips
from kilonova.network.wanted import WantedFloatingIp


class FloatingIps:
    name = "floating_ips"
    is_single = False

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.floating_of(owner)]

    async def ids(self, asking: Asking, owner: str, after: str, most: int) -> list[str]:
        return await ids_of(asking.tx, _IDS, owner=owner, after=after, most=most)

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, WantedFloatingIp]:
        ids = [spot.id for spot in spots]
        found = {each.id: each for each in await asking.tx.all(FloatingIp, rows_among(floating_ips, "id"), id=ids)}
        known = {spot: found[spot.id] for spot in spots if spot.id in found}
        return {spot: _floating_ip(each) for spot, each in known.items() if each.router_id == spot.owner}


_IDS = (
    select(floating_ips.c.id)
    .where(floating_ips.c.router_id == OWNER, floating_ips.c.id > AFTER)
    .order_by(floating_ips.c.id)
    .limit(MOST)
)


def _floating_ip(floating: FloatingIp) -> WantedFloatingIp:
    return WantedFloatingIp(
        floating.id, floating.floating_ip_address, floating.fixed_ip_address or "", floating.fixed_port_id or ""
    )
