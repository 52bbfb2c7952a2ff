"""/v2.0/ports."""

from functools import partial
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from kilonova.kit.db import Tx
from kilonova.kit.http.bounds import Id, Word
from kilonova.network import (
    dns_names,
    floating_ips,
    networks,
    ports,
    routers,
    security_groups,
)
from kilonova.network.api.bodies import (
    Body,
    NetworkRequest,
    created,
    is_cloud_admin,
    one_or_many,
    owner,
    owns,
    require,
)
from kilonova.network.api.fields import (
    MOST_AT_ONCE,
    AddressPairs,
    Description,
    DhcpOptions,
    DnsName,
    Fields,
    FixedIps,
    Flag,
    Ids,
    Name,
    Profile,
    ProjectId,
    Tags,
    entries,
    fixed_ips,
    given,
)
from kilonova.network.api.resource import Resource
from kilonova.network.api.subnets import check_named
from kilonova.network.errors import (
    NetworkNotFound,
    PortInUse,
    PortSecurityAndIPRequiredForSecurityGroups,
    PortSecurityPortHasSecurityGroup,
    SecurityGroupNotFound,
)
from kilonova.network.ports import PortWithDetails
from kilonova.network.tables import Network, Port
from kilonova.network.views.resources import binding_view, port_view

VnicType = Literal[
    "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
    "accelerator-direct", "accelerator-direct-physical", "remote-managed",
]  # fmt: skip
SERVICE_OWNERS = "network:"
QUERY = ports.LISTING.query


class NewPort(Fields):
    network_id: Id
    name: Name = ""
    description: Description = ""
    admin_state_up: Flag = True
    mac_address: Word | None | UnsetType = UNSET
    fixed_ips: FixedIps | None | UnsetType = UNSET
    device_id: Name = ""
    device_owner: Name = ""
    security_groups: Ids | None | UnsetType = UNSET
    port_security_enabled: Flag | UnsetType = UNSET
    allowed_address_pairs: AddressPairs | None = None
    extra_dhcp_opts: DhcpOptions | None = None
    host: Name | None | UnsetType = field(default=UNSET, name="binding:host_id")
    binding_profile: Profile | None | UnsetType = field(default=UNSET, name="binding:profile")
    vnic_type: VnicType = field(default="normal", name="binding:vnic_type")
    dns_name: DnsName = ""
    dns_domain: DnsName = ""
    tags: Tags = []
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewPortBody(Fields):
    port: NewPort | UnsetType = UNSET
    ports: Annotated[list[NewPort], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


class ChangedPort(Fields):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    admin_state_up: Flag | UnsetType = UNSET
    mac_address: Word | UnsetType = UNSET
    fixed_ips: FixedIps | None | UnsetType = UNSET
    device_id: Name | None | UnsetType = UNSET
    device_owner: Name | None | UnsetType = UNSET
    security_groups: Ids | None | UnsetType = UNSET
    port_security_enabled: Flag | UnsetType = UNSET
    allowed_address_pairs: AddressPairs | None | UnsetType = UNSET
    extra_dhcp_opts: DhcpOptions | None | UnsetType = UNSET
    host: Name | None | UnsetType = field(default=UNSET, name="binding:host_id")
    binding_profile: Profile | None | UnsetType = field(default=UNSET, name="binding:profile")
    vnic_type: VnicType | UnsetType = field(default=UNSET, name="binding:vnic_type")
    dns_name: DnsName | UnsetType = UNSET
    dns_domain: DnsName | UnsetType = UNSET


class ChangedPortBody(Fields):
    port: ChangedPort


def _views(request: NetworkRequest, found: list[PortWithDetails]) -> list[Body]:
    """Bindings are shown to those who may set them."""
    domain = request.service.dns_domain
    if not request.may(rule="create_port:binding"):
        return [port_view(each, domain) for each in found]
    return [port_view(each, domain, binding_view(each.port)) for each in found]


def _check_privileges(
    request: NetworkRequest, values: Body, network: Network, project_id: str, port: Port | None = None
) -> None:
    """Raises Forbidden for what only administrators, or the network's owner, may set, or change of `port`."""
    own_network = network.project_id == request.ctx.project_id
    target = {"project_id": project_id, "own_network": own_network, "shared": network.shared}
    for name, shown, empty in (("host", "binding:host_id", ""), ("binding_profile", "binding:profile", {})):
        before = empty if port is None else getattr(port, name)
        if name in values and (values[name] or empty) != before:
            require(request, "create_port:binding", target, shown)
    for name in ("mac_address", "allowed_address_pairs", "port_security_enabled"):
        if values.get(name) not in (None, [], True):
            require(request, "create_port:network_owner", target, name)
    if any(each.ip_address is not UNSET for each in values.get("fixed_ips") or ()):
        require(request, "create_port:network_owner", target, "fixed_ips:ip_address")
    owner_before, owner_after = "" if port is None else port.device_owner, str(values.get("device_owner") or "")
    if owner_after.startswith(SERVICE_OWNERS) and owner_after != owner_before:
        require(request, "create_port:device_owner_network", target, "device_owner")


async def create_port(request: NetworkRequest, body: NewPortBody) -> Body:
    wanted = one_or_many(body.port, body.ports, "port")
    async with request.service.database.transaction() as tx:
        on: dict[str, Network] = {}
        for new in wanted:
            if new.network_id not in on:
                on[new.network_id] = await networks.find(tx, new.network_id)
        made = [await _create(tx, request, new, on[new.network_id]) for new in wanted]
        views = _views(request, made)
    return created("port", views, body.ports)


async def _create(tx: Tx, request: NetworkRequest, new: NewPort, network: Network) -> PortWithDetails:
    project_id = owner(request, new)
    usable = {"shared": network.shared, "own_network": network.project_id == request.ctx.project_id}
    if not request.may({"project_id": project_id, **usable}, rule="create_port:shared_network"):
        raise NetworkNotFound(new.network_id)
    _check_privileges(request, given(new), network, project_id)
    await check_named(tx, request, new.fixed_ips or ())
    secured = network.port_security_enabled if new.port_security_enabled is UNSET else new.port_security_enabled
    lists = {name: entries(getattr(new, name)) for name in ("allowed_address_pairs", "extra_dhcp_opts")}
    wanted = {**given(new), **lists, "port_security_enabled": secured}
    port = await ports.new(tx, request.service, project_id, wanted)
    group_ids = await _groups(tx, request, new, project_id, secured)
    return await ports.create(tx, request.service, port, fixed_ips(new.fixed_ips), group_ids)


async def _groups(tx: Tx, request: NetworkRequest, new: NewPort, project_id: str, secured: bool) -> list[str]:
    """The groups of a new port: those named, else the project's default one; none without port security."""
    if not secured:
        if new.security_groups:
            raise PortSecurityAndIPRequiredForSecurityGroups
        return []
    if new.security_groups is not UNSET:
        return await _checked_groups(tx, request, new.security_groups or [], project_id)
    if new.device_owner.startswith(SERVICE_OWNERS) or not project_id:
        return []
    return [(await security_groups.ensure_default(tx, request.service, project_id)).id]


async def _checked_groups(tx: Tx, request: NetworkRequest, group_ids: list[str], project_id: str) -> list[str]:
    for group_id in group_ids:
        group = await security_groups.find(tx, group_id)
        if not (group.shared or group.project_id == project_id or is_cloud_admin(request)):
            raise SecurityGroupNotFound(group_id)
    return group_ids


async def _rows(tx: Tx, request: NetworkRequest, found: list[Port]) -> list[Body]:
    return _views(request, await ports.with_details(tx, found))


async def _target(tx: Tx, request: NetworkRequest, port: Port) -> Body:
    network = await networks.find(tx, port.network_id)
    return {"project_id": port.project_id, "own_network": network.project_id == request.ctx.project_id}


PORTS = Resource("port", "ports", "port_id", ports.VISIBILITY, ports.LISTING, _rows, _target)


async def list_ports(request: NetworkRequest) -> Body:
    return await PORTS.list(request)


async def show_port(request: NetworkRequest) -> Body:
    return await PORTS.show(request)


async def update_port(request: NetworkRequest, body: ChangedPortBody) -> Body:
    service, changed = request.service, body.port
    async with service.database.transaction() as tx:
        port = await PORTS.fetch_to_change(tx, request)
        network = await networks.find(tx, port.network_id)
        _check_privileges(request, given(changed), network, port.project_id, port)
        await check_named(tx, request, changed.fixed_ips or ())
        values = _changed_values(request, changed, port)
        group_ids = await _changed_groups(tx, request, changed, port, values)
        wanted_ips = fixed_ips(changed.fixed_ips)
        before = None if wanted_ips is None else await ports.details_of(tx, port.id)
        details = await ports.change(tx, service, port, values, fixed_ips=wanted_ips, group_ids=group_ids)
        if before is not None:
            await _check_addresses(tx, request, before, details)
        (view,) = _views(request, [details])
    return {"port": view}


async def _check_addresses(tx: Tx, request: NetworkRequest, before: PortWithDetails, after: PortWithDetails) -> None:
    """Raises a fault when something else depends on addresses that the port has given up."""
    if after.port.device_owner == floating_ips.OWNER and before.addresses != after.addresses:
        raise PortInUse(f"Port {after.port.id} holds the address of a floating IP, which cannot be changed.")
    await floating_ips.refuse_given_up(tx, after)
    if after.port.device_owner == routers.INTERFACE:
        await routers.check_changed_interface(tx, before, after, partial(owns, request))


def _changed_values(request: NetworkRequest, changed: ChangedPort, port: Port) -> Body:
    """Columns to write: null means empty, and everything is checked."""
    values = given(changed, without=("fixed_ips", "security_groups", "extra_dhcp_opts"))
    for name, empty in (("device_id", ""), ("device_owner", ""), ("host", ""), ("binding_profile", {})):
        if name in values:
            values[name] = values[name] or empty
    ports.check_profile(values.get("binding_profile", {}))
    request.service.mechanisms.check_vnic_type(values.get("vnic_type", "normal"))
    ports.hand_over(port, values)
    if "allowed_address_pairs" in values:
        values["allowed_address_pairs"] = entries(values["allowed_address_pairs"])
    secured = values.get("port_security_enabled", port.port_security_enabled)
    ports.check_pairs(values.get("allowed_address_pairs", port.allowed_address_pairs), secured=secured)
    if changed.extra_dhcp_opts is not UNSET:
        values["extra_dhcp_opts"] = ports.merge_dhcp_options(port.extra_dhcp_opts, entries(changed.extra_dhcp_opts))
    if "dns_name" in values:
        values["dns_name"] = dns_names.check_host_name(values["dns_name"], request.service.dns_domain)
    if "dns_domain" in values:
        values["dns_domain"] = dns_names.check_domain(values["dns_domain"])
    return values


async def _changed_groups(
    tx: Tx, request: NetworkRequest, changed: ChangedPort, port: Port, values: Body
) -> list[str] | None:
    secured = values.get("port_security_enabled", port.port_security_enabled)
    if changed.security_groups is UNSET:
        if not secured and (await ports.details_of(tx, port.id)).security_group_ids:
            raise PortSecurityPortHasSecurityGroup
        return None
    if changed.security_groups and not secured:
        raise PortSecurityAndIPRequiredForSecurityGroups
    return await _checked_groups(tx, request, changed.security_groups or [], port.project_id)


async def delete_port(request: NetworkRequest) -> None:
    service = request.service
    async with service.database.transaction() as tx:
        port = await PORTS.fetch_to_change(tx, request)
        ports.refuse_owned(port)
        await floating_ips.release_port(tx, service, port)
        await ports.delete_port(tx, port)
