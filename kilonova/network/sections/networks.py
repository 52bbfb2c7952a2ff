"""The networks that have ports on the host, or whose DHCP it serves."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import BindParameter, bindparam, select

from kilonova.kit.db.statements import rows_among
from kilonova.network import concerns
from kilonova.network.ports import DHCP_OWNER
from kilonova.network.sections.facts import PortFacts
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import Asking, Single, Spot, ids_of
from kilonova.network.tables import Network, Subnet, networks, ports, subnets
from kilonova.network.wanted import HostRoute, WantedDhcp, WantedNetwork, WantedSubnet


class Networks(Single):
    name = "networks"

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.network(owner)]

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, WantedNetwork]:
        tx, wanted = asking.tx, [spot.owner for spot in spots]
        found = await tx.all(Network, rows_among(networks, "id"), id=wanted)
        of_network: dict[str, list[Subnet]] = defaultdict(list)
        for subnet in await tx.all(Subnet, _SUBNETS, networks=wanted):
            of_network[subnet.network_id].append(subnet)
        served = [each.id for each in found if each.dhcp_host == asking.host]
        services = await asking.ports(await ids_of(tx, _SERVICES, networks=served) if served else ())
        by_network = {each.network_id: each for each in services.values()}
        return {
            Spot(each.id, each.id): _network(asking, each, of_network[each.id], by_network.get(each.id))
            for each in found
        }


_WANTED: BindParameter[list[str]] = bindparam("networks", expanding=True)
_SUBNETS = select(subnets).where(subnets.c.network_id.in_(_WANTED)).order_by(subnets.c.created_at, subnets.c.id)
_SERVICES = select(ports.c.id).where(ports.c.network_id.in_(_WANTED), ports.c.device_owner == DHCP_OWNER)


def _network(asking: Asking, network: Network, its_subnets: list[Subnet], service: PortFacts | None) -> WantedNetwork:
    mappings = asking.agents.configurations.get(asking.host, {}).get("bridge_mappings") or {}
    kind = network.network_type
    return WantedNetwork(
        id=network.id,
        network_type=kind,
        mtu=network.mtu,
        project_id=network.project_id,
        physical_network=network.physical_network,
        segmentation_id=network.segmentation_id,
        subnets=tuple(_subnet(each) for each in its_subnets),
        dhcp=_dhcp(service, asking.facts.dns_domain) if service is not None else None,
        bridge=mappings.get(network.physical_network or "") if kind == "flat" else None,
    )


def _subnet(subnet: Subnet) -> WantedSubnet:
    return WantedSubnet(
        id=subnet.id,
        cidr=subnet.cidr,
        ip_version=subnet.ip_version,
        gateway_ip=subnet.gateway_ip,
        enable_dhcp=subnet.enable_dhcp,
        dns_nameservers=tuple(subnet.dns_nameservers),
        host_routes=routes(subnet.host_routes),
        ipv6_ra_mode=subnet.ipv6_ra_mode,
        ipv6_address_mode=subnet.ipv6_address_mode,
    )


def routes(given: Iterable[Mapping[str, str]]) -> tuple[HostRoute, ...]:
    return tuple(HostRoute(each["destination"], each["nexthop"]) for each in given)


def _dhcp(service: PortFacts, dns_domain: str) -> WantedDhcp:
    return WantedDhcp(service.id, service.mac_address, tuple(service.fixed_ips), hosts=(), dns_domain=dns_domain)
