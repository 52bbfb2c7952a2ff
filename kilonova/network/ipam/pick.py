"""Choosing addresses: pure functions over what is taken. Source: Networking API, "Subnets", on allocation pools."""

import ipaddress
import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

Pool = dict[str, str]

BASE_MAC = (0xFA, 0x16, 0x3E)
"""Upstream's prefix of generated addresses."""


def pick_address(pools: Sequence[Pool], taken: Collection[str]) -> str | None:
    """The first free address of the pools, in their order; None when they are used up."""
    numbers = {int(ipaddress.ip_address(each)) for each in taken}
    for pool in pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        for number in range(int(start), int(end) + 1):
            if number not in numbers:
                return str(type(start)(number))
    return None


def pick_mac(taken: Collection[str]) -> str:
    """A random address under our prefix that nobody on the network has."""
    while True:
        mac = ":".join(f"{octet:02x}" for octet in (*BASE_MAC, *secrets.token_bytes(3)))
        if mac not in taken:
            return mac


def pick_number(ranges: Iterable[tuple[int, int]], taken: Collection[int]) -> int | None:
    """The lowest free number of inclusive ranges: a VNI."""
    for low, high in ranges:
        for number in range(low, high + 1):
            if number not in taken:
                return number
    return None


def parse_network(cidr: str) -> IpNetwork:
    """Raises ValueError for what is no CIDR, or one with bits set beyond its prefix."""
    return ipaddress.ip_network(cidr, strict=True)


def first_host(network: IpNetwork) -> str:
    """The address a gateway has unless told otherwise."""
    return str(network.network_address + 1)


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


def check_pools(network: IpNetwork, pools: Sequence[Pool], gateway_ip: str | None) -> str | None:
    """Why the pools cannot be used, or None: outside the subnet, upside down, overlapping, or over the gateway."""
    seen: list[tuple[int, int]] = []
    first, last = usable_bounds(network)
    for pool in pools:
        try:
            start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        except (KeyError, ValueError):
            return f"allocation pool {pool} needs the addresses start and end"
        if start.version != network.version or not first <= int(start) <= int(end) <= last:
            return f"allocation pool {start}-{end} is not a range of usable addresses of {network}"
        if any(int(start) <= high and low <= int(end) for low, high in seen):
            return f"allocation pool {start}-{end} overlaps another one"
        if gateway_ip and int(start) <= int(ipaddress.ip_address(gateway_ip)) <= int(end):
            return f"Gateway ip {gateway_ip} conflicts with allocation pool {start}-{end}"
        seen.append((int(start), int(end)))
    return None


def in_network(address: str, cidr: str) -> bool:
    """False also for what is no address."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)
    except ValueError:
        return False


def overlapping(cidr: str, others: Iterable[str]) -> str | None:
    """The first of `others` that shares addresses with `cidr`."""
    network: Any = ipaddress.ip_network(cidr)
    for other in others:
        candidate: Any = ipaddress.ip_network(other)
        if candidate.version == network.version and network.overlaps(candidate):
            return other
    return None
