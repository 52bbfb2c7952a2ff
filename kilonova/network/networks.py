"""Networks: who sees them, what stands in the way of deleting one."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, select

from kilonova.kit.db import Tx
from kilonova.kit.db.statements import rows_among
from kilonova.network import concerns, dns_names, quotas, records, tags
from kilonova.network.errors import (
    DefaultExternalNetworkExists,
    ExternalNetworkInUse,
    InvalidInput,
    InvalidSharedSetting,
    NetworkInUse,
    NetworkNotFound,
)
from kilonova.network.segments.segment import Segment, Wanted
from kilonova.network.selections import STANDARD, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import Network, floating_ips, networks, ports, subnets
from kilonova.network.visibility import Visibility

PROVIDER = ("network_type", "physical_network", "segmentation_id")
FLAGS = ("admin_state_up", "shared", "external", "is_default", "port_security_enabled")
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
    networks, Network, NetworkNotFound, (networks.c.shared.is_(True), networks.c.external.is_(True))
)


async def find(tx: Tx, network_id: str) -> Network:
    return await records.find(tx, networks, Network, network_id, NetworkNotFound)


async def find_all(tx: Tx, network_ids: Collection[str]) -> dict[str, Network]:
    """Id → network, in one query a piece."""
    found: dict[str, Network] = {}
    for piece in records.chunks(sorted(network_ids)):
        for network in await tx.all(Network, rows_among(networks, "id"), id=piece):
            found[network.id] = network
    return found


async def create(tx: Tx, service: NetworkService, project_id: str, wanted: Mapping[str, Any]) -> Network:
    """Makes a network of the project's, within its quota. `wanted`: every attribute by the name of its column; `mtu` 0
    or None: the most that its segment carries.

    Raises OverQuota, InvalidInput, and a Conflict when the segment is taken.
    """
    tags.check(wanted["tags"])
    await quotas.claim(tx, project_id, "network")
    segment = await service.segments.allocate(tx, Wanted(*(wanted[name] for name in PROVIDER)))
    if wanted["mtu"]:
        service.segments.check_mtu(wanted["mtu"], segment.network_type)
    standard = records.standard(project_id, wanted["name"], wanted["description"], service.clock.now())
    network = Network(
        **{**standard, "tags": wanted["tags"]},
        **{name: wanted[name] for name in FLAGS},
        mtu=wanted["mtu"] or service.segments.largest_mtu(segment.network_type),
        dns_domain=dns_names.check_domain(wanted["dns_domain"]),
        availability_zone_hints=wanted["availability_zone_hints"],
        dhcp_host=None,
        network_type=segment.network_type,
        physical_network=segment.physical_network,
        segmentation_id=segment.segmentation_id,
        segment_key=segment.key,
    )
    await _check_default(tx, network)
    if not await tx.insert_new(networks, network):
        raise service.segments.in_use(segment_of(network))
    return network


def segment_of(network: Network) -> Segment:
    return Segment(network.network_type, network.physical_network, network.segmentation_id)


async def change(tx: Tx, service: NetworkService, network: Network, values: Mapping[str, Any]) -> Network:
    if values.get("external") is False and network.external:
        await _refuse_while_external_is_used(tx, network)
    if values.get("shared") is False and network.shared:
        await _refuse_while_others_use_it(tx, network)
    if "mtu" in values:
        service.segments.check_mtu(values["mtu"], network.network_type)
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
    statement = select(ports.c.id).where(ports.c.network_id == network.id, ports.c.device_owner.in_(owners))
    if await tx.scalar(statement.limit(1)) is not None:
        raise ExternalNetworkInUse(network.id)


async def _refuse_while_others_use_it(tx: Tx, network: Network) -> None:
    for table in (ports, subnets):
        others = table.c.project_id.not_in((network.project_id, ""))
        if await tx.scalar(select(table.c.id).where(table.c.network_id == network.id, others).limit(1)):
            raise InvalidSharedSetting(network.id)


async def delete(tx: Tx, network: Network) -> None:
    """With its subnets, DHCP ports and unassociated floating IPs. Raises NetworkInUse for any other port."""
    unassociated = (floating_ips.c.floating_network_id == network.id) & floating_ips.c.fixed_port_id.is_(None)
    others = select(ports.c.id).where(
        ports.c.network_id == network.id,
        ports.c.device_owner.not_in(AUTOMATIC_OWNERS),
        ports.c.id.not_in(select(floating_ips.c.floating_port_id).where(unassociated)),
    )
    if await tx.scalar(others.limit(1)) is not None:
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
        for network_id, subnet_id in await tx.tuples(_SUBNETS_OF, network_ids=piece):
            found[network_id].append(subnet_id)
    return found


_SUBNETS_OF = (
    select(subnets.c.network_id, subnets.c.id)
    .where(subnets.c.network_id.in_(bindparam("network_ids", expanding=True)))
    .order_by(subnets.c.created_at)
)
