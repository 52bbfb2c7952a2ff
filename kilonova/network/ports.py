"""Ports: addresses, groups, binding, and who may let go of them."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, select, update

from kilonova.kit.db import Tx
from kilonova.network import events, records, subnets
from kilonova.network.errors import (
    InvalidInput,
    IpAddressAlreadyAllocated,
    IpAddressGenerationFailure,
    MacAddressInUse,
    PortInUse,
    PortNotFound,
)
from kilonova.network.ipam import pick
from kilonova.network.records import Filters
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    Address,
    Network,
    Port,
    PortSecurityGroup,
    Subnet,
    addresses,
    networks,
    port_security_groups,
    ports,
)

ROUTER_OWNERS = ("network:router_interface", "network:router_gateway")
MOST_FIXED_IPS = 5
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class PortWithDetails(msgspec.Struct):
    """A port, its addresses in order, and its groups."""

    port: Port
    addresses: list[Address]
    security_group_ids: list[str]


async def find(tx: Tx, port_id: str) -> Port:
    return await records.find(tx, ports, Port, port_id, PortNotFound)


def visible_to(project_id: str | None) -> ColumnElement[bool]:
    """One's own ports, and those on networks of one's own."""
    mine = select(networks.c.id).where(networks.c.project_id == (project_id or ""))
    return records.own_or(ports, project_id, ports.c.network_id.in_(mine))


async def list_seen(tx: Tx, filters: Filters, seen_by: str | None, *, sees_all: bool) -> list[PortWithDetails]:
    visible = None if sees_all else visible_to(seen_by)
    return await with_details(tx, await records.list_where(tx, ports, Port, filters, visible))


async def with_details(tx: Tx, found: Sequence[Port]) -> list[PortWithDetails]:
    """Two queries for however many ports."""
    ids = [port.id for port in found]
    by_port: dict[str, list[Address]] = {port_id: [] for port_id in ids}
    statement = select(addresses).where(addresses.c.port_id.in_(ids)).order_by(addresses.c.position)
    for address in await tx.all(Address, statement):
        by_port[address.port_id].append(address)
    groups: dict[str, list[str]] = {port_id: [] for port_id in ids}
    membership = select(port_security_groups).where(port_security_groups.c.port_id.in_(ids))
    for member in await tx.all(PortSecurityGroup, membership):
        groups[member.port_id].append(member.security_group_id)
    return [PortWithDetails(port, by_port[port.id], sorted(groups[port.id])) for port in found]


async def details_of(tx: Tx, port_id: str) -> PortWithDetails:
    (found,) = await with_details(tx, [await find(tx, port_id)])
    return found


async def create(
    tx: Tx, port: Port, fixed_ips: list[dict[str, str]] | None, group_ids: Sequence[str]
) -> PortWithDetails:
    """Inserts a port with its addresses and groups. `fixed_ips` None: one address of each IP version there is."""
    await _choose_mac(tx, port)
    _fill_pairs(port.allowed_address_pairs, port.mac_address)
    if not await tx.insert_new(ports, port):
        raise MacAddressInUse(port.network_id, port.mac_address)
    await set_addresses(tx, port, fixed_ips)
    await set_groups(tx, port.id, group_ids)
    await records.raise_revision(tx)
    return await details_of(tx, port.id)


def _fill_pairs(pairs: list[dict[str, str]], mac_address: str) -> None:
    """A pair without a MAC address is for the port's own."""
    for pair in pairs:
        pair.setdefault("mac_address", mac_address)


async def _choose_mac(tx: Tx, port: Port) -> None:
    if port.mac_address:
        port.mac_address = check_mac(port.mac_address)
        return
    taken = await tx.tuples(select(ports.c.mac_address).where(ports.c.network_id == port.network_id))
    port.mac_address = pick.pick_mac({mac for (mac,) in taken})


def check_mac(text: str) -> str:
    """The address in lower case with colons. Raises InvalidInput; a multicast address is none of a port."""
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise InvalidInput(f"mac_address {text!r} is not a valid unicast MAC address.")
    return mac


async def set_addresses(tx: Tx, port: Port, fixed_ips: list[dict[str, str]] | None) -> None:
    """Gives the port exactly these addresses; those it has and keeps are not given up in between."""
    available = await subnets.of_network(tx, port.network_id)
    if fixed_ips is None:
        fixed_ips = _one_of_each_version(available)
    if len(fixed_ips) > MOST_FIXED_IPS:
        raise InvalidInput(f"Exceeded maximum amount of fixed ips per port: {MOST_FIXED_IPS} are allowed.")
    has = await tx.all(Address, select(addresses).where(addresses.c.port_id == port.id))
    await tx.execute(delete(addresses).where(addresses.c.port_id == port.id))
    for position, wanted in enumerate(fixed_ips):
        subnet = _subnet_for(port, wanted, available)
        kept = [each for each in has if each.subnet_id == subnet.id]
        await _take_address(tx, port, subnet, wanted, position, kept[0].ip_address if kept else None)


def _one_of_each_version(available: list[Subnet]) -> list[dict[str, str]]:
    chosen: dict[int, str] = {}
    for subnet in available:
        chosen.setdefault(subnet.ip_version, subnet.id)
    return [{"subnet_id": subnet_id} for subnet_id in chosen.values()]


def _subnet_for(port: Port, wanted: Mapping[str, str], available: list[Subnet]) -> Subnet:
    subnet_id, address = wanted.get("subnet_id"), wanted.get("ip_address")
    for subnet in available:
        if subnet_id in (None, subnet.id) and (address is None or pick.in_network(address, subnet.cidr)):
            return subnet
    if address is not None:
        raise InvalidInput(f"IP address {address} is not a valid IP for the specified subnet.")
    raise InvalidInput(f"Failed to create port on network {port.network_id}: fixed_ips holds no subnet of it.")


async def _take_address(
    tx: Tx, port: Port, subnet: Subnet, wanted: Mapping[str, str], position: int, had: str | None
) -> None:
    address = wanted.get("ip_address")
    if address is None and had is not None:
        address = had
    if address is not None:
        normal = _check_usable(address, subnet)
        row = Address(subnet.id, normal, port.id, port.network_id, position)
        if not await tx.insert_new(addresses, row):
            raise IpAddressAlreadyAllocated(normal, subnet.id)
        return
    taken = {
        each for (each,) in await tx.tuples(select(addresses.c.ip_address).where(addresses.c.subnet_id == subnet.id))
    }
    picked = pick.pick_address(subnet.allocation_pools, taken)
    if picked is None:
        raise IpAddressGenerationFailure(port.network_id)
    await tx.insert(addresses, Address(subnet.id, picked, port.id, port.network_id, position))


def _check_usable(address: str, subnet: Subnet) -> str:
    normal = ipaddress.ip_address(address)
    first, last = pick.usable_bounds(pick.parse_network(subnet.cidr))
    if not first <= int(normal) <= last:
        raise InvalidInput(f"IP address {address} is not a valid IP for the specified subnet.")
    return str(normal)


async def set_groups(tx: Tx, port_id: str, group_ids: Sequence[str]) -> None:
    await tx.execute(delete(port_security_groups).where(port_security_groups.c.port_id == port_id))
    for group_id in dict.fromkeys(group_ids):
        await tx.insert(port_security_groups, PortSecurityGroup(port_id, group_id))


async def change(
    tx: Tx,
    service: NetworkService,
    port: Port,
    values: dict[str, Any],
    *,
    fixed_ips: list[dict[str, str]] | None = None,
    group_ids: Sequence[str] | None = None,
) -> PortWithDetails:
    """Writes what was given. A port that changes its host is DOWN until the new host's agent reports it."""
    if "mac_address" in values:
        values["mac_address"] = check_mac(values["mac_address"])
        await _refuse_taken_mac(tx, port, values["mac_address"])
    _fill_pairs(values.get("allowed_address_pairs", []), values.get("mac_address", port.mac_address))
    if values.get("host", port.host) != port.host:
        values["status"] = "DOWN"
    await records.change(tx, ports, port, service.clock.now(), values)
    if fixed_ips is not None:
        await set_addresses(tx, port, fixed_ips)
        await events.tell_compute(tx, service, port, "network-changed")
    if group_ids is not None:
        await set_groups(tx, port.id, group_ids)
    await records.raise_revision(tx)
    return await details_of(tx, port.id)


async def _refuse_taken_mac(tx: Tx, port: Port, mac: str) -> None:
    same = select(ports).where(ports.c.network_id == port.network_id, ports.c.mac_address == mac, ports.c.id != port.id)
    if await tx.first(Port, same) is not None:
        raise MacAddressInUse(port.network_id, mac)


def check_pairs(pairs: Sequence[Mapping[str, str]], *, secured: bool) -> None:
    """Raises InvalidInput for pairs without a valid address, or on a port that is not filtered anyway."""
    if pairs and not secured:
        raise InvalidInput("Allowed address pairs need port security: without it every address is allowed.")
    for pair in pairs:
        if not {"ip_address"} <= set(pair) <= {"ip_address", "mac_address"}:
            raise InvalidInput(f"allowed address pair {dict(pair)} needs ip_address, and may have mac_address.")
        try:
            ipaddress.ip_network(pair["ip_address"], strict=False)
        except ValueError as error:
            raise InvalidInput(f"allowed address pair: {error}.") from error
        if "mac_address" in pair:
            check_mac(pair["mac_address"])


def refuse_owned(port: Port) -> None:
    """Raises PortInUse for a port that a router or a floating IP holds: it is deleted through its owner."""
    if port.device_owner in (*ROUTER_OWNERS, "network:floatingip"):
        raise PortInUse(
            f"Port {port.id} cannot be deleted directly via the port API: has device owner {port.device_owner}."
        )


async def delete_port(tx: Tx, port: Port) -> None:
    await records.remove(tx, ports, port.id)
    await records.raise_revision(tx)


async def set_status(tx: Tx, service: NetworkService, port: Port, status: str) -> None:
    """What an agent has reported. Compute hears of its servers' ports."""
    if port.status == status:
        return
    await tx.execute(update(ports).where(ports.c.id == port.id).values(status=status))
    name = "network-vif-plugged" if status == "ACTIVE" else "network-vif-unplugged"
    await events.tell_compute(tx, service, port, name)


async def on_network(tx: Tx, network: Network, owner: str) -> list[Port]:
    statement = select(ports).where(ports.c.network_id == network.id, ports.c.device_owner == owner)
    return await tx.all(Port, statement)
