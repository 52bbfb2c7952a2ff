"""/v2.0/ports/{port_id}/bindings: the hosts that a port is on, or that get ready for it."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from kilonova.network import bindings
from kilonova.network.api.bodies import Body, NetworkRequest
from kilonova.network.api.fields import Fields, Profile
from kilonova.network.api.ports import PORTS, VnicType
from kilonova.network.errors import InvalidInput
from kilonova.network.ports import check_profile
from kilonova.network.views.resources import port_binding_view

HostName = Annotated[str, Meta(min_length=1, max_length=255)]


class NewBinding(Fields):
    host: HostName
    vnic_type: VnicType | UnsetType = UNSET
    profile: Profile | None = None


class NewBindingBody(Fields):
    binding: NewBinding


async def list_bindings(request: NetworkRequest) -> Body:
    async with request.service.database.reading() as tx:
        port = await PORTS.fetch(tx, request)
        found = await bindings.of_port(tx, port.id)
    return {"bindings": [port_binding_view(each) for each in found if each.host]}


async def create_binding(request: NetworkRequest, body: NewBindingBody) -> Body:
    """An INACTIVE one: the port stays where it is."""
    new = body.binding
    profile = new.profile or {}
    check_profile(profile)
    async with request.service.database.transaction() as tx:
        port = await PORTS.fetch_to_change(tx, request)
        if new.vnic_type not in (UNSET, port.vnic_type):
            raise InvalidInput(f"vnic_type: all bindings of port {port.id} are {port.vnic_type}, as the port is.")
        made = await bindings.add(tx, request.service, port, new.host, profile=profile)
    return {"binding": port_binding_view(made)}


async def activate_binding(request: NetworkRequest) -> Body:
    host = request.path["host"]
    async with request.service.database.transaction() as tx:
        port = await PORTS.fetch_to_change(tx, request)
        await bindings.activate(tx, request.service, port, host)
        active = (await bindings.of_port(tx, port.id))[0]
    return {"binding": port_binding_view(active)}


async def delete_binding(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        port = await PORTS.fetch_to_change(tx, request)
        await bindings.remove(tx, request.service, port, request.path["host"])
