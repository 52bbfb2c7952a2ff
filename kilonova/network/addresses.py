"""The choice of a port's addresses: asked for, kept, made from its MAC address, or free ones of its subnets."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs
from sqlalchemy import BindParameter, Select, bindparam, func, insert, select

from kilonova.kit.db import Tx
from kilonova.network import events, records, subnets
from kilonova.network.errors import (
    InvalidInput,
    InvalidIpForNetwork,
    InvalidIpForSubnet,
    IpAddressAlreadyAllocated,
    IpAddressGenerationFailure,
)
from kilonova.network.ipam import pick
from kilonova.network.networks import ROUTER_INTERFACE
from kilonova.network.service import NetworkService
from kilonova.network.tables import Address, Port, Subnet, addresses, bound_ports

MOST_FIXED_IPS = 5
ROWS_AT_ONCE = 1000

WALKED = 256
"""Numbers at the beginning of a pool that are given lowest first. Beyond them that would cost each new port more."""
PROBES = 16
"""Numbers of a pool that are tried at once, when its last one is taken. Nine times of ten one is free in a pool that is
87 % full."""

FixedIps = Sequence[Mapping[str, str]]
"""`{"subnet_id", "ip_address"}` each, with at least one of the two."""


async def assign(tx: Tx, port: Port, fixed_ips: FixedIps | None, *, is_new: bool = False) -> list[Address]:
    """Gives the port exactly these addresses, None: one of each IP version; and every automatic one in any case, which
    its guest gives itself as soon as it hears the subnet's prefix.

    An entry that names only its subnet keeps the address the port has there. Raises InvalidInput,
    IpAddressAlreadyAllocated, IpAddressGenerationFailure.
    """
    available = await subnets.of_network(tx, port.network_id)
    if fixed_ips is None:
        return await _assign_default(tx, port, available)
    # A router and a network's DHCP have an address in each of their subnets.
    if len(fixed_ips) > MOST_FIXED_IPS and not port.device_owner.startswith("network:"):
        raise InvalidInput(f"Exceeded maximum amount of fixed ips per port: {MOST_FIXED_IPS} are allowed.")
    wanted = _normal(fixed_ips)
    has = [] if is_new else await _give_up(tx, port)
    named = {entry.get("ip_address") for entry in wanted}
    kept = [each for each in has if each.ip_address not in named]
    found: list[Address] = []
    for entry in wanted:
        subnet = _subnet_of(port, entry, available)
        earlier = next((each for each in kept if each.subnet_id == subnet.id), None)
        if "ip_address" in entry:
            address = _check_usable(entry["ip_address"], subnet)
        elif earlier is not None:
            kept.remove(earlier)
            address = earlier.ip_address
        else:
            found.append(await _take_free(tx, port, [subnet], len(found)))
            continue
        found.append(await _take(tx, port, subnet, address, len(found)))
    return found + await _take_automatic(tx, port, _eligible(port, available), found)


def _normal(fixed_ips: FixedIps) -> list[dict[str, str]]:
    """The entries, addresses in their usual form. Raises InvalidInput for what is none, or is named twice."""
    found = [dict(entry) for entry in fixed_ips]
    for place, entry in enumerate(found):
        if "ip_address" not in entry:
            continue
        try:
            entry["ip_address"] = str(pick.parse_address(entry["ip_address"]))
        except ValueError as error:
            raise InvalidInput(f"fixed_ips: {entry['ip_address']!r} is not a valid IP address.") from error
        if any(entry["ip_address"] == other.get("ip_address") for other in found[:place]):
            raise InvalidInput(f"fixed_ips: duplicate IP address {entry['ip_address']}.")
    return found


async def _take_automatic(tx: Tx, port: Port, eligible: Iterable[Subnet], has: Sequence[Address]) -> list[Address]:
    """Addresses in the subnets that give some by themselves, but where the port has one."""
    elsewhere = {each.subnet_id for each in has}
    wanted = [each for each in eligible if _is_automatic(port, each) and each.id not in elsewhere]
    return [
        await _take(tx, port, subnet, pick.eui64(subnet.cidr, port.mac_address), len(has) + place)
        for place, subnet in enumerate(wanted)
    ]


async def chosen(tx: Tx, port: Port) -> list[dict[str, str]]:
    """The port's addresses but the automatic ones, as `assign` takes them."""
    available = {each.id: each for each in await subnets.of_network(tx, port.network_id)}
    has = await tx.all(Address, select(addresses).where(addresses.c.port_id == port.id).order_by(addresses.c.position))
    return [
        {"subnet_id": each.subnet_id, "ip_address": each.ip_address}
        for each in has
        if not _is_automatic(port, available[each.subnet_id])
    ]


async def give_automatic(tx: Tx, service: NetworkService, subnet: Subnet) -> None:
    """Called for a new subnet: its network's ports have automatic addresses in it from now on, if it gives such."""
    if not subnets.gives_addresses_automatically(subnet):
        return
    on_network = bound_ports.c.network_id == subnet.network_id
    there = await tx.all(Port, select(bound_ports).where(on_network).order_by(bound_ports.c.id))
    served = [each for each in there if _is_automatic(each, subnet) and _is_for(each, subnet)]
    positions: dict[str, int] = {}
    last = select(addresses.c.port_id, func.max(addresses.c.position)).group_by(addresses.c.port_id)
    for port_id, position in await tx.tuples(last.where(addresses.c.network_id == subnet.network_id)):
        positions[port_id] = position + 1
    rows = []
    for port in served:
        address = pick.eui64(subnet.cidr, port.mac_address)
        number = pick.number_of(address, subnet.cidr)
        rows.append(Address(subnet.id, address, port.id, port.network_id, positions.get(port.id, 0), number))
    for piece in records.chunks(rows, ROWS_AT_ONCE):
        await tx.execute(insert(addresses).values([structs.asdict(each) for each in piece]))
    for port in served:
        await events.tell_compute(tx, service, port, "network-changed")
    await records.raise_revision(tx, *await subnets.concerned_by_addresses(tx, subnet.network_id))


async def _give_up(tx: Tx, port: Port) -> list[Address]:
    """Takes all addresses from the port; returns them, so that it may have them again."""
    had = await tx.find_all(Address, addresses, port_id=port.id)
    await tx.remove(addresses, port_id=port.id)
    return had


async def _assign_default(tx: Tx, port: Port, available: list[Subnet]) -> list[Address]:
    eligible = _eligible(port, available)
    if available and not eligible:
        raise IpAddressGenerationFailure(port.network_id)
    found: list[Address] = []
    for version in (4, 6):
        pooled = [each for each in eligible if each.ip_version == version and not _is_automatic(port, each)]
        if pooled:
            found.append(await _take_free(tx, port, pooled, len(found)))
    return found + await _take_automatic(tx, port, eligible, found)


def _eligible(port: Port, available: Iterable[Subnet]) -> list[Subnet]:
    """Subnets that are for this kind of port come before those that are for every kind."""
    return sorted((each for each in available if _is_for(port, each)), key=lambda each: not each.service_types)


def _is_for(port: Port, subnet: Subnet) -> bool:
    return not subnet.service_types or port.device_owner in subnet.service_types


def _is_automatic(port: Port, subnet: Subnet) -> bool:
    return port.device_owner != ROUTER_INTERFACE and subnets.gives_addresses_automatically(subnet)


def _subnet_of(port: Port, entry: Mapping[str, str], available: list[Subnet]) -> Subnet:
    if not entry or not set(entry) <= {"subnet_id", "ip_address"}:
        raise InvalidInput(f"fixed_ips entry {dict(entry)} needs subnet_id or ip_address, and nothing else.")
    subnet_id, address = entry.get("subnet_id"), entry.get("ip_address")
    if subnet_id is not None and subnet_id not in [each.id for each in available]:
        raise InvalidInput(
            f"Failed to create port on network {port.network_id}, because fixed_ips included invalid subnet "
            f"{subnet_id}."
        )
    for subnet in available:
        if subnet_id not in (None, subnet.id) or (address is not None and not pick.in_network(address, subnet.cidr)):
            continue
        if address is not None and _is_automatic(port, subnet) and address != pick.eui64(subnet.cidr, port.mac_address):
            raise InvalidInput(
                f"IPv6 address {address} can not be directly assigned to a port on subnet {subnet.id} as the subnet is "
                "configured for automatic addresses."
            )
        return subnet
    raise InvalidIpForNetwork(str(address)) if subnet_id is None else InvalidIpForSubnet(str(address))


def _check_usable(text: str, subnet: Subnet) -> str:
    address = pick.parse_address(text)
    first, last = pick.usable_bounds(pick.parse_network(subnet.cidr))
    if not first <= int(address) <= last:
        raise InvalidIpForSubnet(text)
    return str(address)


async def _take(tx: Tx, port: Port, subnet: Subnet, address: str, position: int) -> Address:
    number = pick.number_of(address, subnet.cidr)
    row = Address(subnet.id, address, port.id, port.network_id, position, number)
    if not await tx.insert_new(addresses, row):
        raise IpAddressAlreadyAllocated(address, subnet.id)
    return row


async def _take_free(tx: Tx, port: Port, candidates: list[Subnet], position: int) -> Address:
    """A free address of the first subnet that has one."""
    for subnet in candidates:
        if _is_automatic(port, subnet):
            return await _take(tx, port, subnet, pick.eui64(subnet.cidr, port.mac_address), position)
        for pool in subnet.allocation_pools:
            address = await _free(tx, subnet, pool)
            if address is not None:
                return await _take(tx, port, subnet, address, position)
    raise IpAddressGenerationFailure(port.network_id)


async def _free(tx: Tx, subnet: Subnet, pool: pick.Pool) -> str | None:
    """A free address of the pool, None when it is used up. The database walks its index to the first gap of the pool's
    beginning; no list of what is taken is read.
    """
    start, end = pick.number_of(pool["start"], subnet.cidr), pick.number_of(pool["end"], subnet.cidr)
    if start is None:
        beyond = await tx.find_all(Address, addresses, subnet_id=subnet.id, number=None)
        return pick.pick_address(pool, {each.ip_address for each in beyond})
    last = pick.MOST_NUMBER if end is None else end
    number = await _first_gap(tx, subnet, start, min(last, start + WALKED - 1))
    if number is None and last - start >= WALKED:
        number = await _further_on(tx, subnet, start + WALKED, last)
    return None if number is None else pick.address_at(number, subnet.cidr)


async def _further_on(tx: Tx, subnet: Subnet, start: int, last: int) -> int | None:
    """A free number of many: the one after the last that is taken, or else one of some picked at random. Only where
    all of those are taken, too, is the rest of the pool walked through.
    """
    highest = await tx.scalar(_HIGHEST, subnet_id=subnet.id, start=start, last=last)
    if highest is None:
        return start
    if highest < last:
        return int(highest) + 1
    probes = {start + secrets.randbelow(last - start + 1) for _ in range(PROBES)}
    taken = {number for (number,) in await tx.tuples(_TAKEN, subnet_id=subnet.id, numbers=list(probes))}
    free = probes - taken
    return min(free) if free else await _first_gap(tx, subnet, start, last)


async def _first_gap(tx: Tx, subnet: Subnet, start: int, last: int) -> int | None:
    ((taken, number),) = await tx.tuples(_FIRST_FREE, subnet_id=subnet.id, start=start, last=last)
    return start if taken is None else number


def _first_and_gap() -> Select[Any]:
    """Whether the first number is taken, and the first that follows a taken one and is free itself."""
    subnet_id: BindParameter[str] = bindparam("subnet_id")
    start: BindParameter[int] = bindparam("start")
    last: BindParameter[int] = bindparam("last")
    here, following = addresses.c.subnet_id == subnet_id, addresses.alias()
    is_followed = (
        select(following.c.number)
        .where(following.c.subnet_id == subnet_id, following.c.number == addresses.c.number + 1)
        .exists()
    )
    gap = select(addresses.c.number + 1).where(
        here, addresses.c.number >= start, addresses.c.number < last, ~is_followed
    )
    first = select(addresses.c.number).where(here, addresses.c.number == start)
    return select(first.scalar_subquery(), gap.order_by(addresses.c.number).limit(1).scalar_subquery())


def _highest_taken() -> Select[Any]:
    numbers = addresses.c.number.between(bindparam("start"), bindparam("last"))
    here = select(addresses.c.number).where(addresses.c.subnet_id == bindparam("subnet_id"), numbers)
    return here.order_by(addresses.c.number.desc()).limit(1)


def _taken_among() -> Select[Any]:
    named = addresses.c.number.in_(bindparam("numbers", expanding=True))
    return select(addresses.c.number).where(addresses.c.subnet_id == bindparam("subnet_id"), named)


_FIRST_FREE, _HIGHEST, _TAKEN = _first_and_gap(), _highest_taken(), _taken_among()


async def release(tx: Tx, subnet_id: str) -> None:
    """Gives up every address of a subnet that goes away."""
    await tx.remove(addresses, subnet_id=subnet_id)
