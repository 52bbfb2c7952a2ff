"""/v2.0/ports."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.kit.db import Tx
from kilonova.network import agents, floating_ips, networks, ports, records, security_groups
from kilonova.network.api.bodies import (
    STANDARD_FILTERS,
    Body,
    Listing,
    NetworkRequest,
    authorize_found,
    given,
    only_fields,
    owner,
    require,
    seen,
)
from kilonova.network.errors import InvalidInput, NetworkNotFound, PortNotFound, SecurityGroupNotFound
from kilonova.network.ports import PortWithDetails
from kilonova.network.tables import Network, Port
from kilonova.network.views.resources import port_view

Name = Annotated[str, Meta(max_length=255)]
FixedIps = list[dict[str, str]]
AddressPairs = list[dict[str, str]]
SERVICE_OWNERS = "network:"


class NewPort(Struct, forbid_unknown_fields=True):
    network_id: str
    name: Name = ""
    description: Name = ""
    admin_state_up: bool = True
    mac_address: str | UnsetType = UNSET
    fixed_ips: FixedIps | UnsetType = UNSET
    device_id: Name = ""
    device_owner: Name = ""
    security_groups: list[str] | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    allowed_address_pairs: AddressPairs = []
    extra_dhcp_opts: list[dict[str, Any]] = []
    host: str | UnsetType = field(default=UNSET, name="binding:host_id")
    binding_profile: dict[str, Any] | None | UnsetType = field(default=UNSET, name="binding:profile")
    vnic_type: str = field(default="normal", name="binding:vnic_type")
    dns_name: str = ""
    tags: list[str] = []
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class NewPortBody(Struct, forbid_unknown_fields=True):
    port: NewPort


class ChangedPort(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    fixed_ips: FixedIps | UnsetType = UNSET
    device_id: Name | None | UnsetType = UNSET
    device_owner: Name | None | UnsetType = UNSET
    security_groups: list[str] | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    allowed_address_pairs: AddressPairs | UnsetType = UNSET
    extra_dhcp_opts: list[dict[str, Any]] | UnsetType = UNSET
    host: str | None | UnsetType = field(default=UNSET, name="binding:host_id")
    binding_profile: dict[str, Any] | None | UnsetType = field(default=UNSET, name="binding:profile")
    vnic_type: str | UnsetType = field(default=UNSET, name="binding:vnic_type")
    dns_name: str | UnsetType = UNSET


class ChangedPortBody(Struct, forbid_unknown_fields=True):
    port: ChangedPort


PORTS = Listing(
    "ports",
    {
        **STANDARD_FILTERS,
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
    },
    other=("fixed_ips", "security_groups", "tags", "binding:vif_type"),
    booleans=("admin_state_up", "port_security_enabled"),
)


async def _view(tx: Tx, request: NetworkRequest, details: PortWithDetails) -> Body:
    bridge = None
    if request.may(rule="create_port:binding"):
        network = await networks.find(tx, details.port.network_id)
        bridge = await agents.bridge_name(tx, details.port, network)
    return port_view(details, dns_domain=request.service.dns_domain, bridge=bridge)


def _check_privileges(request: NetworkRequest, values: Body, network: Network, project_id: str) -> None:
    """Raises Forbidden for what only administrators, or the network's owner, may set."""
    own_network = network.project_id == request.ctx.project_id
    target = {"project_id": project_id, "own_network": own_network, "shared": network.shared}
    for name, shown in (("host", "binding:host_id"), ("binding_profile", "binding:profile")):
        if values.get(name):
            require(request, "create_port:binding", target, shown)
    for name in ("mac_address", "allowed_address_pairs", "port_security_enabled"):
        if name in values and values[name] not in ([], True):
            require(request, "create_port:network_owner", target, name)
    if any("ip_address" in each for each in values.get("fixed_ips") or ()):
        require(request, "create_port:network_owner", target, "fixed_ips:ip_address")
    if str(values.get("device_owner") or "").startswith(SERVICE_OWNERS):
        require(request, "create_port:device_owner_network", target, "device_owner")


async def create_port(request: NetworkRequest, body: NewPortBody) -> Body:
    new, service = body.port, request.service
    project_id = owner(request, new)
    async with service.database.transaction() as tx:
        network = await networks.find(tx, new.network_id)
        usable = {"shared": network.shared, "own_network": network.project_id == request.ctx.project_id}
        if not request.may({"project_id": project_id, **usable}, rule="create_port:shared_network"):
            raise NetworkNotFound(new.network_id)
        _check_privileges(request, given(new), network, project_id)
        secured = network.port_security_enabled if new.port_security_enabled is UNSET else new.port_security_enabled
        port = _new_row(request, new, project_id, secured)
        group_ids = await _groups(tx, request, new, project_id, secured)
        fixed_ips = None if new.fixed_ips is UNSET else new.fixed_ips
        details = await ports.create(tx, port, fixed_ips, group_ids)
        view = await _view(tx, request, details)
    await service.wake_agents()
    return {"port": view}


def _new_row(request: NetworkRequest, new: NewPort, project_id: str, secured: bool) -> Port:
    standard = records.standard(project_id, new.name, new.description, request.service.clock.now())
    ports.check_pairs(new.allowed_address_pairs, secured=secured)
    return Port(
        **{**standard, "tags": new.tags},
        network_id=new.network_id,
        mac_address="" if new.mac_address is UNSET else new.mac_address,
        admin_state_up=new.admin_state_up,
        status="DOWN",
        device_id=new.device_id,
        device_owner=new.device_owner,
        host="" if new.host is UNSET else new.host,
        vnic_type=new.vnic_type,
        binding_profile=(None if new.binding_profile is UNSET else new.binding_profile) or {},
        port_security_enabled=secured,
        allowed_address_pairs=new.allowed_address_pairs,
        extra_dhcp_opts=new.extra_dhcp_opts,
        dns_name=new.dns_name,
    )


async def _groups(tx: Tx, request: NetworkRequest, new: NewPort, project_id: str, secured: bool) -> list[str]:
    """The groups of a new port: those named, else the project's default one; none without port security."""
    if not secured:
        if new.security_groups is not UNSET and new.security_groups:
            raise InvalidInput("Security groups cannot be set on a port without port security.")
        return []
    if new.security_groups is not UNSET:
        return await _checked_groups(tx, request, new.security_groups, project_id)
    if new.device_owner.startswith(SERVICE_OWNERS) or not project_id:
        return []
    return [(await security_groups.ensure_default(tx, request.service, project_id)).id]


async def _checked_groups(tx: Tx, request: NetworkRequest, group_ids: list[str], project_id: str) -> list[str]:
    for group_id in group_ids:
        group = await security_groups.find(tx, group_id)
        if not (group.shared or group.project_id == project_id or request.ctx.is_admin):
            raise SecurityGroupNotFound(group_id)
    return group_ids


async def list_ports(request: NetworkRequest) -> Body:
    request.authorize(rule="get_port")
    async with request.service.database.reading() as tx:
        found = await ports.list_seen(tx, PORTS.filters(request), **seen(request))
        bridges: dict[tuple[str, str], str] = {}
        shows_bindings = request.may(rule="create_port:binding")
        views = []
        for each in found:
            key = (each.port.network_id, each.port.host)
            if shows_bindings and key not in bridges:
                bridges[key] = await agents.bridge_name(tx, each.port, await networks.find(tx, each.port.network_id))
            bridge = bridges.get(key)
            views.append(port_view(each, dns_domain=request.service.dns_domain, bridge=bridge))
    return PORTS.answer(request, views)


async def fetch_port(tx: Tx, request: NetworkRequest, port_id: str) -> Port:
    port = await ports.find(tx, port_id)
    network = await networks.find(tx, port.network_id)
    own_network = network.project_id == request.ctx.project_id
    visible = own_network or port.project_id == request.ctx.project_id
    authorize_found(
        request, {"project_id": port.project_id, "own_network": own_network}, visible, PortNotFound(port_id)
    )
    return port


async def show_port(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        port = await fetch_port(tx, request, request.path["port_id"])
        view = await _view(tx, request, await ports.details_of(tx, port.id))
    return {"port": only_fields(view, request.query.getlist("fields"))}


async def update_port(request: NetworkRequest, body: ChangedPortBody) -> Body:
    service = request.service
    values = given(body.port, without=("fixed_ips", "security_groups"))
    for name in ("device_id", "device_owner", "host"):
        if name in values:
            values[name] = values[name] or ""
    if values.get("binding_profile", {}) is None:
        values["binding_profile"] = {}
    async with service.database.transaction() as tx:
        port = await fetch_port(tx, request, request.path["port_id"])
        network = await networks.find(tx, port.network_id)
        _check_privileges(request, given(body.port), network, port.project_id)
        secured = values.get("port_security_enabled", port.port_security_enabled)
        ports.check_pairs(values.get("allowed_address_pairs", []), secured=secured)
        group_ids = await _changed_groups(tx, request, body.port, port, secured)
        fixed_ips = None if body.port.fixed_ips is UNSET else body.port.fixed_ips
        details = await ports.change(tx, service, port, values, fixed_ips=fixed_ips, group_ids=group_ids)
        view = await _view(tx, request, details)
    await service.wake_agents()
    await service.wake_events()
    return {"port": view}


async def _changed_groups(
    tx: Tx, request: NetworkRequest, changed: ChangedPort, port: Port, secured: bool
) -> list[str] | None:
    if changed.security_groups is UNSET:
        has = (await ports.details_of(tx, port.id)).security_group_ids
        if not secured and has:
            raise InvalidInput("Port security cannot be switched off while the port has security groups.")
        return None
    if changed.security_groups and not secured:
        raise InvalidInput("Security groups cannot be set on a port without port security.")
    return await _checked_groups(tx, request, changed.security_groups, port.project_id)


async def delete_port(request: NetworkRequest) -> None:
    service = request.service
    async with service.database.transaction() as tx:
        port = await fetch_port(tx, request, request.path["port_id"])
        ports.refuse_owned(port)
        await floating_ips.release_port(tx, service, port)
        await ports.delete_port(tx, port)
    await service.wake_agents()
    await service.wake_events()
