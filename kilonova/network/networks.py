"""Networks: segments, who sees them, what stands in the way of deleting one."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, select

from kilonova.kit.db import Tx
from kilonova.network import records
from kilonova.network.errors import (
    FlatNetworkInUse,
    InvalidInput,
    NetworkInUse,
    NetworkNotFound,
    NoNetworkAvailable,
    TunnelIdInUse,
)
from kilonova.network.ipam.pick import pick_number
from kilonova.network.records import Filters
from kilonova.network.service import NetworkService
from kilonova.network.tables import Network, Port, networks, ports, subnets

VXLAN_OVERHEAD_BYTES = 50
NETWORK_TYPES = ("flat", "vxlan", "local")
AUTOMATIC_OWNERS = ("network:dhcp",)
"""Ports that come and go with the network itself."""


def visible_to(project_id: str | None) -> ColumnElement[bool]:
    return records.own_or(networks, project_id, networks.c.shared.is_(True), networks.c.external.is_(True))


async def find(tx: Tx, network_id: str) -> Network:
    return await records.find(tx, networks, Network, network_id, NetworkNotFound)


def is_visible(network: Network, project_id: str | None) -> bool:
    return network.shared or network.external or network.project_id == project_id


async def list_seen(tx: Tx, filters: Filters, seen_by: str | None, *, sees_all: bool) -> list[Network]:
    """Networks that match and that the project `seen_by` sees."""
    return await records.list_where(tx, networks, Network, filters, None if sees_all else visible_to(seen_by))


async def segment(tx: Tx, service: NetworkService, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Type, physical network and segmentation id of a new network. Raises InvalidInput, NoNetworkAvailable.

    `wanted` holds the provider attributes that were given. Without any, a VNI of the configured ranges is taken.
    """
    network_type = wanted.get("network_type") or ("vxlan" if not wanted.get("physical_network") else "flat")
    physical, number = wanted.get("physical_network"), wanted.get("segmentation_id")
    if network_type not in NETWORK_TYPES:
        raise InvalidInput(f"provider:network_type {network_type!r} is not served; possible are {NETWORK_TYPES}.")
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
        taken = {row[0] for row in await tx.tuples(select(networks.c.segmentation_id)) if row[0] is not None}
        number = pick_number(service.vni_ranges, taken)
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
    return service.physical_mtu - (VXLAN_OVERHEAD_BYTES if network_type == "vxlan" else 0)


async def insert(tx: Tx, network: Network) -> None:
    """Raises FlatNetworkInUse or TunnelIdInUse when the segment is taken."""
    if not await tx.insert_new(networks, network):
        if network.network_type == "flat":
            raise FlatNetworkInUse(str(network.physical_network))
        raise TunnelIdInUse(network.segmentation_id or 0)
    await records.raise_revision(tx)


async def change(tx: Tx, service: NetworkService, network: Network, values: Mapping[str, Any]) -> Network:
    if values.get("external") is False and network.external:
        await _refuse_while_external_is_used(tx, network)
    await records.change(tx, networks, network, service.clock.now(), values)
    await records.raise_revision(tx)
    return await find(tx, network.id)


async def _refuse_while_external_is_used(tx: Tx, network: Network) -> None:
    owners = ("network:router_gateway", "network:floatingip")
    statement = select(ports).where(ports.c.network_id == network.id, ports.c.device_owner.in_(owners))
    if await tx.first(Port, statement) is not None:
        raise NetworkInUse(network.id)


async def delete(tx: Tx, network: Network) -> None:
    """With its subnets and DHCP ports. Raises NetworkInUse for any other port."""
    others = select(ports).where(ports.c.network_id == network.id, ports.c.device_owner.not_in(AUTOMATIC_OWNERS))
    if await tx.first(Port, others) is not None:
        raise NetworkInUse(network.id)
    # Addresses go with their ports (ON DELETE CASCADE), so ports come first.
    await tx.execute(ports.delete().where(ports.c.network_id == network.id))
    await tx.execute(subnets.delete().where(subnets.c.network_id == network.id))
    await records.remove(tx, networks, network.id)
    await records.raise_revision(tx)


async def subnet_ids(tx: Tx, network_ids: list[str]) -> dict[str, list[str]]:
    """Network id → ids of its subnets."""
    statement = select(subnets.c.network_id, subnets.c.id).where(subnets.c.network_id.in_(network_ids))
    found: dict[str, list[str]] = {each: [] for each in network_ids}
    for network_id, subnet_id in await tx.tuples(statement.order_by(subnets.c.created_at)):
        found[network_id].append(subnet_id)
    return found
