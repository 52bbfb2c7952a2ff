"""Subnets: their ranges, and what stands in the way of changing or deleting one."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from kilonova.kit.db import Tx
from kilonova.network import records
from kilonova.network.errors import InvalidInput, SubnetInUse, SubnetNotFound
from kilonova.network.ipam import pick
from kilonova.network.networks import AUTOMATIC_OWNERS
from kilonova.network.records import Filters
from kilonova.network.service import NetworkService
from kilonova.network.tables import Address, Port, Subnet, addresses, networks, ports, subnets


async def find(tx: Tx, subnet_id: str) -> Subnet:
    return await records.find(tx, subnets, Subnet, subnet_id, SubnetNotFound)


def visible_to(project_id: str | None) -> ColumnElement[bool]:
    """Subnets of one's own, and of shared networks."""
    shared = select(networks.c.id).where(or_(networks.c.shared.is_(True), networks.c.project_id == (project_id or "")))
    return records.own_or(subnets, project_id, subnets.c.network_id.in_(shared))


async def list_seen(tx: Tx, filters: Filters, seen_by: str | None, *, sees_all: bool) -> list[Subnet]:
    return await records.list_where(tx, subnets, Subnet, filters, None if sees_all else visible_to(seen_by))


async def of_network(tx: Tx, network_id: str) -> list[Subnet]:
    return await tx.all(
        Subnet, select(subnets).where(subnets.c.network_id == network_id).order_by(subnets.c.created_at)
    )


def parse_cidr(cidr: str, ip_version: int) -> pick.IpNetwork:
    """Raises InvalidInput for what is no subnet of that version."""
    try:
        network = pick.parse_network(cidr)
    except ValueError as error:
        raise InvalidInput(f"{cidr!r} is not a valid IP subnet: {error}.") from error
    if network.version != ip_version:
        raise InvalidInput(f"cidr {cidr} is not of ip_version {ip_version}.")
    if network.version == 4 and network.prefixlen == 32:
        raise InvalidInput(f"cidr {cidr} holds a single address and can serve no port.")
    return network


def parse_gateway(text: str | None) -> str | None:
    """The address in its usual form; None for a subnet without a gateway. Raises InvalidInput."""
    return None if text is None else str(_address(text, "gateway_ip"))


def check(subnet: Subnet) -> None:
    """Raises InvalidInput unless gateway, pools, name servers and routes fit the subnet and each other."""
    network = pick.parse_network(subnet.cidr)
    if subnet.gateway_ip is not None:
        gateway = _address(subnet.gateway_ip, "gateway_ip")
        if gateway.version != subnet.ip_version:
            raise InvalidInput(f"gateway_ip {gateway} is not of ip_version {subnet.ip_version}.")
        if gateway in network and not _is_usable(gateway, network):
            raise InvalidInput(f"gateway_ip {gateway} is not a usable address of {network}.")
    reason = pick.check_pools(network, subnet.allocation_pools, subnet.gateway_ip)
    if reason is not None:
        raise InvalidInput(f"{reason}.")
    for server in subnet.dns_nameservers:
        _address(server, "dns_nameservers")
    for route in subnet.host_routes:
        _check_route(route)
    if subnet.ip_version == 4 and (subnet.ipv6_ra_mode or subnet.ipv6_address_mode):
        raise InvalidInput("ipv6_ra_mode and ipv6_address_mode are for subnets of ip_version 6.")


def _is_usable(address: pick.IpAddress, network: pick.IpNetwork) -> bool:
    first, last = pick.usable_bounds(network)
    return first <= int(address) <= last


def _address(text: str, field: str) -> pick.IpAddress:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidInput(f"{field}: {text!r} is not a valid IP address.") from error


def _check_route(route: Mapping[str, str]) -> None:
    if set(route) != {"destination", "nexthop"}:
        raise InvalidInput(f"host route {dict(route)} needs exactly destination and nexthop.")
    try:
        ipaddress.ip_network(route["destination"])
    except ValueError as error:
        raise InvalidInput(f"host route destination: {error}.") from error
    _address(route["nexthop"], "host route nexthop")


async def insert(tx: Tx, subnet: Subnet) -> None:
    """Raises InvalidInput when it overlaps another subnet of its network."""
    await _refuse_overlap(tx, subnet)
    await tx.insert(subnets, subnet)
    await records.raise_revision(tx)


async def _refuse_overlap(tx: Tx, subnet: Subnet) -> None:
    others = [each.cidr for each in await of_network(tx, subnet.network_id) if each.id != subnet.id]
    other = pick.overlapping(subnet.cidr, others)
    if other is not None:
        raise InvalidInput(
            f"Requested subnet with cidr: {subnet.cidr} for network: {subnet.network_id} overlaps with another subnet "
            f"({other})."
        )


async def change(tx: Tx, service: NetworkService, subnet: Subnet, values: Mapping[str, Any]) -> Subnet:
    await records.change(tx, subnets, subnet, service.clock.now(), values)
    changed = await find(tx, subnet.id)
    check(changed)
    if "gateway_ip" in values and values["gateway_ip"] != subnet.gateway_ip:
        await _refuse_gateway_in_use(tx, subnet)
    await records.raise_revision(tx)
    return changed


async def _refuse_gateway_in_use(tx: Tx, subnet: Subnet) -> None:
    statement = select(addresses).where(
        addresses.c.subnet_id == subnet.id, addresses.c.ip_address == (subnet.gateway_ip or "")
    )
    address = await tx.first(Address, statement)
    if address is not None:
        raise SubnetInUse(subnet.id, f"its gateway address {subnet.gateway_ip} is in use by port {address.port_id}")


async def delete(tx: Tx, subnet: Subnet) -> None:
    """Raises SubnetInUse while a port other than DHCP's has an address of it."""
    statement = (
        select(ports)
        .join(addresses, addresses.c.port_id == ports.c.id)
        .where(addresses.c.subnet_id == subnet.id, ports.c.device_owner.not_in(AUTOMATIC_OWNERS))
    )
    port = await tx.first(Port, statement)
    if port is not None:
        raise SubnetInUse(subnet.id, f"One or more ports have an IP allocation from this subnet (port {port.id})")
    await tx.execute(addresses.delete().where(addresses.c.subnet_id == subnet.id))
    await _remove_empty_dhcp_ports(tx, subnet.network_id)
    await records.remove(tx, subnets, subnet.id)
    await records.raise_revision(tx)


async def _remove_empty_dhcp_ports(tx: Tx, network_id: str) -> None:
    """A DHCP port without an address serves nobody."""
    served = select(addresses.c.port_id)
    await tx.execute(
        ports.delete().where(
            ports.c.network_id == network_id, ports.c.device_owner == "network:dhcp", ports.c.id.not_in(served)
        )
    )
