"""Compiles what one host's network should look like, from the tables, in a handful of queries.

Rules are compiled once a group and membership is a set (design §5): a port costs the same in a group of ten thousand.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import String, cast, or_, select

from kilonova.kit.db import Tx
from kilonova.network import agents, concerns, dhcp_options, dns_names, security_groups
from kilonova.network.ports import DHCP_OWNER, ROUTER_OWNERS
from kilonova.network.routers import GATEWAY, INTERFACE
from kilonova.network.tables import (
    FloatingIp,
    Network,
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
    DhcpOption,
    FixedIp,
    HostRoute,
    RemotePort,
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

WITHOUT_LEASE = (DHCP_OWNER, GATEWAY, "network:floatingip")
"""Ports that ask nobody for their address."""


_COLUMNS = (
    "id",
    "network_id",
    "mac_address",
    "device_id",
    "device_owner",
    "host",
    "project_id",
    "admin_state_up",
    "port_security_enabled",
    "allowed_address_pairs",
    "dns_name",
    "extra_dhcp_opts",
)


class Surroundings(Struct):
    """What the documents of all hosts share, at one revision: read once, however many hosts ask.

    The next revision's are a copy without what has changed, never the same object changed: a transaction that began
    earlier may still be filling this one.
    """

    revision: int
    tunnel_ips: Mapping[str, str]
    """Host → its underlay address, for vxlan peers."""
    dns_domain: str
    bridge_agents: Mapping[str, Mapping[str, Any]]
    """Host → what its bridge agent has told of itself."""
    stations: dict[str, "_Stations"] = {}
    """Network id → its ports and where they are, for the networks that were asked for so far."""
    rules: dict[str, tuple[WantedRule, ...]] = {}
    """Security group id → its rules, for the groups that were asked for so far."""
    members: dict[str, tuple[str, ...]] = {}
    """Security group id → its members' addresses, likewise."""


def without_changed(around: Surroundings, revision: int, changed: Collection[str]) -> Surroundings:
    """Of `around`, what still holds at `revision`, when nothing but `changed` (`concerns.py`) has changed."""
    return Surroundings(
        revision=revision,
        tunnel_ips=around.tunnel_ips,
        dns_domain=around.dns_domain,
        bridge_agents=around.bridge_agents,
        stations={key: value for key, value in around.stations.items() if concerns.ports_of(key) not in changed},
        rules={key: value for key, value in around.rules.items() if concerns.group(key) not in changed},
        members={key: value for key, value in around.members.items() if concerns.members_of(key) not in changed},
    )


async def surroundings(tx: Tx, revision: int, dns_domain: str) -> Surroundings:
    found = await agents.of_type(tx, agents.BRIDGE_AGENT)
    return Surroundings(
        revision=revision,
        tunnel_ips=agents.tunnel_ips(found),
        dns_domain=dns_domain,
        bridge_agents={each.host: each.configurations for each in found},
    )


class _Stations(Struct):
    """The ports of one network on all hosts."""

    ports: list[tuple[str, str, tuple[str, ...]]] = []
    """(host, MAC address, addresses)"""
    are_addresses_known: bool = True


class _Port(Struct):
    """What of a port a document is made of. The first fields are `_COLUMNS`, in their order."""

    id: str
    network_id: str
    mac_address: str
    device_id: str
    device_owner: str
    host: str
    project_id: str
    admin_state_up: bool
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]
    dns_name: str
    extra_dhcp_opts: list[dict[str, Any]]
    addresses: list[tuple[str, str]] = []
    """(address, subnet id), in order."""
    group_ids: list[str] = []

    @property
    def is_internal(self) -> bool:
        return self.device_owner.startswith("network:")


class _Found(Struct):
    """Everything the document is made of, read in one transaction."""

    networks: dict[str, Network]
    subnets: dict[str, Subnet]
    ports: list[_Port]
    """Those on this host, and all of the networks whose DHCP it serves."""
    routers: list[Router]
    floating: dict[str, list[FloatingIp]]
    peers: dict[str, list[str]]
    dns_domain: str


async def wanted_state(tx: Tx, host: str, around: Surroundings) -> WantedState:
    """The document for `host`."""
    found = await _read(tx, host, around)
    guests = [each for each in found.ports if each.host == host and not each.is_internal]
    group_ids = {group_id for each in guests for group_id in each.group_ids}
    return WantedState(
        # What was read before the rest: a change that this transaction sees half is told once more.
        revision=around.revision,
        networks=tuple(
            [
                _network(found, each, host, await _remote(tx, each, host, around), around)
                for each in found.networks.values()
            ]
        ),
        ports=tuple(_port(found, each) for each in guests),
        security_groups=tuple(await _groups(tx, group_ids, around)),
        routers=tuple(_router(found, each) for each in found.routers),
    )


async def _read(tx: Tx, host: str, around: Surroundings) -> _Found:
    carried = await tx.all(Router, select(routers).where(routers.c.host == host).order_by(routers.c.id))
    served = [each for (each,) in await tx.tuples(select(networks.c.id).where(networks.c.dhcp_host == host))]
    found = await _ports(tx, host, served)
    network_ids = {each.network_id for each in found if each.host == host} | set(served)
    statement = select(networks).where(networks.c.id.in_(network_ids)).order_by(networks.c.id)
    return _Found(
        networks={each.id: each for each in await tx.all(Network, statement)},
        subnets=await _subnets(tx, network_ids),
        ports=found,
        routers=carried,
        floating=await _floating(tx, [each.id for each in carried]),
        peers=await _peers(tx, network_ids, host, around.tunnel_ips),
        dns_domain=around.dns_domain,
    )


async def _ports(tx: Tx, host: str, served: list[str]) -> list[_Port]:
    """In three queries, however many there are."""
    wanted = or_(ports.c.host == host, ports.c.network_id.in_(served))
    columns = [ports.c[name] for name in _COLUMNS]
    found = [_Port(*row) for row in await tx.tuples(select(*columns).where(wanted).order_by(ports.c.id))]
    by_id = {each.id: each for each in found}
    held = select(addresses.c.port_id, addresses.c.ip_address, addresses.c.subnet_id)
    held = held.where(addresses.c.port_id.in_(select(ports.c.id).where(wanted))).order_by(addresses.c.position)
    for port_id, ip_address, subnet_id in await tx.tuples(held):
        by_id[port_id].addresses.append((ip_address, subnet_id))
    memberships = select(port_security_groups.c.port_id, port_security_groups.c.security_group_id)
    memberships = memberships.where(port_security_groups.c.port_id.in_(select(ports.c.id).where(ports.c.host == host)))
    for port_id, group_id in await tx.tuples(memberships.order_by(port_security_groups.c.security_group_id)):
        by_id[port_id].group_ids.append(group_id)
    return found


async def _subnets(tx: Tx, network_ids: Collection[str]) -> dict[str, Subnet]:
    statement = select(subnets).where(subnets.c.network_id.in_(network_ids)).order_by(subnets.c.created_at)
    return {each.id: each for each in await tx.all(Subnet, statement)}


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


class _Remote(Struct):
    ports: tuple[RemotePort, ...] = ()
    are_addresses_known: bool = False


async def _remote(tx: Tx, network: Network, host: str, around: Surroundings) -> _Remote:
    """Where the network's ports on other hosts are, for an agent that wants to know it (`l2_population`)."""
    is_wanted = around.bridge_agents.get(host, {}).get("l2_population") and host in around.tunnel_ips
    if network.network_type != "vxlan" or not is_wanted:
        return _Remote()
    if network.id not in around.stations:
        around.stations[network.id] = await _read_stations(tx, network.id)
    stations = around.stations[network.id]
    return _Remote(
        tuple(
            RemotePort(mac_address, around.tunnel_ips[other], ip_addresses)
            for other, mac_address, ip_addresses in stations.ports
            if other != host and other in around.tunnel_ips
        ),
        stations.are_addresses_known,
    )


async def _read_stations(tx: Tx, network_id: str) -> _Stations:
    columns = [ports.c[name] for name in ("id", "host", "mac_address", "device_owner")]
    guards = (ports.c.port_security_enabled, ports.c.allowed_address_pairs)
    here = (ports.c.network_id == network_id) & (ports.c.host != "")
    held: dict[str, list[str]] = defaultdict(list)
    of_them = select(addresses.c.port_id, addresses.c.ip_address).where(addresses.c.network_id == network_id)
    for port_id, ip_address in await tx.tuples(of_them.order_by(addresses.c.ip_address)):
        held[port_id].append(ip_address)
    found = _Stations()
    for port_id, host, mac_address, owner, is_secure, pairs in await tx.tuples(
        select(*columns, *guards).where(here).order_by(ports.c.id)
    ):
        found.ports.append((host, mac_address, tuple(held[port_id])))
        if not owner.startswith("network:") and (pairs or not is_secure):
            found.are_addresses_known = False
    return found


def _network(found: _Found, network: Network, host: str, remote: _Remote, around: Surroundings) -> WantedNetwork:
    mappings = around.bridge_agents.get(host, {}).get("bridge_mappings") or {}
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
        remote_ports=remote.ports,
        are_addresses_known=remote.are_addresses_known,
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
        host_routes=_routes(subnet.host_routes),
        ipv6_ra_mode=subnet.ipv6_ra_mode,
        ipv6_address_mode=subnet.ipv6_address_mode,
    )


def _routes(routes: Iterable[Mapping[str, str]]) -> tuple[HostRoute, ...]:
    return tuple(HostRoute(each["destination"], each["nexthop"]) for each in routes)


def _dhcp(found: _Found, network: Network) -> WantedDhcp | None:
    here = [each for each in found.ports if each.network_id == network.id]
    own = next((each for each in here if each.device_owner == DHCP_OWNER), None)
    if own is None:
        return None
    hosts = [
        DhcpHost(
            mac_address=each.mac_address,
            ip_address=ip_address,
            hostname=dns_names.host_name(ip_address, each.dns_name, found.dns_domain),
            subnet_id=subnet_id,
            port_id=each.id,
            device_id=each.device_id,
            project_id=each.project_id,
            options=_options(each, 6 if ":" in ip_address else 4),
        )
        for each in here
        if each.device_owner not in WITHOUT_LEASE
        for ip_address, subnet_id in sorted(each.addresses)
    ]
    return WantedDhcp(
        port_id=own.id,
        mac_address=own.mac_address,
        fixed_ips=_fixed_ips(found, own),
        hosts=tuple(hosts),
        dns_domain=found.dns_domain,
    )


def _fixed_ips(found: _Found, port: _Port) -> tuple[FixedIp, ...]:
    return tuple(
        FixedIp(ip_address, subnet_id, int(found.subnets[subnet_id].cidr.rpartition("/")[2]))
        for ip_address, subnet_id in port.addresses
    )


def _port(found: _Found, port: _Port) -> WantedPort:
    pairs = (AddressPair(pair["ip_address"], pair["mac_address"]) for pair in port.allowed_address_pairs)
    return WantedPort(
        id=port.id,
        network_id=port.network_id,
        device_id=port.device_id,
        mac_address=port.mac_address,
        fixed_ips=_fixed_ips(found, port),
        admin_state_up=port.admin_state_up,
        port_security_enabled=port.port_security_enabled,
        allowed_address_pairs=tuple(pairs),
        security_group_ids=tuple(port.group_ids),
        project_id=port.project_id,
    )


def _options(port: _Port, ip_version: int) -> tuple[DhcpOption, ...]:
    """Those of one IP version. Earlier releases stored what no server would send."""
    return tuple(
        DhcpOption(each["opt_name"], each["opt_value"])
        for each in port.extra_dhcp_opts
        if each["ip_version"] == ip_version
        and dhcp_options.is_sendable(each["opt_name"], each["opt_value"], ip_version)
    )


async def _groups(tx: Tx, group_ids: set[str], around: Surroundings) -> list[WantedSecurityGroup]:
    """The groups of this host's guests with their rules, and every group those rules name, for its members."""
    await _read_rules(tx, group_ids - around.rules.keys(), around)
    named = {rule.remote_group_id for each in group_ids for rule in around.rules[each] if rule.remote_group_id}
    everyone = group_ids | named
    await _read_members(tx, everyone - around.members.keys(), around)
    return [
        WantedSecurityGroup(
            id=group_id,
            rules=around.rules[group_id] if group_id in group_ids else (),
            member_ips=around.members[group_id],
        )
        for group_id in sorted(everyone)
    ]


async def _read_rules(tx: Tx, group_ids: Collection[str], around: Surroundings) -> None:
    for group_id, rules in (await security_groups.rules_of(tx, sorted(group_ids))).items():
        around.rules[group_id] = tuple(
            WantedRule(
                direction="ingress" if rule.direction == "ingress" else "egress",
                ethertype="IPv4" if rule.ethertype == "IPv4" else "IPv6",
                protocol=rule.protocol,
                port_range_min=rule.port_range_min,
                port_range_max=rule.port_range_max,
                remote_ip_prefix=security_groups.normal_prefix(rule.remote_ip_prefix),
                remote_group_id=rule.remote_group_id,
            )
            for rule in rules
        )


async def _read_members(tx: Tx, group_ids: Collection[str], around: Surroundings) -> None:
    """Addresses of each group's ports, on every host, with their allowed address pairs."""
    found: dict[str, set[str]] = {group_id: set() for group_id in group_ids}
    in_groups = port_security_groups.c.security_group_id.in_(group_ids)
    held = select(port_security_groups.c.security_group_id, addresses.c.ip_address)
    held = held.join(addresses, addresses.c.port_id == port_security_groups.c.port_id).where(in_groups)
    for group_id, ip_address in await tx.tuples(held):
        found[group_id].add(ip_address)
    allowed = select(port_security_groups.c.security_group_id, ports.c.allowed_address_pairs)
    allowed = allowed.join(ports, ports.c.id == port_security_groups.c.port_id)
    has_pairs = cast(ports.c.allowed_address_pairs, String) != "[]"
    for group_id, pairs in await tx.tuples(allowed.where(in_groups, has_pairs)):
        found[group_id].update(pair["ip_address"] for pair in pairs)
    for group_id, members in found.items():
        around.members[group_id] = tuple(sorted(members))


def _router(found: _Found, router: Router) -> WantedRouter:
    attached = [each for each in found.ports if each.device_id == router.id and each.device_owner in ROUTER_OWNERS]
    return WantedRouter(
        id=router.id,
        project_id=router.project_id,
        admin_state_up=router.admin_state_up,
        interfaces=tuple(_interface(found, each) for each in attached if each.device_owner == INTERFACE),
        gateway=next((_gateway(found, router, each) for each in attached if each.device_owner == GATEWAY), None),
        floating_ips=tuple(
            WantedFloatingIp(each.id, each.floating_ip_address, each.fixed_ip_address or "", each.fixed_port_id or "")
            for each in found.floating.get(router.id, ())
        ),
        routes=_routes(router.routes),
    )


def _interface(found: _Found, port: _Port) -> RouterInterface:
    return RouterInterface(port.id, port.network_id, port.mac_address, _fixed_ips(found, port))


def _gateway(found: _Found, router: Router, port: _Port) -> RouterGateway:
    next_hops = {found.subnets[subnet_id].gateway_ip for _, subnet_id in port.addresses}
    return RouterGateway(
        port_id=port.id,
        network_id=port.network_id,
        mac_address=port.mac_address,
        fixed_ips=_fixed_ips(found, port),
        gateway_ips=tuple(sorted(hop for hop in next_hops if hop)),
        enable_snat=router.enable_snat,
    )
