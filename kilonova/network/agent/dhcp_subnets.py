"""The subnets of a network whose guests are answered by DHCP. Pure, and apart from what serves them on a host."""

from kilonova.network.wanted import WantedNetwork, WantedSubnet

SHORTEST_PREFIX = 64
"""Modes of an IPv6 subnet that dnsmasq serves."""


def served_subnets(network: WantedNetwork, ip_version: int = 4) -> list[WantedSubnet]:
    """Subnets whose guests are answered by DHCP, in a fixed order."""
    subnets = (each for each in network.subnets if each.enable_dhcp and each.ip_version == ip_version)
    if ip_version == 6:
        subnets = (each for each in subnets if _is_served_by_dhcpv6(each))
    return sorted(subnets, key=lambda subnet: subnet.id)


def _is_served_by_dhcpv6(subnet: WantedSubnet) -> bool:
    """Where guests make their own addresses of what a router says, nobody asks; without any mode, whoever asks is
    answered."""
    asks = subnet.ipv6_address_mode is None if subnet.ipv6_ra_mode is None else False
    is_wanted = asks or subnet.ipv6_address_mode in ("dhcpv6-stateful", "dhcpv6-stateless")
    return is_wanted and int(subnet.cidr.partition("/")[2]) >= SHORTEST_PREFIX


def is_served(network: WantedNetwork) -> bool:
    """Whether this host serves DHCP for the network."""
    return network.dhcp is not None and bool(served_subnets(network) or served_subnets(network, 6))
