"""Compiles what one host's network should look like, from the tables, in a handful of queries.

Rules are compiled once a group and membership is a set (design §5): a port costs the same in a group of ten thousand.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct
from sqlalchemy import select

from kilonova.kit.db import Tx
from kilonova.network import dns_names, records, security_groups
from kilonova.network import ports as ports_domain
from kilonova.network.ports import PortWithDetails
from kilonova.network.routers import GATEWAY, INTERFACE
from kilonova.network.tables import (
    Address,
    FloatingIp,
    Network,
    Port,
    PortSecurityGroup,
    Router,
    Subnet,
    addresses,
    floating_ips,
    networks,
    port_security_groups,
    ports,
    routers,
    subnets,
)
from kilonova.network.wanted import (
    AddressPair,
    DhcpHost,
    FixedIp,
    HostRoute,
    RouterGateway,
    RouterInterface,
    WantedDhcp,
    WantedFloatingIp,
    WantedNetwork,
    WantedPort,
    WantedRouter,
    WantedRule,
    WantedSecurityGroup,
    WantedState,
    WantedSubnet,
)

DHCP = "network:dhcp"


class _Found(Struct):
    """Everything the document is made of, read in one transaction."""

    networks: dict[str, Network]
    subnets: dict[str, Subnet]
    guests: list[PortWithDetails]
    leases: dict[str, list[PortWithDetails]]
    """Network id → its ports, for the networks whose DHCP this host serves."""
    dhcp_ports: dict[str, PortWithDetails]
    routers: list[Router]
    router_ports: dict[str, list[PortWithDetails]]
    floating: dict[str, list[FloatingIp]]
    peers: dict[str, list[str]]
    dns_domain: str


async def wanted_state(tx: Tx, host: str, tunnel_ips: Mapping[str, str], dns_domain: str) -> WantedState:
    """The document for `host`. `tunnel_ips`: host → its underlay address, for vxlan peers."""
    found = await _read(tx, host, tunnel_ips, dns_domain)
    group_ids = {group for guest in found.guests for group in guest.security_group_ids}
    return WantedState(
        revision=await records.current_revision(tx),
        networks=tuple(_network(found, each, host) for each in found.networks.values()),
        ports=tuple(_port(found, each) for each in found.guests),
        security_groups=tuple(await _groups(tx, group_ids)),
        routers=tuple(_router(found, each) for each in found.routers),
    )


async def _read(tx: Tx, host: str, tunnel_ips: Mapping[str, str], dns_domain: str) -> _Found:
    on_host = await tx.all(Port, select(ports).where(ports.c.host == host).order_by(ports.c.id))
    guests = await ports_domain.with_details(tx, [each for each in on_host if not _is_internal(each)])
    carried = await tx.all(Router, select(routers).where(routers.c.host == host).order_by(routers.c.id))
    of_routers = select(ports).where(
        ports.c.device_id.in_([each.id for each in carried]), ports.c.device_owner.in_((INTERFACE, GATEWAY))
    )
    router_ports: dict[str, list[PortWithDetails]] = defaultdict(list)
    for each in await ports_domain.with_details(tx, await tx.all(Port, of_routers.order_by(ports.c.id))):
        router_ports[each.port.device_id].append(each)
    served = await tx.all(Network, select(networks).where(networks.c.dhcp_host == host))
    network_ids = {each.port.network_id for each in guests} | {each.id for each in served}
    network_ids |= {each.port.network_id for group in router_ports.values() for each in group}
    leases, dhcp_ports = await _leases(tx, [each.id for each in served])
    statement = select(networks).where(networks.c.id.in_(network_ids)).order_by(networks.c.id)
    return _Found(
        networks={each.id: each for each in await tx.all(Network, statement)},
        subnets=await _subnets(tx, network_ids),
        guests=guests,
        leases=leases,
        dhcp_ports=dhcp_ports,
        routers=carried,
        router_ports=router_ports,
        floating=await _floating(tx, [each.id for each in carried]),
        peers=await _peers(tx, network_ids, host, tunnel_ips),
        dns_domain=dns_domain,
    )


def _is_internal(port: Port) -> bool:
    return port.device_owner.startswith("network:")


async def _subnets(tx: Tx, network_ids: Collection[str]) -> dict[str, Subnet]:
    statement = select(subnets).where(subnets.c.network_id.in_(network_ids)).order_by(subnets.c.created_at)
    return {each.id: each for each in await tx.all(Subnet, statement)}


async def _leases(
    tx: Tx, network_ids: list[str]
) -> tuple[dict[str, list[PortWithDetails]], dict[str, PortWithDetails]]:
    statement = select(ports).where(ports.c.network_id.in_(network_ids)).order_by(ports.c.id)
    leases: dict[str, list[PortWithDetails]] = defaultdict(list)
    dhcp_ports: dict[str, PortWithDetails] = {}
    for each in await ports_domain.with_details(tx, await tx.all(Port, statement)):
        if each.port.device_owner == DHCP:
            dhcp_ports[each.port.network_id] = each
        elif each.port.device_owner not in (GATEWAY, "network:floatingip"):
            leases[each.port.network_id].append(each)
    return leases, dhcp_ports


async def _floating(tx: Tx, router_ids: list[str]) -> dict[str, list[FloatingIp]]:
    found: dict[str, list[FloatingIp]] = defaultdict(list)
    statement = select(floating_ips).where(floating_ips.c.router_id.in_(router_ids)).order_by(floating_ips.c.id)
    for each in await tx.all(FloatingIp, statement):
        found[each.router_id or ""].append(each)
    return found


async def _peers(
    tx: Tx, network_ids: Collection[str], host: str, tunnel_ips: Mapping[str, str]
) -> dict[str, list[str]]:
    """Network id → underlay addresses of the other hosts that have a port of it, or serve it."""
    pairs = await tx.tuples(
        select(ports.c.network_id, ports.c.host)
        .where(ports.c.network_id.in_(network_ids), ports.c.host != "")
        .distinct()
    )
    pairs += await tx.tuples(select(networks.c.id, networks.c.dhcp_host).where(networks.c.id.in_(network_ids)))
    peers: dict[str, set[str]] = defaultdict(set)
    for network_id, other in pairs:
        if other and other != host and other in tunnel_ips:
            peers[network_id].add(tunnel_ips[other])
    return {network_id: sorted(others) for network_id, others in peers.items()}


def _network(found: _Found, network: Network, host: str) -> WantedNetwork:
    mine = [each for each in found.subnets.values() if each.network_id == network.id]
    kind = network.network_type
    return WantedNetwork(
        id=network.id,
        network_type="flat" if kind == "flat" else "vxlan" if kind == "vxlan" else "local",
        mtu=network.mtu,
        project_id=network.project_id,
        physical_network=network.physical_network,
        segmentation_id=network.segmentation_id,
        subnets=tuple(_subnet(each) for each in mine),
        dhcp=_dhcp(found, network) if network.dhcp_host == host else None,
        peer_tunnel_ips=tuple(found.peers.get(network.id, ())),
    )


def _subnet(subnet: Subnet) -> WantedSubnet:
    return WantedSubnet(
        id=subnet.id,
        cidr=subnet.cidr,
        ip_version=subnet.ip_version,
        gateway_ip=subnet.gateway_ip,
        enable_dhcp=subnet.enable_dhcp,
        dns_nameservers=tuple(subnet.dns_nameservers),
        host_routes=_routes(subnet.host_routes),
    )


def _routes(routes: Iterable[Mapping[str, str]]) -> tuple[HostRoute, ...]:
    return tuple(HostRoute(each["destination"], each["nexthop"]) for each in routes)


def _dhcp(found: _Found, network: Network) -> WantedDhcp | None:
    own = found.dhcp_ports.get(network.id)
    if own is None:
        return None
    hosts = [
        DhcpHost(
            mac_address=each.port.mac_address,
            ip_address=address.ip_address,
            hostname=dns_names.host_name(address.ip_address, each.port.dns_name, found.dns_domain),
            subnet_id=address.subnet_id,
            port_id=each.port.id,
            device_id=each.port.device_id,
            project_id=each.port.project_id,
        )
        for each in found.leases.get(network.id, ())
        for address in each.addresses
    ]
    return WantedDhcp(
        port_id=own.port.id,
        mac_address=own.port.mac_address,
        fixed_ips=_fixed_ips(found, own),
        hosts=tuple(sorted(hosts, key=lambda each: (each.port_id, each.ip_address))),
        dns_domain=found.dns_domain,
    )


def _fixed_ips(found: _Found, each: PortWithDetails) -> tuple[FixedIp, ...]:
    return tuple(
        FixedIp(address.ip_address, address.subnet_id, _prefix_length(found.subnets[address.subnet_id]))
        for address in each.addresses
    )


def _prefix_length(subnet: Subnet) -> int:
    return int(subnet.cidr.rpartition("/")[2])


def _port(found: _Found, each: PortWithDetails) -> WantedPort:
    port = each.port
    pairs = (AddressPair(pair["ip_address"], pair["mac_address"]) for pair in port.allowed_address_pairs)
    return WantedPort(
        id=port.id,
        network_id=port.network_id,
        device_id=port.device_id,
        mac_address=port.mac_address,
        fixed_ips=_fixed_ips(found, each),
        admin_state_up=port.admin_state_up,
        port_security_enabled=port.port_security_enabled,
        allowed_address_pairs=tuple(pairs),
        security_group_ids=tuple(each.security_group_ids),
        project_id=port.project_id,
    )


async def _groups(tx: Tx, group_ids: Collection[str]) -> list[WantedSecurityGroup]:
    """The groups of this host's guests with their rules, and every group those rules name, for its members."""
    rules = await security_groups.rules_of(tx, sorted(group_ids))
    named = {rule.remote_group_id for each in rules.values() for rule in each if rule.remote_group_id}
    members = await _members(tx, set(group_ids) | named)
    return [
        WantedSecurityGroup(
            id=group_id,
            rules=tuple(
                WantedRule(
                    direction="ingress" if rule.direction == "ingress" else "egress",
                    ethertype="IPv4" if rule.ethertype == "IPv4" else "IPv6",
                    protocol=rule.protocol,
                    port_range_min=rule.port_range_min,
                    port_range_max=rule.port_range_max,
                    remote_ip_prefix=security_groups.normal_prefix(rule.remote_ip_prefix),
                    remote_group_id=rule.remote_group_id,
                )
                for rule in rules.get(group_id, ())
            ),
            member_ips=tuple(sorted(members.get(group_id, ()))),
        )
        for group_id in sorted(set(group_ids) | named)
    ]


async def _members(tx: Tx, group_ids: Collection[str]) -> dict[str, set[str]]:
    """Group id → addresses of its ports, on every host, with their allowed address pairs."""
    membership = select(port_security_groups).where(port_security_groups.c.security_group_id.in_(group_ids))
    groups_of: dict[str, list[str]] = defaultdict(list)
    for each in await tx.all(PortSecurityGroup, membership):
        groups_of[each.port_id].append(each.security_group_id)
    found: dict[str, set[str]] = defaultdict(set)
    of_ports = select(addresses).where(addresses.c.port_id.in_(list(groups_of)))
    for address in await tx.all(Address, of_ports):
        for group_id in groups_of[address.port_id]:
            found[group_id].add(address.ip_address)
    pairs = select(ports.c.id, ports.c.allowed_address_pairs).where(ports.c.id.in_(list(groups_of)))
    for port_id, allowed in await tx.tuples(pairs):
        for group_id in groups_of[port_id]:
            found[group_id].update(pair["ip_address"] for pair in allowed)
    return found


def _router(found: _Found, router: Router) -> WantedRouter:
    attached = found.router_ports.get(router.id, [])
    return WantedRouter(
        id=router.id,
        project_id=router.project_id,
        admin_state_up=router.admin_state_up,
        interfaces=tuple(_interface(found, each) for each in attached if each.port.device_owner == INTERFACE),
        gateway=next((_gateway(found, router, each) for each in attached if each.port.device_owner == GATEWAY), None),
        floating_ips=tuple(
            WantedFloatingIp(each.id, each.floating_ip_address, each.fixed_ip_address or "", each.fixed_port_id or "")
            for each in found.floating.get(router.id, ())
        ),
        routes=_routes(router.routes),
    )


def _interface(found: _Found, each: PortWithDetails) -> RouterInterface:
    port = each.port
    return RouterInterface(port.id, port.network_id, port.mac_address, _fixed_ips(found, each))


def _gateway(found: _Found, router: Router, each: PortWithDetails) -> RouterGateway:
    port = each.port
    next_hops = {found.subnets[address.subnet_id].gateway_ip for address in each.addresses}
    return RouterGateway(
        port_id=port.id,
        network_id=port.network_id,
        mac_address=port.mac_address,
        fixed_ips=_fixed_ips(found, each),
        gateway_ips=tuple(sorted(hop for hop in next_hops if hop)),
        enable_snat=router.enable_snat,
    )
