"""Ports: addresses, groups, binding, and who may let go of them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update

from kilonova.kit.db import Tx
from kilonova.kit.db.statements import rows_among
from kilonova.kit.errors import BadRequest
from kilonova.network import addresses as addresses_domain
from kilonova.network import bindings, concerns, dhcp_options, dns_names, events, quotas, records, tags
from kilonova.network.addresses import FixedIps
from kilonova.network.concerns import Concern
from kilonova.network.errors import (
    AddressPairAndPortSecurityRequired,
    AllowedAddressPairExhausted,
    InvalidInput,
    MacAddressInUse,
    PortBound,
    PortInUse,
    PortNotFound,
    ServicePortInUse,
)
from kilonova.network.ipam import pick
from kilonova.network.selections import STANDARD, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    Address,
    Network,
    Port,
    PortRow,
    PortSecurityGroup,
    addresses,
    bound_ports,
    networks,
    port_security_groups,
    ports,
)
from kilonova.network.visibility import PROJECT, Visibility

DHCP_OWNER = "network:dhcp"
ROUTER_OWNERS = ("network:router_interface", "network:router_gateway")
HELD_OWNERS = (*ROUTER_OWNERS, "network:floatingip", DHCP_OWNER)
"""Owners of the ports that the network service makes for itself. Such a port never changes hands: what it is made of
and what it may do follows from its owner."""
MOST_ADDRESS_PAIRS = 10
MAC_ATTEMPTS = 16
MOST_PROFILE_CHARACTERS = 4095
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

SUBSTRING = "ip_address_substr"
MOST_SUBSTRINGS = 50
"""Parts of addresses that one request looks for: each is compared with every address."""

DhcpOptions = list[dict[str, Any]]


def _with_fixed_ips(values: Sequence[str]) -> ColumnElement[bool]:
    """`fixed_ips=ip_address=…`, `subnet_id=…`, `ip_address_substr=…`: each kind given must fit some address."""
    wanted: dict[str, list[str]] = {"ip_address": [], "subnet_id": [], SUBSTRING: []}
    for value in values:
        key, _, text = value.partition("=")
        if key not in wanted:
            raise BadRequest(
                f"fixed_ips={value!r} is no filter: ip_address=…, subnet_id=… and ip_address_substr=… are."
            )
        wanted[key].append(text)
    parts = wanted.pop(SUBSTRING)
    if len(parts) > MOST_SUBSTRINGS:
        raise BadRequest(f"fixed_ips names {len(parts)} parts of addresses; {MOST_SUBSTRINGS} are possible.")
    conditions: list[ColumnElement[bool]] = [addresses.c[key].in_(texts) for key, texts in wanted.items() if texts]
    if parts:
        conditions.append(or_(*(addresses.c.ip_address.contains(each, autoescape=True) for each in parts)))
    return bound_ports.c.id.in_(select(addresses.c.port_id).where(and_(*conditions)))


def _in_groups(values: Sequence[str]) -> ColumnElement[bool]:
    members = select(port_security_groups.c.port_id).where(port_security_groups.c.security_group_id.in_(values))
    return bound_ports.c.id.in_(members)


LISTING = listing(
    bound_ports,
    {
        **STANDARD,
        "network_id": "network_id",
        "mac_address": "mac_address",
        "admin_state_up": "admin_state_up",
        "status": "status",
        "device_id": "device_id",
        "device_owner": "device_owner",
        "binding:host_id": "host",
        "binding:vnic_type": "vnic_type",
        "port_security_enabled": "port_security_enabled",
        "dns_name": "dns_name",
        "dns_domain": "dns_domain",
    },
    special={"fixed_ips": _with_fixed_ips, "security_groups": _in_groups},
    shown_by={"binding:host_id": "create_port:binding"},
)


class PortWithDetails(msgspec.Struct):
    """A port, its addresses in order, and its groups."""

    port: Port
    addresses: list[Address]
    security_group_ids: list[str]


_OWN_NETWORKS = select(networks.c.id).where(networks.c.project_id == PROJECT)
VISIBILITY = Visibility(bound_ports, Port, PortNotFound, (bound_ports.c.network_id.in_(_OWN_NETWORKS),))


async def find(tx: Tx, port_id: str) -> Port:
    return await records.find(tx, bound_ports, Port, port_id, PortNotFound)


async def find_all(tx: Tx, port_ids: Sequence[str]) -> list[Port]:
    return await tx.all(Port, rows_among(bound_ports, "id"), id=port_ids)


async def with_details(tx: Tx, found: Sequence[Port]) -> list[PortWithDetails]:
    """Two queries for however many ports."""
    details = [PortWithDetails(port, [], []) for port in found]
    by_port = {each.port.id: each for each in details}
    for piece in records.chunks(list(by_port)):
        for address in await tx.all(Address, rows_among(addresses, "port_id", order="position"), port_id=piece):
            by_port[address.port_id].addresses.append(address)
        membership = rows_among(port_security_groups, "port_id", order="security_group_id")
        for port_id, group_id in await tx.tuples(membership, port_id=piece):
            by_port[port_id].security_group_ids.append(group_id)
    return details


async def details_of(tx: Tx, port_id: str) -> PortWithDetails:
    (found,) = await with_details(tx, [await find(tx, port_id)])
    return found


async def new(tx: Tx, service: NetworkService, project_id: str, wanted: Mapping[str, Any]) -> Port:
    """Returns a port that a user asks for, of which the project's quota has room. `wanted`: attributes by the names of
    their columns.

    Raises OverQuota, InvalidInput, and Forbidden for an owner that only this service makes.
    """
    tags.check(wanted["tags"])
    await quotas.claim(tx, project_id, "port")
    refuse_held_owner(wanted["device_owner"])
    service.mechanisms.check_vnic_type(wanted["vnic_type"])
    check_profile(wanted.get("binding_profile") or {})
    check_pairs(wanted["allowed_address_pairs"], secured=wanted["port_security_enabled"])
    standard = records.standard(project_id, wanted["name"], wanted["description"], service.clock.now())
    plain = ("network_id", "admin_state_up", "device_id", "device_owner", "vnic_type", "port_security_enabled")
    return Port(
        **{**standard, "tags": wanted["tags"]},
        **{name: wanted[name] for name in plain},
        mac_address=wanted.get("mac_address") or "",
        status="DOWN",
        host=wanted.get("host") or "",
        binding_profile=wanted.get("binding_profile") or {},
        allowed_address_pairs=wanted["allowed_address_pairs"],
        extra_dhcp_opts=merge_dhcp_options([], wanted["extra_dhcp_opts"]),
        dns_name=dns_names.check_host_name(wanted["dns_name"], service.dns_domain),
        dns_domain=dns_names.check_domain(wanted["dns_domain"]),
    )


async def create(
    tx: Tx, service: NetworkService, port: Port, fixed_ips: FixedIps | None, group_ids: Sequence[str]
) -> PortWithDetails:
    """Inserts a port with its binding, addresses and groups. `fixed_ips` None: one address of each IP version there
    is."""
    await _insert(tx, port)
    await bindings.insert(tx, service, port)
    taken = await addresses_domain.assign(tx, port, fixed_ips, is_new=True)
    await _join_groups(tx, port.id, group_ids)
    hosts = [port.host] if port.host else []
    carrying = await bindings.with_others(tx, port, hosts)
    await records.raise_revision(tx, *concerned_by(port, hosts, group_ids, carrying))
    return PortWithDetails(port, taken, sorted(set(group_ids)))


async def _insert(tx: Tx, port: Port) -> None:
    """With the MAC address it was given, or else one that nobody on the network has."""
    if port.mac_address:
        port.mac_address = check_mac(port.mac_address)
        fill_pairs(port.allowed_address_pairs, port.mac_address)
        if not await _insert_row(tx, port):
            raise MacAddressInUse(port.network_id, port.mac_address)
        return
    pairs = port.allowed_address_pairs
    for _ in range(MAC_ATTEMPTS):
        port.mac_address = pick.pick_mac()
        port.allowed_address_pairs = [dict(pair) for pair in pairs]
        fill_pairs(port.allowed_address_pairs, port.mac_address)
        if await _insert_row(tx, port):
            return
    raise MacAddressInUse(port.network_id, port.mac_address)


async def _insert_row(tx: Tx, port: Port) -> bool:
    row = PortRow(**{name: getattr(port, name) for name in PortRow.__struct_fields__})
    return await tx.insert_new(ports, row)


def fill_pairs(pairs: list[dict[str, str]], mac_address: str) -> None:
    """A pair without a MAC address is for the port's own."""
    for pair in pairs:
        pair.setdefault("mac_address", mac_address)


def check_mac(text: str) -> str:
    """The address in lower case with colons. Raises InvalidInput; a multicast address is none of a port."""
    mac = text.lower().replace("-", ":")
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise InvalidInput(f"mac_address {text!r} is not a valid unicast MAC address.")
    return mac


async def set_groups(tx: Tx, port_id: str, group_ids: Sequence[str]) -> None:
    await tx.remove(port_security_groups, port_id=port_id)
    await _join_groups(tx, port_id, group_ids)


async def _join_groups(tx: Tx, port_id: str, group_ids: Sequence[str]) -> None:
    for group_id in dict.fromkeys(group_ids):
        await tx.insert(port_security_groups, PortSecurityGroup(port_id, group_id))


async def change(
    tx: Tx,
    service: NetworkService,
    port: Port,
    values: dict[str, Any],
    *,
    fixed_ips: FixedIps | None = None,
    group_ids: Sequence[str] | None = None,
) -> PortWithDetails:
    """Writes what was given. A port that changes its host is DOWN until the new host's agent reports it."""
    if "mac_address" in values:
        values["mac_address"] = check_mac(values["mac_address"])
        await _check_new_mac(tx, port, values["mac_address"])
        if values["mac_address"] != port.mac_address and fixed_ips is None:
            # Automatic addresses are made of the MAC address, so they are made anew.
            fixed_ips = await addresses_domain.chosen(tx, port)
    fill_pairs(values.get("allowed_address_pairs", []), values.get("mac_address", port.mac_address))
    if values.get("host", port.host) != port.host:
        values["status"] = "DOWN"
    hosts_before = await bindings.hosts_of(tx, port)
    bound = {name: values[name] for name in bindings.FIELDS if name in values}
    own = {name: value for name, value in values.items() if name not in bound}
    await records.change(tx, ports, port, service.clock.now(), own)
    if bound:
        values |= await bindings.change(tx, service, port, hosts_before, bound)
    group_ids_before = await group_ids_of(tx, port.id)
    if fixed_ips is not None:
        await addresses_domain.assign(tx, msgspec.structs.replace(port, **values), fixed_ips)
        await events.tell_compute(tx, service, port, "network-changed")
    if group_ids is not None:
        await set_groups(tx, port.id, group_ids)
    changed = msgspec.structs.replace(port, **values)
    groups = () if _keeps_members(values, fixed_ips, group_ids) else (*group_ids_before, *(group_ids or ()))
    hosts = bindings.hosts_then(hosts_before, port.host, changed.host)
    carrying = await bindings.with_others(tx, port, {*hosts_before, *hosts})
    before = concerned_by(port, hosts_before, groups, carrying)
    concerned = (*before, *concerned_by(changed, hosts, (), carrying))
    await records.raise_revision(tx, *concerned)
    return await details_of(tx, port.id)


def _keeps_members(values: Mapping[str, Any], fixed_ips: FixedIps | None, group_ids: Sequence[str] | None) -> bool:
    """Whether the addresses that the port's groups count as theirs stay as they are."""
    return fixed_ips is None and group_ids is None and "allowed_address_pairs" not in values


def concerned_by(
    port: Port, hosts: Iterable[str], group_ids: Iterable[str], carrying: Collection[str] = ()
) -> list[Concern]:
    """Who has to hear that a port came, went or changed, which is bound on these hosts; of its groups, when their
    members change. `carrying` as in `bindings.concerned_by`."""
    found = [Concern(concerns.members_of(each), port.id) for each in group_ids]
    found += bindings.concerned_by(port, hosts, carrying)
    if port.device_owner == DHCP_OWNER:
        found += [Concern(concerns.CARRIERS), Concern(concerns.network(port.network_id))]
    if port.device_owner in ROUTER_OWNERS:
        found.append(Concern(concerns.router(port.device_id)))
    return found


async def group_ids_of(tx: Tx, port_id: str) -> list[str]:
    statement = select(port_security_groups.c.security_group_id).where(port_security_groups.c.port_id == port_id)
    return [group_id for (group_id,) in await tx.tuples(statement)]


async def _check_new_mac(tx: Tx, port: Port, mac: str) -> None:
    if mac == port.mac_address:
        return
    if port.host:
        raise PortBound(port.id, port.mac_address, mac)
    same = (ports.c.network_id == port.network_id, ports.c.mac_address == mac, ports.c.id != port.id)
    if await tx.tuples(select(ports.c.id).where(*same).limit(1)):
        raise MacAddressInUse(port.network_id, mac)


def check_pairs(pairs: Sequence[dict[str, str]], *, secured: bool) -> None:
    """Raises faults for pairs with what is no address, given twice, or on a port that is not filtered anyway."""
    if pairs and not secured:
        raise AddressPairAndPortSecurityRequired
    if len(pairs) > MOST_ADDRESS_PAIRS:
        raise AllowedAddressPairExhausted(MOST_ADDRESS_PAIRS)
    for pair in pairs:
        try:
            pick.parse_prefix(pair["ip_address"])
        except ValueError as error:
            raise InvalidInput(f"allowed address pair: {error}.") from error
        if "mac_address" in pair:
            pair["mac_address"] = check_mac(pair["mac_address"])
    if any(pair in pairs[:place] for place, pair in enumerate(pairs)):
        raise InvalidInput("Request contains duplicate address pair.")


def check_profile(profile: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a binding's profile that is too long."""
    if len(msgspec.json.encode(profile)) > MOST_PROFILE_CHARACTERS:
        raise InvalidInput(f"binding:profile exceeds maximum length {MOST_PROFILE_CHARACTERS}.")


def merge_dhcp_options(has: DhcpOptions, wanted: DhcpOptions) -> DhcpOptions:
    """Options by name and IP version; one without a value takes the earlier one away. Raises InvalidInput."""
    for each in wanted:
        if each["opt_value"] is not None:
            dhcp_options.check(each["opt_name"], each["opt_value"], each["ip_version"])
    merged = {(each["opt_name"], each["ip_version"]): each for each in (*has, *wanted)}
    return [each for each in merged.values() if each["opt_value"] is not None]


def refuse_held_owner(device_owner: str) -> None:
    """Raises InvalidInput for a device owner whose ports the network service makes for itself."""
    if device_owner in HELD_OWNERS:
        raise InvalidInput(
            f"device_owner {device_owner} is for ports that the network service makes for itself: a router gets its "
            "ports by add_router_interface and external_gateway_info, a network and a floating IP have theirs."
        )


def hand_over(port: Port, values: dict[str, Any]) -> None:
    """Called for every change: `values` that give the port to another device leave it as if made for that device.

    A port that leaves a device leaves the device's host too. Raises PortInUse for a port that the network service
    holds, InvalidInput for one that it would have to hold.
    """
    device_id, owner = (values.get(name, getattr(port, name)) for name in ("device_id", "device_owner"))
    if (device_id, owner) == (port.device_id, port.device_owner):
        return
    if port.device_owner in HELD_OWNERS:
        raise PortInUse(
            f"Port {port.id} belongs to the network service as {port.device_owner}: its device_id and device_owner "
            "cannot be changed."
        )
    refuse_held_owner(owner)
    if port.device_id and device_id != port.device_id:
        values.setdefault("host", "")


def refuse_owned(port: Port) -> None:
    """Raises ServicePortInUse for a port that a router or a floating IP holds: it is deleted through its owner."""
    if port.device_owner in (*ROUTER_OWNERS, "network:floatingip"):
        raise ServicePortInUse(port.id, port.device_owner)


async def delete_port(tx: Tx, port: Port) -> None:
    group_ids, hosts = await group_ids_of(tx, port.id), await bindings.hosts_of(tx, port)
    await records.remove(tx, ports, port.id)
    carrying = await bindings.with_others(tx, port, hosts)
    await records.raise_revision(tx, *concerned_by(port, hosts, group_ids, carrying))


async def set_status(tx: Tx, service: NetworkService, changed: Sequence[Port], status: str) -> None:
    """What an agent has reported of ports that had another status. Compute hears of its servers' ports."""
    if not changed:
        return
    ids = [port.id for port in changed]
    for piece in records.chunks(ids):
        await tx.execute(_HAVE_STATUS, port_ids=piece, status=status)
    name = "network-vif-plugged" if status == "ACTIVE" else "network-vif-unplugged"
    for port in changed:
        await events.tell_compute(tx, service, port, name)


_HAVE_STATUS = update(ports).where(ports.c.id.in_(bindparam("port_ids", expanding=True)))


async def on_network(tx: Tx, network: Network, owner: str) -> list[Port]:
    there = (bound_ports.c.network_id == network.id, bound_ports.c.device_owner == owner)
    return await tx.all(Port, select(bound_ports).where(*there))
