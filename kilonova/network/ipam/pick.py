"""Choosing addresses: pure functions over what is taken. Source: Networking API, "Subnets", on allocation pools."""

import ipaddress
import secrets
from collections.abc import Collection, Iterable
from typing import Any

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

Pool = dict[str, str]

BASE_MAC = (0xFA, 0x16, 0x3E)
"""Upstream's prefix of generated addresses."""


MOST_NUMBER = 2**63 - 1
"""The largest distance from a subnet's first address that databases count with."""


def pick_address(pool: Pool, taken: Collection[str]) -> str | None:
    """The first free address of the pool; None when it is used up."""
    numbers = {int(ipaddress.ip_address(each)) for each in taken}
    start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
    for number in range(int(start), int(end) + 1):
        if number not in numbers:
            return str(type(start)(number))
    return None


def number_of(address: str, cidr: str) -> int | None:
    """How far an address is from the subnet's first one; None when that is more than databases count with."""
    number = int(ipaddress.ip_address(address)) - int(ipaddress.ip_network(cidr).network_address)
    return number if 0 <= number <= MOST_NUMBER else None


def address_at(number: int, cidr: str) -> str:
    return str(ipaddress.ip_network(cidr).network_address + number)


def pick_mac() -> str:
    """A random address under our prefix; whether somebody has it is for the database to say."""
    return ":".join(f"{octet:02x}" for octet in (*BASE_MAC, *secrets.token_bytes(3)))


def eui64(cidr: str, mac: str) -> str:
    """The address a host gives itself in a /64 (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.ip_network(cidr).network_address + int.from_bytes(interface, "big"))


def parse_address(text: str) -> IpAddress:
    """Raises ValueError for what is no address; one with a zone belongs to a host, not to a network."""
    if "%" in text:
        raise ValueError(f"{text!r} has a zone")
    return ipaddress.ip_address(text)


def pick_number(ranges: Iterable[tuple[int, int]], taken: Collection[int]) -> int | None:
    """The lowest free number of inclusive ranges: a VNI."""
    for low, high in ranges:
        for number in range(low, high + 1):
            if number not in taken:
                return number
    return None


def parse_network(cidr: str) -> IpNetwork:
    """Raises ValueError for what is no CIDR, or one with bits set beyond its prefix."""
    parse_address(cidr.partition("/")[0])
    return ipaddress.ip_network(cidr, strict=True)


def parse_prefix(text: str) -> IpNetwork:
    """An address or a CIDR, bits beyond its length ignored. Raises ValueError."""
    parse_address(text.partition("/")[0])
    return ipaddress.ip_network(text, strict=False)


def first_host(network: IpNetwork) -> str | None:
    """The address a gateway has unless told otherwise; None where there is room for one host only."""
    return None if network.num_addresses == 1 else str(network.network_address + 1)


def default_pools(network: IpNetwork, gateway_ip: str | None) -> list[Pool]:
    """Every usable address but the gateway's, as one or two ranges."""
    first, last = usable_bounds(network)
    gateway = ipaddress.ip_address(gateway_ip) if gateway_ip else None
    if gateway is None or not first <= int(gateway) <= last:
        return _ranges(network, [(first, last)])
    number = int(gateway)
    return _ranges(network, [(first, number - 1), (number + 1, last)])


def usable_bounds(network: IpNetwork) -> tuple[int, int]:
    """First and last address a port may have, as numbers: without network and broadcast where there are such."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == 4 and network.prefixlen < 31:
        return first + 1, last - 1
    if network.version == 6 and network.prefixlen < 127:
        return first + 1, last
    return first, last


def _ranges(network: IpNetwork, bounds: Iterable[tuple[int, int]]) -> list[Pool]:
    make = type(network.network_address)
    return [{"start": str(make(low)), "end": str(make(high))} for low, high in bounds if low <= high]


def in_network(address: str, cidr: str) -> bool:
    """False also for what is no address."""
    try:
        return parse_address(address) in ipaddress.ip_network(cidr)
    except ValueError:
        return False


def in_pools(address: str, pools: Iterable[Pool]) -> bool:
    number = int(ipaddress.ip_address(address))
    return any(
        int(ipaddress.ip_address(pool["start"])) <= number <= int(ipaddress.ip_address(pool["end"])) for pool in pools
    )


def overlapping(cidr: str, others: Iterable[str]) -> str | None:
    """The first of `others` that shares addresses with `cidr`."""
    network: Any = ipaddress.ip_network(cidr)
    for other in others:
        candidate: Any = ipaddress.ip_network(other)
        if candidate.version == network.version and network.overlaps(candidate):
            return other
    return None
