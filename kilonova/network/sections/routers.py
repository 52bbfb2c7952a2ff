"""The routers that the host carries."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import select

from kilonova.network import concerns
from kilonova.network.ports import ROUTER_OWNERS
from kilonova.network.routers import GATEWAY, INTERFACE
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.networks import routes
from kilonova.network.sections.section import Asking, Single, Spot, ids_of
from kilonova.network.tables import Router, ports, routers, subnets
from kilonova.network.wanted import RouterGateway, RouterInterface, WantedRouter


class Routers(Single):
    name = "routers"

    def names(self, owner: str, interest: Interest) -> list[str]:
        # A router's next hops out are what the external networks' subnets say.
        return [concerns.router(owner), *(concerns.network(each) for each in interest.gateway_networks)]

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, WantedRouter]:
        tx, wanted = asking.tx, [spot.owner for spot in spots]
        found = await tx.all(Router, select(routers).where(routers.c.id.in_(wanted), routers.c.host == asking.host))
        owned = select(ports.c.id).where(ports.c.device_id.in_(wanted), ports.c.device_owner.in_(ROUTER_OWNERS))
        attached: dict[str, list[PortFacts]] = defaultdict(list)
        for _, port in sorted((await asking.ports(await ids_of(tx, owned))).items()):
            attached[port.device_id].append(port)
        hops = await _next_hops(asking, [port for each in attached.values() for port in each])
        return {Spot(each.id, each.id): _router(each, attached[each.id], hops) for each in found}


async def _next_hops(asking: Asking, attached: list[PortFacts]) -> dict[str, str]:
    """Subnet id → its gateway, for the subnets in which routers have theirs."""
    used = {fixed.subnet_id for port in attached if port.device_owner == GATEWAY for fixed in port.fixed_ips}
    if not used:
        return {}
    statement = select(subnets.c.id, subnets.c.gateway_ip).where(subnets.c.id.in_(used))
    return {subnet_id: hop for subnet_id, hop in await asking.tx.tuples(statement) if hop}


def _router(router: Router, attached: list[PortFacts], hops: Mapping[str, str]) -> WantedRouter:
    return WantedRouter(
        id=router.id,
        project_id=router.project_id,
        admin_state_up=router.admin_state_up,
        interfaces=tuple(_interface(each) for each in attached if each.device_owner == INTERFACE),
        gateway=next((_gateway(router, each, hops) for each in attached if each.device_owner == GATEWAY), None),
        routes=routes(router.routes),
    )


def _interface(port: PortFacts) -> RouterInterface:
    return RouterInterface(port.id, port.network_id, port.mac_address, tuple(port.fixed_ips))


def _gateway(router: Router, port: PortFacts, hops: Mapping[str, str]) -> RouterGateway:
    return RouterGateway(
        port_id=port.id,
        network_id=port.network_id,
        mac_address=port.mac_address,
        fixed_ips=tuple(port.fixed_ips),
        gateway_ips=tuple(sorted({hops[each.subnet_id] for each in port.fixed_ips if each.subnet_id in hops})),
        enable_snat=router.enable_snat,
    )
