"""What build and destroy both do outside the database: bind and release ports, free a host.

Every function may be repeated, and finds what an earlier, killed try has left by the server's id.
"""

from typing import Any

from msgspec import Struct, structs

from kilonova.block_storage.client import VolumeClient
from kilonova.compute.agent.contract import RELEASE_SERVER, ReleaseArguments
from kilonova.compute.servers import volumes
from kilonova.compute.servers.ports import of_server
from kilonova.compute.servers.volumes import ServerVolume
from kilonova.compute.service import Cell
from kilonova.compute.tables import Server
from kilonova.kit.http.client import RemoteFault, RemoteMissing, RemoteUnavailable
from kilonova.kit.log import logger
from kilonova.network.client import NetworkClient, Port

log = logger(__name__)

Fields = dict[str, Any]


class BoundPorts(Struct):
    """A server's ports as the network service gave them, in the order they were asked for."""

    ports: list[Port] = []
    brought: list[str] = []
    """Ids of those that are the user's own."""
    made_now: list[str] = []


async def bind_ports(network: NetworkClient, server: Server, *, is_first_try: bool) -> BoundPorts:
    """One port for each requested network, bound to the server's host.

    A port made by an earlier try carries the server's id and its network: it is taken instead of making another.
    `is_first_try`: there cannot be any.
    """
    made = [] if is_first_try else await _ports_of(network, server)
    brought = {wanted["port_id"] for wanted in server.requested_networks if wanted.get("port_id")}
    unused = [port for port in made if port.id not in brought]
    binding = binding_of(server)
    bound = BoundPorts()
    for wanted in server.requested_networks:
        if wanted.get("port_id"):
            # Looked at when it was asked for, and free then; whoever writes first has it now.
            bound.ports.append(await network.take_port(wanted["port_id"], binding, project_id=server.project_id))
            bound.brought.append(wanted["port_id"])
            continue
        earlier = next((port for port in unused if port.network_id == wanted["network_id"]), None)
        if earlier is not None:
            unused.remove(earlier)
            bound.ports.append(await network.take_port(earlier.id, binding, project_id=server.project_id))
        else:
            port = await network.create_port({**binding, **new_port(server, wanted)})
            bound.ports.append(port)
            bound.made_now.append(port.id)
    return bound


async def _ports_of(network: NetworkClient, server: Server) -> list[Port]:
    """In a cloud without a network service, a server that never asked for a network has none."""
    try:
        return await of_server(network, server)
    except RemoteMissing:
        if server.requested_networks or server.ports:
            raise
        return []


def binding_of(server: Server) -> Fields:
    """What makes a port the server's, on the server's host."""
    return {**owner_of(server), "binding:host_id": server.host}


def owner_of(server: Server) -> Fields:
    return {"device_id": server.id, "device_owner": f"compute:{server.availability_zone or 'nova'}"}


def new_port(server: Server, wanted: Fields) -> Fields:
    """A port to be made for a server: `network_id`, and where wanted `fixed_ip` and `security_group_ids`."""
    fields: Fields = {
        "network_id": wanted["network_id"],
        "project_id": server.project_id,
        "admin_state_up": True,
        "dns_name": server.hostname,
    }
    if wanted.get("security_group_ids"):
        fields["security_groups"] = wanted["security_group_ids"]
    if wanted.get("fixed_ip"):
        fields["fixed_ips"] = [{"ip_address": wanted["fixed_ip"]}]
    return fields


async def unbind_ports(network: NetworkClient, server: Server) -> None:
    """Takes the ports off the host; they stay the server's, for the next host."""
    for port in await _ports_of(network, server):
        await network.update_port(port.id, {"binding:host_id": ""})


async def rebind_ports(network: NetworkClient, server: Server) -> None:
    """Binds the server's ports to its new host."""
    for port in await _ports_of(network, server):
        await network.update_port(port.id, binding_of(server))


async def ports(network: NetworkClient, server: Server) -> None:
    """Deletes the server's ports, and gives back those the user brought."""
    preserved = {wanted["port_id"] for wanted in server.requested_networks if wanted.get("port_id")}
    preserved |= {port["id"] for port in server.ports if port.get("preserve")}
    for port in await _ports_of(network, server):
        await let_go(network, port.id, preserve=port.id in preserved)


async def let_go(network: NetworkClient, port_id: str, *, preserve: bool) -> None:
    """Deletes a port of a server, or gives it back to the user who brought it."""
    if not preserve:
        await network.delete_port(port_id)
        return
    try:
        await network.update_port(port_id, {"device_id": "", "device_owner": "", "binding:host_id": ""})
    except RemoteFault as fault:
        if fault.status != 404:
            raise


async def unfinished_images(cell: Cell, server_id: str) -> None:
    """Deletes the images that were being made of the server when something else took that operation's place."""
    async with cell.reading() as tx:
        ended = [task for task in await cell.tasks.of_subject(tx, server_id) if task.outcome == "superseded"]
    for task in ended:
        if image_id := task.args.get("image_id"):
            await cell.region.image.discard(image_id)


async def shelved_image(cell: Cell, server: Server) -> None:
    """Deletes the image that a shelved server would come back from; ok when it is gone."""
    if server.root_image is None or server.vm_state not in ("shelved", "shelved_offloaded"):
        return
    try:
        await cell.region.image.delete(server.root_image["image"]["id"])
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        if fault.status != 404:
            log.warning("an image of a shelved server stays", server=server.id, reason=fault.message)


async def volumes_of(cell: Cell, server: Server) -> None:
    """Gives a server's volumes back, and has those deleted that go with it. Raises RemoteFault."""
    client = cell.region.volume
    for volume in volumes.of_server(server):
        await give_back(client, server.id, volume)
        if volume.is_deleted:
            try:
                await client.delete(volume.id)
            except RemoteUnavailable:
                raise
            except RemoteFault as fault:
                # Others have it, or made snapshots of it: it is theirs to say.
                log.warning("a volume of a deleted server stays", volume=volume.id, reason=fault.message)


async def volumes_for_now(cell: Cell, server: Server, *, is_silent: bool = False) -> list[Fields] | None:
    """Gives a server's volumes back, which stay the server's to have again; returns them as its row is to keep them.

    `is_silent`: its host did not say that it let go of them. It may write to them still, so the server has them until
    its owner detaches them or deletes it. Raises RemoteFault.
    """
    if not server.volumes:
        return server.volumes
    held = volumes.of_server(server)
    if is_silent and all(each.connection is not None for each in held):
        for volume in held:
            await cell.region.volume.complete(volume.attachment_id)
        return server.volumes
    for volume in held:
        await give_back(cell.region.volume, server.id, volume)
    return volumes.as_kept(structs.replace(each, attachment_id="", connection=None) for each in held)


async def give_back(client: VolumeClient, server_id: str, volume: ServerVolume) -> None:
    """Ends all that a server has of a volume. Safe to repeat. Raises RemoteFault."""
    # A promise may have been made whose answer nobody lived to read.
    known = await client.attachments_of(volume.id, server_id)
    for attachment_id in dict.fromkeys([*known, *filter(None, [volume.attachment_id])]):
        await client.release(attachment_id)


async def from_host(cell: Cell, server: Server, epoch: int) -> None:
    """Has the host's agent destroy whatever it has of the server. Raises AgentUnreachable, RemoteError."""
    if server.host is not None:
        await of_host(cell, server.host, server.id, epoch)


async def of_host(cell: Cell, host: str, server_id: str, epoch: int) -> None:
    """Has a host destroy whatever it has of a server. Raises AgentUnreachable, RemoteError."""
    await cell.agents.call(host, RELEASE_SERVER, ReleaseArguments(server_id, epoch))
