"""Subnets: their ranges, and what stands in the way of changing or deleting one."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, bindparam, false, or_, select, true

from kilonova.kit.db import Tx
from kilonova.kit.http.queries import TRUE
from kilonova.network import concerns, events, quotas, records, tags
from kilonova.network.errors import (
    DNSNameServersExhausted,
    GatewayConflictWithAllocationPools,
    GatewayIpInUse,
    HostRoutesExhausted,
    InvalidAllocationPool,
    InvalidInput,
    InvalidSubnetServiceType,
    OutOfBoundsAllocationPool,
    OverlappingAllocationPools,
    SubnetInUse,
    SubnetNotFound,
)
from kilonova.network.ipam import pick
from kilonova.network.networks import AUTOMATIC_OWNERS, ROUTER_INTERFACE
from kilonova.network.selections import STANDARD, Condition, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    Address,
    Port,
    Subnet,
    addresses,
    bound_ports,
    networks,
    port_bindings,
    port_security_groups,
    ports,
    subnets,
)
from kilonova.network.visibility import PROJECT, Visibility

AUTOMATIC_MODES = {"slaac", "dhcpv6-stateless"}
SHORTEST_SERVED_PREFIX = 64
"""Of an IPv6 subnet that routers advertise and DHCP serves."""
SERVICE_TYPES = ("network:", "compute:")
MOST_NAME_SERVERS = 5
MOST_HOST_ROUTES = 20


def _of_networks(condition: ColumnElement[bool]) -> Condition:
    """Filter by what a subnet's network is."""
    found = subnets.c.network_id.in_(select(networks.c.id).where(condition))
    return lambda values: found if values[-1].lower() in TRUE else ~found


def _none(values: Sequence[str]) -> ColumnElement[bool]:
    """Filter by what no subnet has: subnet pools and segments are not served."""
    return true() if "" in values else false()


LISTING = listing(
    subnets,
    {
        **STANDARD,
        "network_id": "network_id",
        "cidr": "cidr",
        "ip_version": "ip_version",
        "gateway_ip": "gateway_ip",
        "enable_dhcp": "enable_dhcp",
        "ipv6_ra_mode": "ipv6_ra_mode",
        "ipv6_address_mode": "ipv6_address_mode",
        "dns_publish_fixed_ip": "dns_publish_fixed_ip",
    },
    special={
        "subnetpool_id": _none,
        "segment_id": _none,
        "shared": _of_networks(networks.c.shared.is_(True)),
        "router:external": _of_networks(networks.c.external.is_(True)),
    },
)


_NETWORKS_SEEN = select(networks.c.id).where(
    or_(networks.c.shared.is_(True), networks.c.external.is_(True), networks.c.project_id == PROJECT)
)
VISIBILITY = Visibility(subnets, Subnet, SubnetNotFound, (subnets.c.network_id.in_(_NETWORKS_SEEN),))


async def find(tx: Tx, subnet_id: str) -> Subnet:
    return await records.find(tx, subnets, Subnet, subnet_id, SubnetNotFound)


async def of_network(tx: Tx, network_id: str) -> list[Subnet]:
    return await tx.all(Subnet, _OF_NETWORK, network_id=network_id)


_OF_NETWORK = select(subnets).where(subnets.c.network_id == bindparam("network_id")).order_by(subnets.c.created_at)


def parse_cidr(cidr: str, ip_version: int) -> pick.IpNetwork:
    """The network that an address with a prefix's length is in. Raises InvalidInput for what is no subnet of that
    version."""
    if not cidr.partition("/")[2].isdecimal():
        raise InvalidInput(f"{cidr!r} isn't a recognized IP subnet cidr: it needs the length of its prefix, as in /24.")
    try:
        network = pick.parse_prefix(cidr)
    except ValueError as error:
        raise InvalidInput(f"{cidr!r} is not a valid IP subnet: {error}.") from error
    if network.version != ip_version:
        raise InvalidInput(f"cidr {cidr} is not of ip_version {ip_version}.")
    return network


def parse_gateway(text: str | None) -> str | None:
    """The address in its usual form; None for a subnet without a gateway. Raises InvalidInput."""
    return None if text is None else str(_address(text, "gateway_ip"))


def check(subnet: Subnet) -> None:
    """Raises faults unless everything in the subnet fits together; brings addresses into their usual form."""
    network = pick.parse_network(subnet.cidr)
    _check_dhcp(subnet, network)
    if subnet.gateway_ip is not None:
        gateway = _address(subnet.gateway_ip, "gateway_ip", subnet.ip_version)
        if gateway in network and not _is_usable(gateway, network):
            raise InvalidInput(f"Gateway is not valid on subnet: {gateway} is not a usable address of {network}.")
    _check_pools(subnet, network)
    if len(subnet.dns_nameservers) > MOST_NAME_SERVERS:
        raise DNSNameServersExhausted(subnet.id, MOST_NAME_SERVERS)
    subnet.dns_nameservers = [
        str(_address(each, "dns_nameservers", subnet.ip_version)) for each in subnet.dns_nameservers
    ]
    if len(set(subnet.dns_nameservers)) < len(subnet.dns_nameservers):
        raise InvalidInput(f"Duplicate nameserver in {', '.join(subnet.dns_nameservers)}.")
    if len(subnet.host_routes) > MOST_HOST_ROUTES:
        raise HostRoutesExhausted(subnet.id, MOST_HOST_ROUTES)
    subnet.host_routes = check_routes(subnet.host_routes, subnet.ip_version)
    for owner in subnet.service_types:
        if not owner.startswith(SERVICE_TYPES):
            raise InvalidSubnetServiceType(owner)


def can_be_served(network: pick.IpNetwork) -> bool:
    """Whether DHCP and advertisements work there at all."""
    return network.version == 4 or network.prefixlen >= SHORTEST_SERVED_PREFIX


def _check_dhcp(subnet: Subnet, network: pick.IpNetwork) -> None:
    """Raises InvalidInput for what DHCP or automatic addresses cannot work with."""
    modes = {mode for mode in (subnet.ipv6_ra_mode, subnet.ipv6_address_mode) if mode is not None}
    if modes and subnet.ip_version == 4:
        raise InvalidInput("ipv6_ra_mode and ipv6_address_mode are for subnets of ip_version 6.")
    if modes and not subnet.enable_dhcp:
        raise InvalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False.")
    if len(modes) > 1:
        raise InvalidInput("If both ipv6_ra_mode and ipv6_address_mode are set, they must be the same value.")
    if modes & AUTOMATIC_MODES and network.prefixlen != 64:
        raise InvalidInput(f"Invalid CIDR {network} for IPv6 address mode: automatic addresses need a /64.")
    if network.version == 6 and int(network.network_address) == 0:
        raise InvalidInput("IPv6 subnet '::' is not supported.")
    if not subnet.enable_dhcp:
        return
    if not can_be_served(network):
        raise InvalidInput(
            f"{network} is too large to be served: routers advertise and DHCP serves IPv6 subnets of "
            f"/{SHORTEST_SERVED_PREFIX} or longer. Leave out ipv6_ra_mode and ipv6_address_mode, and set enable_dhcp "
            "to False."
        )
    if network.prefixlen > network.max_prefixlen - 2:
        raise InvalidInput("Subnet has a prefix length that is incompatible with DHCP service enabled.")
    if network.is_multicast or network.is_loopback or int(network.network_address) == 0:
        raise InvalidInput(f"cidr {network} cannot be served by DHCP.")


def _check_pools(subnet: Subnet, network: pick.IpNetwork) -> None:
    first, last = pick.usable_bounds(network)
    seen: list[tuple[int, int, str]] = []
    pools = []
    for pool in subnet.allocation_pools:
        start, end = _pool(pool)
        name = f"{start}-{end}"
        if {start.version, end.version} != {network.version} or int(start) > int(end):
            raise InvalidAllocationPool(name)
        if not first <= int(start) <= int(end) <= last:
            raise OutOfBoundsAllocationPool(name, subnet.cidr)
        for low, high, other in seen:
            if int(start) <= high and low <= int(end):
                raise OverlappingAllocationPools(name, other, subnet.cidr)
        if subnet.gateway_ip is not None and int(start) <= int(pick.parse_address(subnet.gateway_ip)) <= int(end):
            raise GatewayConflictWithAllocationPools(subnet.gateway_ip, name)
        seen.append((int(start), int(end), name))
        pools.append({"start": str(start), "end": str(end)})
    subnet.allocation_pools = pools


def _pool(pool: Mapping[str, str]) -> tuple[pick.IpAddress, pick.IpAddress]:
    return _address(pool["start"], "allocation_pools"), _address(pool["end"], "allocation_pools")


def _is_usable(address: pick.IpAddress, network: pick.IpNetwork) -> bool:
    first, last = pick.usable_bounds(network)
    return network.version == 6 or first <= int(address) <= last


def _address(text: str, field: str, ip_version: int | None = None) -> pick.IpAddress:
    try:
        address = pick.parse_address(text)
    except ValueError as error:
        raise InvalidInput(f"{field}: {text!r} is not a valid IP address.") from error
    if ip_version not in (None, address.version):
        raise InvalidInput(f"{field}: {text} is not of ip_version {ip_version}.")
    return address


def check_routes(routes: Sequence[Mapping[str, str]], ip_version: int | None = None) -> list[dict[str, str]]:
    """Routes in their usual form. Raises InvalidInput for one that is no route, or given twice."""
    checked: dict[tuple[str, str], dict[str, str]] = {}
    for route in routes:
        try:
            destination = pick.parse_network(route["destination"])
        except ValueError as error:
            raise InvalidInput(f"route destination: {error}.") from error
        nexthop = _address(route["nexthop"], "route nexthop", ip_version or destination.version)
        if destination.version != nexthop.version:
            raise InvalidInput(f"route destination {destination} is not of ip_version {nexthop.version}.")
        normal = {"destination": str(destination), "nexthop": str(nexthop)}
        if (normal["destination"], normal["nexthop"]) in checked:
            raise InvalidInput(f"Duplicate hostroute {normal}.")
        checked[normal["destination"], normal["nexthop"]] = normal
    return list(checked.values())


def gives_addresses_automatically(subnet: Subnet) -> bool:
    """Whether hosts make their own addresses there, from the subnet's prefix and their MAC address."""
    return subnet.ipv6_address_mode in AUTOMATIC_MODES


async def create(tx: Tx, service: NetworkService, project_id: str, wanted: Mapping[str, Any]) -> Subnet:
    """Makes a subnet of the project's, within its quota. `wanted`: attributes by the names of their columns; without
    `gateway_ip` the first address, without `allocation_pools` all that is left, without `enable_dhcp` where DHCP can
    serve it or a mode asks for it.

    Raises OverQuota, and InvalidInput also when it overlaps another subnet of its network.
    """
    tags.check(wanted["tags"])
    await quotas.claim(tx, project_id, "subnet")
    cidr = parse_cidr(wanted["cidr"], wanted["ip_version"])
    gateway_ip = parse_gateway(wanted["gateway_ip"]) if "gateway_ip" in wanted else pick.first_host(cidr)
    modes = {name: wanted[name] for name in ("ipv6_ra_mode", "ipv6_address_mode")}
    standard = records.standard(project_id, wanted["name"], wanted["description"], service.clock.now())
    subnet = Subnet(
        **{**standard, "tags": wanted["tags"]},
        network_id=wanted["network_id"],
        cidr=str(cidr),
        ip_version=wanted["ip_version"],
        gateway_ip=gateway_ip,
        enable_dhcp=wanted.get("enable_dhcp", can_be_served(cidr) or any(modes.values())),
        **modes,
        allocation_pools=wanted["allocation_pools"] or pick.default_pools(cidr, gateway_ip),
        dns_nameservers=wanted["dns_nameservers"] or [],
        host_routes=wanted["host_routes"],
        service_types=wanted["service_types"],
        dns_publish_fixed_ip=wanted["dns_publish_fixed_ip"],
    )
    check(subnet)
    await _refuse_overlap(tx, subnet)
    await tx.insert(subnets, subnet)
    await records.raise_revision(tx, concerns.network(subnet.network_id), concerns.CARRIERS)
    return subnet


async def _refuse_overlap(tx: Tx, subnet: Subnet) -> None:
    others = [each.cidr for each in await of_network(tx, subnet.network_id) if each.id != subnet.id]
    other = pick.overlapping(subnet.cidr, others)
    if other is not None:
        raise InvalidInput(
            f"Requested subnet with cidr: {subnet.cidr} for network: {subnet.network_id} overlaps with another subnet "
            f"({other})."
        )


async def change(tx: Tx, service: NetworkService, subnet: Subnet, values: Mapping[str, Any]) -> Subnet:
    if "gateway_ip" in values and values["gateway_ip"] != subnet.gateway_ip:
        await _refuse_gateway_in_use(tx, subnet)
    changed = msgspec.structs.replace(subnet, **values)
    check(changed)
    await records.change(tx, subnets, subnet, service.clock.now(), {name: getattr(changed, name) for name in values})
    await records.raise_revision(tx, concerns.network(subnet.network_id), concerns.CARRIERS)
    return await find(tx, subnet.id)


async def _refuse_gateway_in_use(tx: Tx, subnet: Subnet) -> None:
    statement = (
        select(addresses)
        .join(ports, addresses.c.port_id == ports.c.id)
        .where(
            addresses.c.subnet_id == subnet.id,
            addresses.c.ip_address == (subnet.gateway_ip or ""),
            ports.c.device_owner == ROUTER_INTERFACE,
        )
    )
    address = await tx.first(Address, statement)
    if address is not None:
        raise GatewayIpInUse(address.ip_address, address.port_id)


async def delete(tx: Tx, service: NetworkService, subnet: Subnet) -> None:
    """Raises SubnetInUse while a port other than DHCP's has an address of it.

    Of a subnet whose hosts make their own addresses only a router has: other ports lose theirs with the subnet.
    """
    is_automatic = gives_addresses_automatically(subnet)
    owner = bound_ports.c.device_owner
    is_user = owner == ROUTER_INTERFACE if is_automatic else owner.not_in(AUTOMATIC_OWNERS)
    its = addresses.c.subnet_id == subnet.id
    held = select(bound_ports).join(addresses, addresses.c.port_id == bound_ports.c.id).where(its)
    port = await tx.first(Port, held.where(is_user))
    if port is not None:
        raise SubnetInUse(subnet.id, f"One or more ports have an IP allocation from this subnet (port {port.id})")
    # Of an automatic subnet, groups on every host may have addresses: named before those are gone.
    concerned = [concerns.network(subnet.network_id), concerns.ports_of(subnet.network_id)]
    if is_automatic:
        concerned = await concerned_by_addresses(tx, subnet.network_id)
    for port in await tx.all(Port, held) if is_automatic else ():
        await events.tell_compute(tx, service, port, "network-changed")
    await tx.execute(addresses.delete().where(addresses.c.subnet_id == subnet.id))
    await _remove_empty_dhcp_ports(tx, subnet.network_id)
    await records.remove(tx, subnets, subnet.id)
    await records.raise_revision(tx, *concerned)


async def concerned_by_addresses(tx: Tx, network_id: str) -> list[str]:
    """Who has to hear that many ports of a network have other addresses: their hosts, and whoever has their groups."""
    found = [concerns.network(network_id), concerns.ports_of(network_id)]
    here = ports.c.network_id == network_id
    bound = select(port_bindings.c.host).join(ports, ports.c.id == port_bindings.c.port_id)
    hosts = await tx.tuples(bound.where(here, port_bindings.c.host != "").distinct())
    joined = select(port_security_groups.c.security_group_id).join(ports, ports.c.id == port_security_groups.c.port_id)
    found += [concerns.host(each) for (each,) in hosts]
    found += [concerns.members_of(each) for (each,) in await tx.tuples(joined.where(here).distinct())]
    return found


async def _remove_empty_dhcp_ports(tx: Tx, network_id: str) -> None:
    """A DHCP port without an address serves nobody."""
    served = select(addresses.c.port_id)
    await tx.execute(
        ports.delete().where(
            ports.c.network_id == network_id, ports.c.device_owner == "network:dhcp", ports.c.id.not_in(served)
        )
    )
