"""Networks: segments, who sees them, what stands in the way of deleting one."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from kilonova.kit.db import Tx
from kilonova.network import concerns, records
from kilonova.network.errors import (
    DefaultExternalNetworkExists,
    ExternalNetworkInUse,
    FlatNetworkInUse,
    InvalidInput,
    InvalidSharedSetting,
    NetworkInUse,
    NetworkNotFound,
    NoNetworkAvailable,
    TunnelIdInUse,
)
from kilonova.network.ipam.pick import pick_number
from kilonova.network.selections import STANDARD, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import Network, Port, floating_ips, networks, ports, subnets
from kilonova.network.visibility import Visibility

VXLAN_OVERHEAD_BYTES = 50
SMALLEST_MTU = 68
"""What every IPv4 host must take (RFC 791)."""
NETWORK_TYPES = ("flat", "vxlan", "local")
PROVIDER = ("network_type", "physical_network", "segmentation_id")
LISTING = listing(
    networks,
    {
        **STANDARD,
        "admin_state_up": "admin_state_up",
        "shared": "shared",
        "router:external": "external",
        "is_default": "is_default",
        "mtu": "mtu",
        "dns_domain": "dns_domain",
        "port_security_enabled": "port_security_enabled",
        **{f"provider:{name}": name for name in PROVIDER},
    },
    constants={"status": "ACTIVE"},
    shown_by={f"provider:{name}": "get_network:provider" for name in PROVIDER},
)
AUTOMATIC_OWNERS = ("network:dhcp",)
ROUTER_INTERFACE = "network:router_interface"
"""Ports that come and go with the network itself."""


VISIBILITY = Visibility(
    networks, Network, NetworkNotFound, lambda _project_id: (networks.c.shared.is_(True), networks.c.external.is_(True))
)


async def find(tx: Tx, network_id: str) -> Network:
    return await records.find(tx, networks, Network, network_id, NetworkNotFound)


async def find_all(tx: Tx, network_ids: Collection[str]) -> dict[str, Network]:
    """Id → network, in one query a piece."""
    found: dict[str, Network] = {}
    for piece in records.chunks(sorted(network_ids)):
        for network in await tx.all(Network, select(networks).where(networks.c.id.in_(piece))):
            found[network.id] = network
    return found


async def segment(tx: Tx, service: NetworkService, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Type, physical network and segmentation id of a new network. Raises InvalidInput, NoNetworkAvailable.

    `wanted` holds the provider attributes that were given. Without any, a VNI of the configured ranges is taken.
    """
    network_type = wanted.get("network_type") or ("vxlan" if not wanted.get("physical_network") else "flat")
    physical, number = wanted.get("physical_network"), wanted.get("segmentation_id")
    if network_type not in NETWORK_TYPES:
        raise InvalidInput(
            f"provider:network_type {network_type!r} is not served here yet; possible are {NETWORK_TYPES}."
        )
    if network_type == "flat":
        return _flat_segment(service, physical, number)
    if physical is not None:
        raise InvalidInput(f"provider:physical_network is not for a {network_type} network.")
    if network_type == "local":
        if number is not None:
            raise InvalidInput("provider:segmentation_id is not for a local network.")
        return _segment("local", None, None, None)
    if number is not None and not 1 <= number < 1 << 24:
        raise InvalidInput(f"provider:segmentation_id {number} is not a VNI: 1 to 16777215 are possible.")
    if number is None:
        of_tunnels = select(networks.c.segmentation_id).where(networks.c.segmentation_id.is_not(None))
        number = pick_number(service.vni_ranges, {taken for (taken,) in await tx.tuples(of_tunnels)})
        if number is None:
            raise NoNetworkAvailable
    return _segment("vxlan", None, number, f"vxlan/{number}")


def _flat_segment(service: NetworkService, physical: str | None, number: int | None) -> dict[str, Any]:
    if physical is None:
        raise InvalidInput("physical_network required for flat provider network.")
    if number is not None:
        raise InvalidInput("segmentation_id specified for flat provider network.")
    if "*" not in service.flat_networks and physical not in service.flat_networks:
        raise InvalidInput(f"Physical network {physical!r} is not known for flat provider networks.")
    return _segment("flat", physical, None, f"flat/{physical}")


def _segment(network_type: str, physical: str | None, number: int | None, key: str | None) -> dict[str, Any]:
    return {
        "network_type": network_type,
        "physical_network": physical,
        "segmentation_id": number,
        "segment_key": key,
    }


def largest_mtu(service: NetworkService, network_type: str) -> int:
    """What fits through the segment: a tunnel takes its header off the underlay's MTU."""
    if network_type == "vxlan":
        return min(service.path_mtu, service.physical_mtu) - VXLAN_OVERHEAD_BYTES
    return service.physical_mtu


def check_mtu(service: NetworkService, mtu: int, network_type: str) -> None:
    """Raises InvalidInput for an MTU the segment does not carry."""
    largest = largest_mtu(service, network_type)
    if mtu > largest:
        raise InvalidInput(f"Requested MTU is too big, maximum is {largest}.")
    if mtu < SMALLEST_MTU:
        raise InvalidInput(f"Requested MTU is too small, minimum is {SMALLEST_MTU}.")


async def insert(tx: Tx, network: Network) -> None:
    """Raises FlatNetworkInUse or TunnelIdInUse when the segment is taken."""
    await _check_default(tx, network)
    if not await tx.insert_new(networks, network):
        if network.network_type == "flat":
            raise FlatNetworkInUse(str(network.physical_network))
        raise TunnelIdInUse(network.segmentation_id or 0)


async def change(tx: Tx, service: NetworkService, network: Network, values: Mapping[str, Any]) -> Network:
    if values.get("external") is False and network.external:
        await _refuse_while_external_is_used(tx, network)
    if values.get("shared") is False and network.shared:
        await _refuse_while_others_use_it(tx, network)
    if "mtu" in values:
        check_mtu(service, values["mtu"], network.network_type)
    await records.change(tx, networks, network, service.clock.now(), values)
    await records.raise_revision(tx, concerns.network(network.id), concerns.CARRIERS)
    changed = await find(tx, network.id)
    await _check_default(tx, changed)
    return changed


async def _check_default(tx: Tx, network: Network) -> None:
    """One external network may be the default: raises InvalidInput, DefaultExternalNetworkExists."""
    if not network.is_default:
        return
    if not network.external:
        raise InvalidInput("is_default is for external networks.")
    default = select(networks).where(networks.c.is_default.is_(True), networks.c.id != network.id)
    other = await tx.first(Network, default)
    if other is not None:
        raise DefaultExternalNetworkExists(other.id)


async def _refuse_while_external_is_used(tx: Tx, network: Network) -> None:
    owners = ("network:router_gateway", "network:floatingip")
    statement = select(ports).where(ports.c.network_id == network.id, ports.c.device_owner.in_(owners))
    if await tx.first(Port, statement) is not None:
        raise ExternalNetworkInUse(network.id)


async def _refuse_while_others_use_it(tx: Tx, network: Network) -> None:
    for table in (ports, subnets):
        others = table.c.project_id.not_in((network.project_id, ""))
        if await tx.scalar(select(table.c.id).where(table.c.network_id == network.id, others).limit(1)):
            raise InvalidSharedSetting(network.id)


async def delete(tx: Tx, network: Network) -> None:
    """With its subnets, DHCP ports and unassociated floating IPs. Raises NetworkInUse for any other port."""
    unassociated = (floating_ips.c.floating_network_id == network.id) & floating_ips.c.fixed_port_id.is_(None)
    others = select(ports).where(
        ports.c.network_id == network.id,
        ports.c.device_owner.not_in(AUTOMATIC_OWNERS),
        ports.c.id.not_in(select(floating_ips.c.floating_port_id).where(unassociated)),
    )
    if await tx.first(Port, others) is not None:
        raise NetworkInUse(network.id)
    await tx.execute(floating_ips.delete().where(unassociated))
    # Addresses go with their ports (ON DELETE CASCADE), so ports come first.
    await tx.execute(ports.delete().where(ports.c.network_id == network.id))
    await tx.execute(subnets.delete().where(subnets.c.network_id == network.id))
    await records.remove(tx, networks, network.id)
    await records.raise_revision(tx, concerns.network(network.id))


async def subnet_ids(tx: Tx, network_ids: list[str]) -> dict[str, list[str]]:
    """Network id → ids of its subnets."""
    found: dict[str, list[str]] = {each: [] for each in network_ids}
    for piece in records.chunks(network_ids):
        statement = select(subnets.c.network_id, subnets.c.id).where(subnets.c.network_id.in_(piece))
        for network_id, subnet_id in await tx.tuples(statement.order_by(subnets.c.created_at)):
            found[network_id].append(subnet_id)
    return found
