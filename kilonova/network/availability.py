"""How many addresses each network has, and how many of them ports hold.

Source: Networking API, "Network IP availability".
"""

import ipaddress
from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import func, select

from kilonova.kit.db import Tx
from kilonova.network.tables import Network, Subnet, addresses, networks, subnets


class SubnetUse(Struct):
    subnet: Subnet
    total: int
    """Addresses in its pools; of the whole subnet when it has none."""
    used: int


class NetworkUse(Struct):
    network: Network
    subnets: list[SubnetUse]


async def of_networks(
    tx: Tx, *, network_id: str | None = None, ip_versions: Collection[int] | None = None
) -> list[NetworkUse]:
    """Every network, or one; with `ip_versions` only those subnets, and the networks that have such."""
    wanted = select(networks).order_by(networks.c.created_at, networks.c.id)
    of_them = select(subnets).order_by(subnets.c.created_at, subnets.c.id)
    count = select(addresses.c.subnet_id, func.count()).group_by(addresses.c.subnet_id)
    if network_id is not None:
        wanted = wanted.where(networks.c.id == network_id)
        of_them = of_them.where(subnets.c.network_id == network_id)
        count = count.where(addresses.c.network_id == network_id)
    if ip_versions is not None:
        of_them = of_them.where(subnets.c.ip_version.in_(ip_versions))
    used: dict[str, int] = {}
    for subnet_id, number in await tx.tuples(count):
        used[subnet_id] = number
    found = {each.id: NetworkUse(each, []) for each in await tx.all(Network, wanted)}
    for subnet in await tx.all(Subnet, of_them):
        found[subnet.network_id].subnets.append(SubnetUse(subnet, _total(subnet), used.get(subnet.id, 0)))
    return [each for each in found.values() if ip_versions is None or each.subnets]


def _total(subnet: Subnet) -> int:
    if not subnet.allocation_pools:
        return ipaddress.ip_network(subnet.cidr).num_addresses
    return sum(
        int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1
        for pool in subnet.allocation_pools
    )
