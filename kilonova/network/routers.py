"""Routers: their gateway and interfaces. Source: Networking API, "Routers"."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import select

from kilonova.kit.db import Tx
from kilonova.network import concerns, networks, ports, quotas, records, subnets, tags
from kilonova.network.errors import (
    InvalidInput,
    InvalidRoutes,
    PortInUse,
    RouterExternalGatewayInUseByFloatingIp,
    RouterInterfaceInUseByFloatingIP,
    RouterInterfaceInUseByRoute,
    RouterInterfaceNotFound,
    RouterInterfaceNotFoundForSubnet,
    RouterInUse,
    RouterNotFound,
    SubnetMismatchForPort,
)
from kilonova.network.ipam import pick
from kilonova.network.ports import PortWithDetails
from kilonova.network.selections import STANDARD, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    Address,
    FloatingIp,
    Port,
    Router,
    Subnet,
    addresses,
    bound_ports,
    floating_ips,
    routers,
)
from kilonova.network.tables import ports as ports_table
from kilonova.network.tables import subnets as subnets_table
from kilonova.network.visibility import Visibility

INTERFACE, GATEWAY = "network:router_interface", "network:router_gateway"
LISTING = listing(
    routers,
    {**STANDARD, "admin_state_up": "admin_state_up", "status": "status"},
    constants={"distributed": "False", "ha": "False"},
)


VISIBILITY = Visibility(routers, Router, RouterNotFound)


async def find(tx: Tx, router_id: str) -> Router:
    return await records.find(tx, routers, Router, router_id, RouterNotFound)


async def gateways(tx: Tx, found: Sequence[Router]) -> dict[str, PortWithDetails]:
    """Router id → its gateway port, for those that have one; two queries for however many routers."""
    of_router = {each.gateway_port_id: each.id for each in found if each.gateway_port_id is not None}
    details: dict[str, PortWithDetails] = {}
    for piece in records.chunks(list(of_router)):
        for each in await ports.with_details(tx, await ports.find_all(tx, piece)):
            details[of_router[each.port.id]] = each
    return details


async def interfaces(tx: Tx, router_id: str) -> list[Port]:
    statement = select(bound_ports).where(bound_ports.c.device_id == router_id, bound_ports.c.device_owner == INTERFACE)
    return await tx.all(Port, statement.order_by(bound_ports.c.created_at))


async def create(tx: Tx, service: NetworkService, project_id: str, wanted: Mapping[str, Any]) -> Router:
    """Makes a router of the project's, within its quota and without a gateway. Raises OverQuota, InvalidInput."""
    tags.check(wanted["tags"])
    await quotas.claim(tx, project_id, "router")
    standard = records.standard(project_id, wanted["name"], wanted["description"], service.clock.now())
    router = Router(
        **{**standard, "tags": wanted["tags"]},
        admin_state_up=wanted["admin_state_up"],
        status="ACTIVE",
        gateway_port_id=None,
        gateway_network_id=None,
        enable_snat=True,
        routes=[],
        availability_zone_hints=wanted["availability_zone_hints"],
        host=None,
    )
    await tx.insert(routers, router)
    await records.raise_revision(tx, concerns.CARRIERS)
    return router


async def change(tx: Tx, service: NetworkService, router: Router, values: Mapping[str, Any]) -> Router:
    if "routes" in values:
        values = {**values, "routes": await _checked_routes(tx, router, values["routes"])}
    if values:
        await records.change(tx, routers, router, service.clock.now(), values)
    await records.raise_revision(tx, concerns.router(router.id))
    return await find(tx, router.id)


async def _checked_routes(tx: Tx, router: Router, routes: list[dict[str, str]]) -> list[dict[str, str]]:
    """Raises OverQuota, and InvalidRoutes for a next hop that no interface reaches, or that is the router itself."""
    await quotas.claim(tx, router.project_id, quotas.PER_ROUTER, len(routes))
    checked = subnets.check_routes(routes)
    connected = await _connected(tx, router)
    own = [address.ip_address for address, _ in connected]
    for route in checked:
        if not any(pick.in_network(route["nexthop"], subnet.cidr) for _, subnet in connected):
            raise InvalidRoutes(routes, "the nexthop is not connected with router")
        if route["nexthop"] in own:
            raise InvalidRoutes(routes, "the nexthop is used by router")
    return checked


def with_routes(router: Router, more: list[dict[str, str]]) -> list[dict[str, str]]:
    """The router's routes and those of `more` that it has not."""
    wanted = subnets.check_routes(more)
    return [*router.routes, *(each for each in wanted if each not in router.routes)]


def without_routes(router: Router, fewer: list[dict[str, str]]) -> list[dict[str, str]]:
    """The router's routes but those of `fewer`; one it has not got is gone already."""
    unwanted = subnets.check_routes(fewer)
    return [each for each in router.routes if each not in unwanted]


async def subnets_of(tx: Tx, router: Router) -> list[Subnet]:
    """Subnets the router has an address in, the gateway's included."""
    return [subnet for _, subnet in await _connected(tx, router)]


async def _connected(tx: Tx, router: Router) -> list[tuple[Address, Subnet]]:
    """The router's addresses, the gateway's included, each with its subnet."""
    owned = select(ports_table.c.id).where(
        ports_table.c.device_id == router.id, ports_table.c.device_owner.in_(ports.ROUTER_OWNERS)
    )
    held = await tx.all(Address, select(addresses).where(addresses.c.port_id.in_(owned)))
    used = select(subnets_table).where(subnets_table.c.id.in_({each.subnet_id for each in held}))
    by_id = {each.id: each for each in await tx.all(Subnet, used)}
    return [(each, by_id[each.subnet_id]) for each in held]


async def set_gateway(tx: Tx, service: NetworkService, router: Router, wanted: Mapping[str, Any]) -> Router:
    """Connects the router to an external network, changes that connection, or cuts it (`wanted` empty)."""
    network_id, fixed_ips = wanted.get("network_id"), wanted.get("external_fixed_ips")
    if network_id is None:
        await _drop_gateway(tx, service, router)
        return await find(tx, router.id)
    if router.gateway_network_id != network_id:
        await _drop_gateway(tx, service, router)
        network = await networks.find(tx, network_id)
        if not network.external:
            raise InvalidInput(f"Network {network_id} is not an external network.")
        port = new_port(service, router, network_id, GATEWAY, project_id="")
        made = await ports.create(tx, service, port, fixed_ips or None, ())
        if not made.addresses:
            raise InvalidInput(f"Cannot update gateway for Gateway port of {network_id}: the network has no subnet.")
        gateway = {"gateway_port_id": port.id, "gateway_network_id": network_id}
        await tx.change(routers, {"id": router.id}, **gateway)
    elif fixed_ips:
        port = await ports.find(tx, str(router.gateway_port_id))
        await ports.change(tx, service, port, {}, fixed_ips=fixed_ips)
    snat = wanted.get("enable_snat")
    router = await find(tx, router.id)
    return await change(tx, service, router, {} if snat is None else {"enable_snat": snat})


async def _drop_gateway(tx: Tx, service: NetworkService, router: Router) -> None:
    if router.gateway_port_id is None:
        return
    used = await tx.find(FloatingIp, floating_ips, router_id=router.id)
    if used is not None:
        raise RouterExternalGatewayInUseByFloatingIp(router.id, str(router.gateway_network_id))
    cut = {"gateway_port_id": None, "gateway_network_id": None}
    await records.change(tx, routers, router, service.clock.now(), cut)
    await ports.delete_port(tx, await ports.find(tx, router.gateway_port_id))


def new_port(service: NetworkService, router: Router, network_id: str, owner: str, *, project_id: str) -> Port:
    """A port of the router. A gateway's belongs to no project: its owner may not touch the external network."""
    return Port(
        **records.standard(project_id, "", "", service.clock.now()),
        network_id=network_id,
        mac_address="",
        admin_state_up=True,
        status="DOWN",
        device_id=router.id,
        device_owner=owner,
        host=router.host or "",
        vnic_type="normal",
        binding_profile={},
        port_security_enabled=False,
        allowed_address_pairs=[],
        extra_dhcp_opts=[],
    )


class Attached(msgspec.Struct):
    """An interface, and those of its subnets that a request added or removed."""

    port: Port
    subnets: list[Subnet]


async def add_subnet(tx: Tx, service: NetworkService, router: Router, subnet: Subnet) -> Attached:
    """Gives the router the subnet's gateway address. Raises InvalidInput.

    The IPv6 subnets of one network share a port: its link-local address is the gateway of all of them.
    """
    if subnet.gateway_ip is None:
        raise InvalidInput(f"Subnet {subnet.id} must have a gateway IP to be added to a router.")
    _refuse_foreign_advertisements(subnet)
    await _refuse_overlap(tx, router, subnet)
    address = {"subnet_id": subnet.id, "ip_address": subnet.gateway_ip}
    if subnet.ip_version == 6 and (shared := await _ipv6_interface(tx, router, subnet.network_id)) is not None:
        has = [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in shared.addresses]
        changed = await ports.change(tx, service, shared.port, {}, fixed_ips=[*has, address])
        return Attached(changed.port, [subnet])
    port = new_port(service, router, subnet.network_id, INTERFACE, project_id=router.project_id)
    await ports.create(tx, service, port, [address], ())
    return Attached(port, [subnet])


async def _ipv6_interface(tx: Tx, router: Router, network_id: str) -> PortWithDetails | None:
    """The router's interface with IPv6 addresses on the network."""
    for each in await ports.with_details(tx, await interfaces(tx, router.id)):
        if each.port.network_id == network_id and _has_ipv6(each):
            return each
    return None


def _has_ipv6(details: PortWithDetails) -> bool:
    return any(":" in each.ip_address for each in details.addresses)


def _refuse_foreign_advertisements(subnet: Subnet) -> None:
    """Raises InvalidInput for a subnet whose router is one outside the cloud."""
    if subnet.ipv6_address_mode is not None and subnet.ipv6_ra_mode is None:
        raise InvalidInput(
            f"IPv6 subnet {subnet.id} configured to receive RAs from an external router cannot be added to a router."
        )


async def add_port(
    tx: Tx, service: NetworkService, router: Router, port: Port, owns: Callable[[Subnet], bool]
) -> Attached:
    """Makes a free port the router's. In subnets that are not his own (`owns`), the caller may bring addresses of the
    pools only: the others are for their owner to give away."""
    if port.device_id:
        raise PortInUse(
            f"Unable to complete operation on port {port.id} for network {port.network_id}. Port already has "
            f"an attached device {port.device_id}."
        )
    (details,) = await ports.with_details(tx, [port])
    its_subnets = await _check_interface(tx, router, details, owns)
    owned = {"device_id": router.id, "device_owner": INTERFACE, "host": router.host or ""}
    unfiltered = {"port_security_enabled": False, "allowed_address_pairs": []}
    changed = await ports.change(tx, service, port, {**owned, **unfiltered}, group_ids=())
    return Attached(changed.port, its_subnets)


async def check_changed_interface(
    tx: Tx, before: PortWithDetails, after: PortWithDetails, owns: Callable[[Subnet], bool]
) -> None:
    """Called when the addresses of a router's interface were changed: raises unless it could have been added so, and
    the router needs none of the subnets that it has left."""
    router = await find(tx, after.port.device_id)
    kept = [each.id for each in await _check_interface(tx, router, after, owns)]
    for address in before.addresses:
        if address.subnet_id not in kept:
            await _refuse_needed_interface(tx, router, await subnets.find(tx, address.subnet_id))


async def _check_interface(
    tx: Tx, router: Router, details: PortWithDetails, owns: Callable[[Subnet], bool]
) -> list[Subnet]:
    """The port's subnets, in the order of its addresses. Raises InvalidInput when it cannot be the router's."""
    port = details.port
    if not details.addresses:
        raise InvalidInput(f"Port {port.id} has no fixed IP, so it cannot be a router's interface.")
    found: dict[str, Subnet] = {}
    for address in details.addresses:
        subnet = found[address.subnet_id] = await subnets.find(tx, address.subnet_id)
        if not owns(subnet) and not pick.in_pools(address.ip_address, subnet.allocation_pools):
            raise InvalidInput(
                f"Cannot add interface to router because port {port.id} has an address outside the allocation pools "
                f"of subnet {subnet.id}, which is not owned by project making the request."
            )
    if sum(each.ip_version == 4 for each in found.values()) > 1:
        raise InvalidInput("Cannot have multiple IPv4 subnets on router port.")
    other = await _ipv6_interface(tx, router, port.network_id) if _has_ipv6(details) else None
    if other is not None and other.port.id != port.id:
        raise InvalidInput(
            f"Router already contains IPv6 port {other.port.id} belonging to network {port.network_id}. Only one IPv6 "
            "port from the same network can be connected to a router."
        )
    for subnet in found.values():
        _refuse_foreign_advertisements(subnet)
        await _refuse_overlap(tx, router, subnet, but=port)
    return list(found.values())


async def _refuse_overlap(tx: Tx, router: Router, subnet: Subnet, but: Port | None = None) -> None:
    """Raises InvalidInput when the router has addresses there already; those of the port `but` do not count."""
    for address, other in await _connected(tx, router):
        if but is not None and address.port_id == but.id:
            continue
        if other.id == subnet.id:
            raise InvalidInput(f"Router already has a port on subnet {subnet.id}.")
        if pick.overlapping(subnet.cidr, [other.cidr]) is not None:
            raise InvalidInput(
                f"Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {other.cidr} of subnet {other.id}."
            )


async def remove_interface(
    tx: Tx, service: NetworkService, router: Router, *, subnet_id: str | None, port_id: str | None
) -> Attached:
    """Takes away a port, or the addresses in one subnet, with the port if it has no others. Raises when there is none,
    or it is needed."""
    found = await ports.with_details(tx, await interfaces(tx, router.id))
    if port_id is not None:
        interface = next((each for each in found if each.port.id == port_id), None)
        if interface is None:
            raise RouterInterfaceNotFound(router.id, port_id)
        unwanted = list(dict.fromkeys(each.subnet_id for each in interface.addresses))
        if subnet_id is not None and subnet_id not in unwanted:
            raise SubnetMismatchForPort(port_id, subnet_id)
    else:
        interface = next((each for each in found if any(a.subnet_id == subnet_id for a in each.addresses)), None)
        if interface is None:
            raise RouterInterfaceNotFoundForSubnet(router.id, str(subnet_id))
        unwanted = [str(subnet_id)]
    removed = [await subnets.find(tx, each) for each in unwanted]
    for subnet in removed:
        await _refuse_needed_interface(tx, router, subnet)
    kept = [each for each in interface.addresses if each.subnet_id not in unwanted]
    if kept:
        addresses_kept = [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in kept]
        await ports.change(tx, service, interface.port, {}, fixed_ips=addresses_kept)
    else:
        await ports.delete_port(tx, interface.port)
    return Attached(interface.port, removed)


async def _refuse_needed_interface(tx: Tx, router: Router, subnet: Subnet) -> None:
    for floating in await tx.find_all(FloatingIp, floating_ips, router_id=router.id):
        if pick.in_network(floating.fixed_ip_address or "", subnet.cidr):
            raise RouterInterfaceInUseByFloatingIP(router.id, subnet.id)
    if any(pick.in_network(route["nexthop"], subnet.cidr) for route in router.routes):
        raise RouterInterfaceInUseByRoute(router.id, subnet.id)


async def delete(tx: Tx, service: NetworkService, router: Router) -> None:
    """Raises RouterInUse while it has interfaces or floating IPs."""
    if await interfaces(tx, router.id):
        raise RouterInUse(router.id, "still has ports")
    await _drop_gateway(tx, service, router)
    await records.remove(tx, routers, router.id)
    await records.raise_revision(tx, concerns.router(router.id))
