"""/v2.0/networks."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType, field

from kilonova.kit.db import Tx
from kilonova.network import agents, dns_names, networks
from kilonova.network.api.bodies import (
    Body,
    NetworkRequest,
    created,
    one_or_many,
    owner,
    require,
)
from kilonova.network.api.fields import (
    MOST_AT_ONCE,
    MOST_ENTRIES,
    Description,
    DnsName,
    Fields,
    Flag,
    Name,
    Names,
    ProjectId,
    Tags,
    given,
)
from kilonova.network.api.resource import Resource
from kilonova.network.errors import InvalidInput
from kilonova.network.tables import Network
from kilonova.network.views.resources import network_view

Mtu = Annotated[int, Meta(ge=0, le=65535)]
Number = Annotated[int, Meta(ge=0, le=2**32)]
Type = Annotated[str, Meta(max_length=32)]
Physical = Annotated[str, Meta(max_length=64)]

QUERY = networks.LISTING.query


class Segment(Fields):
    """What a network is made of below, named as an entry of `segments`."""

    network_type: Type | None = field(default=None, name="provider:network_type")
    physical_network: Physical | None = field(default=None, name="provider:physical_network")
    segmentation_id: Number | None = field(default=None, name="provider:segmentation_id")


class NewNetwork(Fields):
    name: Name = ""
    description: Description = ""
    admin_state_up: Flag = True
    shared: Flag = False
    external: Flag = field(default=False, name="router:external")
    is_default: Flag = False
    port_security_enabled: Flag = True
    mtu: Mtu | None = None
    """0 and None: the most the segment carries."""
    dns_domain: DnsName = ""
    network_type: Type | None = field(default=None, name="provider:network_type")
    physical_network: Physical | None = field(default=None, name="provider:physical_network")
    segmentation_id: Number | None = field(default=None, name="provider:segmentation_id")
    segments: Annotated[list[Segment], Meta(max_length=MOST_ENTRIES)] | None = None
    """Another way to name those three."""
    availability_zone_hints: Names = []
    tags: Tags = []
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class NewNetworkBody(Fields):
    network: NewNetwork | UnsetType = UNSET
    networks: Annotated[list[NewNetwork], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


class ChangedNetwork(Fields):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    admin_state_up: Flag | UnsetType = UNSET
    shared: Flag | UnsetType = UNSET
    external: Flag | UnsetType = field(default=UNSET, name="router:external")
    is_default: Flag | UnsetType = UNSET
    port_security_enabled: Flag | UnsetType = UNSET
    mtu: Mtu | UnsetType = UNSET
    dns_domain: DnsName | UnsetType = UNSET
    network_type: Type | UnsetType = field(default=UNSET, name="provider:network_type")
    physical_network: Physical | None | UnsetType = field(default=UNSET, name="provider:physical_network")
    segmentation_id: Number | None | UnsetType = field(default=UNSET, name="provider:segmentation_id")


class ChangedNetworkBody(Fields):
    network: ChangedNetwork


async def _views(tx: Tx, request: NetworkRequest, found: list[Network]) -> list[Body]:
    subnet_ids = await networks.subnet_ids(tx, [each.id for each in found])
    with_provider = request.may(rule="get_network:provider")
    return [network_view(each, subnet_ids[each.id], with_provider=with_provider) for each in found]


async def create_network(request: NetworkRequest, body: NewNetworkBody) -> Body:
    wanted = one_or_many(body.network, body.networks, "network")
    async with request.service.database.transaction() as tx:
        views = await _views(tx, request, [await _create(tx, request, new) for new in wanted])
    return created("network", views, body.networks)


async def _create(tx: Tx, request: NetworkRequest, new: NewNetwork) -> Network:
    service, project_id = request.service, owner(request, new)
    _take_segment(new)
    _check_privileges(request, given(new), project_id)
    await agents.check_zone_hints(tx, new.availability_zone_hints, "network")
    return await networks.create(tx, service, project_id, given(new))


def _take_segment(new: NewNetwork) -> None:
    """The one entry of `segments` is what the provider attributes would say. Raises InvalidInput for several, or for
    both ways at once."""
    if not new.segments:
        return
    if any(getattr(new, name) is not None for name in networks.PROVIDER):
        raise InvalidInput("Segments and provider values cannot both be set.")
    if len(new.segments) > 1:
        raise InvalidInput(
            f"segments has {len(new.segments)} entries; networks of more than one segment are not served here yet."
        )
    for name in networks.PROVIDER:
        setattr(new, name, getattr(new.segments[0], name))


def _check_privileges(request: NetworkRequest, values: Body, project_id: str, network: Network | None = None) -> None:
    """Raises Forbidden for what only administrators may set, or change of `network`, in either direction."""
    target = {"project_id": project_id}
    for name, shown in (("shared", "shared"), ("external", "router:external"), ("is_default", "is_default")):
        if name in values and values[name] != (False if network is None else getattr(network, name)):
            require(request, f"create_network:{shown}", target, shown)
    for name in networks.PROVIDER:
        if values.get(name) is not None:
            require(request, f"create_network:provider:{name}", target, f"provider:{name}")


async def _target(_tx: Tx, _request: NetworkRequest, network: Network) -> Body:
    return {"project_id": network.project_id, "shared": network.shared, "router:external": network.external}


NETWORKS = Resource("network", "networks", "network_id", networks.VISIBILITY, networks.LISTING, _views, _target)


async def list_networks(request: NetworkRequest) -> Body:
    return await NETWORKS.list(request)


async def show_network(request: NetworkRequest) -> Body:
    return await NETWORKS.show(request)


async def update_network(request: NetworkRequest, body: ChangedNetworkBody) -> Body:
    values, service = given(body.network), request.service
    async with service.database.transaction() as tx:
        network = await NETWORKS.fetch_to_change(tx, request)
        _check_privileges(request, values, network.project_id, network)
        _check_segment(network, values)
        if "dns_domain" in values:
            values["dns_domain"] = dns_names.check_domain(values["dns_domain"])
        if values.get("mtu") == 0:
            values["mtu"] = service.segments.largest_mtu(network.network_type)
        return await NETWORKS.body(tx, request, await networks.change(tx, service, network, values))


def _check_segment(network: Network, values: Body) -> None:
    """A network keeps its segment: raises InvalidInput for another one, and takes what stays out of `values`."""
    changed = [name for name in networks.PROVIDER if name in values and values.pop(name) != getattr(network, name)]
    if changed:
        names = ", ".join(f"provider:{name}" for name in changed)
        raise InvalidInput(f"Plugin does not support updating the following provider network attributes: {names}.")


async def delete_network(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        network = await NETWORKS.fetch_to_change(tx, request)
        await networks.delete(tx, network)
