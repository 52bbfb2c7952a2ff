"""Floating IPs: an address of an external network for one fixed address behind a router."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from kilonova.kit.db import Tx
from kilonova.network import concerns, dns_names, events, ports, quotas, records, routers, tags
from kilonova.network.concerns import Concern
from kilonova.network.errors import (
    ExternalGatewayForFloatingIPNotFound,
    FixedIpInUse,
    FloatingIPNotFound,
    FloatingIPPortAlreadyAssociated,
    InvalidInput,
)
from kilonova.network.ports import PortWithDetails
from kilonova.network.selections import NAMELESS, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import FloatingIp, Network, Port, Router, floating_ips
from kilonova.network.tables import routers as routers_table
from kilonova.network.visibility import Visibility

OWNER = "network:floatingip"
LISTING = listing(
    floating_ips,
    {
        **NAMELESS,
        "floating_network_id": "floating_network_id",
        "floating_ip_address": "floating_ip_address",
        "fixed_ip_address": "fixed_ip_address",
        "port_id": "fixed_port_id",
        "router_id": "router_id",
        "status": "status",
        "dns_name": "dns_name",
        "dns_domain": "dns_domain",
    },
)


VISIBILITY = Visibility(floating_ips, FloatingIp, FloatingIPNotFound)


async def find(tx: Tx, floating_id: str) -> FloatingIp:
    return await records.find(tx, floating_ips, FloatingIp, floating_id, FloatingIPNotFound)


async def fixed_ports(tx: Tx, found: Sequence[FloatingIp]) -> dict[str, PortWithDetails]:
    """Id of a port that one of them serves → the port."""
    ids = sorted({each.fixed_port_id for each in found if each.fixed_port_id is not None})
    details: dict[str, PortWithDetails] = {}
    for piece in records.chunks(ids):
        for each in await ports.with_details(tx, await ports.find_all(tx, piece)):
            details[each.port.id] = each
    return details


async def change(tx: Tx, service: NetworkService, floating: FloatingIp, values: Mapping[str, Any]) -> FloatingIp:
    await records.change(tx, floating_ips, floating, service.clock.now(), values)
    return await find(tx, floating.id)


async def create(
    tx: Tx, service: NetworkService, project_id: str, network: Network, wanted: Mapping[str, Any]
) -> FloatingIp:
    """Takes an address of the external network, within the project's quota; `wanted` may name it, its subnet, and a
    port to serve.

    Raises OverQuota, InvalidInput, and what keeps the port from being made or served.
    """
    tags.check(wanted["tags"])
    await quotas.claim(tx, project_id, "floatingip")
    network_id = network.id
    if not network.external:
        raise InvalidInput(f"Network {network_id} is not a valid external network.")
    if wanted.get("fixed_ip_address") and not wanted.get("port_id"):
        raise InvalidInput("fixed_ip_address cannot be specified without a port_id.")
    made = records.standard(project_id, "", wanted.get("description") or "", service.clock.now())
    made["tags"] = wanted["tags"]
    fixed_ips = None
    if wanted.get("floating_ip_address") or wanted.get("subnet_id"):
        asked = {"ip_address": wanted.get("floating_ip_address"), "subnet_id": wanted.get("subnet_id")}
        fixed_ips = [{name: value for name, value in asked.items() if value is not None}]
    port = _new_port(service, network_id, made["id"])
    details = await ports.create(tx, service, port, fixed_ips, ())
    v4 = [each.ip_address for each in details.addresses if ":" not in each.ip_address]
    if not v4:
        raise InvalidInput(f"Network {network_id} does not contain any IPv4 subnet.")
    floating = FloatingIp(
        **made,
        floating_network_id=network_id,
        floating_ip_address=v4[0],
        floating_port_id=port.id,
        fixed_port_id=None,
        fixed_ip_address=None,
        router_id=None,
        status="DOWN",
        dns_name=dns_names.check_relative_name(wanted.get("dns_name") or ""),
        dns_domain=dns_names.check_domain(wanted.get("dns_domain") or ""),
    )
    await tx.insert(floating_ips, floating)
    if wanted.get("port_id"):
        floating = await associate(tx, service, floating, wanted["port_id"], wanted.get("fixed_ip_address"))
    return floating


def _new_port(service: NetworkService, network_id: str, floating_id: str) -> Port:
    """The port that holds the floating address; it is on no host."""
    return Port(
        **records.standard("", "", "", service.clock.now()),
        network_id=network_id,
        mac_address="",
        admin_state_up=True,
        status="N/A",
        device_id=floating_id,
        device_owner=OWNER,
        host="",
        vnic_type="normal",
        binding_profile={},
        port_security_enabled=False,
        allowed_address_pairs=[],
        extra_dhcp_opts=[],
    )


async def associate(
    tx: Tx, service: NetworkService, floating: FloatingIp, port_id: str | None, fixed_ip: str | None
) -> FloatingIp:
    """Points it at a port's address, or at nothing. Raises NotFound and Conflict faults that say what is missing."""
    if floating.fixed_port_id is not None and floating.fixed_port_id != port_id:
        await _tell_server(tx, service, floating.fixed_port_id)
    if port_id is None:
        values: dict[str, Any] = {"fixed_port_id": None, "fixed_ip_address": None, "router_id": None, "status": "DOWN"}
    else:
        port = await ports.find(tx, port_id)
        address, subnet_id = await _fixed_address(tx, port, fixed_ip)
        await _refuse_second(tx, floating, port_id, address)
        router = await _router_between(tx, floating.floating_network_id, subnet_id)
        if router is None:
            raise ExternalGatewayForFloatingIPNotFound(subnet_id, floating.floating_network_id, port_id)
        values = {"fixed_port_id": port_id, "fixed_ip_address": address, "router_id": router.id}
        values["status"] = "ACTIVE" if router.host else "DOWN"
        await events.tell_compute(tx, service, port, "network-changed")
    await records.change(tx, floating_ips, floating, service.clock.now(), values)
    await records.raise_revision(tx, *_concerned_by(floating, floating.router_id, values["router_id"]))
    return await find(tx, floating.id)


def _concerned_by(floating: FloatingIp, *router_ids: str | None) -> list[Concern]:
    return [Concern(concerns.floating_of(each), floating.id) for each in router_ids if each]


async def _tell_server(tx: Tx, service: NetworkService, port_id: str) -> None:
    await events.tell_compute(tx, service, await ports.find(tx, port_id), "network-changed")


async def _fixed_address(tx: Tx, port: Port, wanted: str | None) -> tuple[str, str]:
    (details,) = await ports.with_details(tx, [port])
    fitting = [
        (each.ip_address, each.subnet_id)
        for each in details.addresses
        if ":" not in each.ip_address and wanted in (None, each.ip_address)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        what = f"does not have fixed ip {wanted}" if wanted else "does not have fixed ips"
        raise InvalidInput(f"Cannot associate floating IP: port {port.id} {what}.")
    raise InvalidInput(f"Port {port.id} has multiple fixed IPv4 addresses. Must provide a specific IPv4 address.")


async def _refuse_second(tx: Tx, floating: FloatingIp, port_id: str, address: str) -> None:
    statement = select(floating_ips).where(
        floating_ips.c.fixed_port_id == port_id,
        floating_ips.c.fixed_ip_address == address,
        floating_ips.c.id != floating.id,
    )
    if await tx.first(FloatingIp, statement) is not None:
        raise FloatingIPPortAlreadyAssociated(floating.floating_ip_address, port_id, address)


async def _router_between(tx: Tx, external_network_id: str, subnet_id: str) -> Router | None:
    """A router with its gateway on the external network and an interface on the subnet."""
    statement = select(routers_table).where(routers_table.c.gateway_network_id == external_network_id)
    for router in await tx.all(Router, statement.order_by(routers_table.c.created_at)):
        if subnet_id in [subnet.id for subnet in await routers.subnets_of(tx, router)]:
            return router
    return None


async def refuse_given_up(tx: Tx, details: PortWithDetails) -> None:
    """Called when a port's addresses were changed: raises FixedIpInUse when one that it gave up has a floating IP,
    whose traffic would go to whoever takes the address next."""
    has = {each.ip_address for each in details.addresses}
    for floating in await tx.all(FloatingIp, select(floating_ips).where(_serves(details.port))):
        if floating.fixed_ip_address not in has:
            raise FixedIpInUse(details.port.id, str(floating.fixed_ip_address), floating.floating_ip_address)


def _serves(port: Port) -> ColumnElement[bool]:
    return floating_ips.c.fixed_port_id == port.id


async def release_port(tx: Tx, service: NetworkService, port: Port) -> None:
    """Called before a port goes away: its floating IPs stay, pointing at nothing."""
    for floating in await tx.all(FloatingIp, select(floating_ips).where(_serves(port))):
        await associate(tx, service, floating, None, None)


async def delete(tx: Tx, service: NetworkService, floating: FloatingIp) -> None:
    if floating.fixed_port_id is not None:
        await _tell_server(tx, service, floating.fixed_port_id)
    await records.remove(tx, floating_ips, floating.id)
    await records.raise_revision(tx, *_concerned_by(floating, floating.router_id))
    await ports.delete_port(tx, await ports.find(tx, floating.floating_port_id))
