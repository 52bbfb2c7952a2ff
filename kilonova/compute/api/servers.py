"""/servers: create, list, show, update, delete. Source: Compute API reference, "Servers"."""

import re
import secrets
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from kilonova.compute.api import block_devices
from kilonova.compute.api.bodies import UUID, ComputeRequest, as_boolean, seen_project
from kilonova.compute.api.flavors import fetch_flavor
from kilonova.compute.api.lookup import (
    delete_or_keep,
    host_statuses,
    reading_server,
    shown_in_detail,
    writing_server,
)
from kilonova.compute.api.scheduler_hints import check_hints
from kilonova.compute.api.server_bodies import ChangedServerBody, NewServer, NewServerBody
from kilonova.compute.catalog import keypairs, server_groups
from kilonova.compute.errors import (
    FlavorNotFound,
    InvalidServer,
    KeypairNotFound,
    ServerGroupNotFound,
    ServerNotFound,
)
from kilonova.compute.hosts import hosts
from kilonova.compute.region import mappings
from kilonova.compute.region.directory import CellDown
from kilonova.compute.servers import creation, new_volumes, requests, servers
from kilonova.compute.servers.new_volumes import WantedVolume
from kilonova.compute.tables import Flavor, Host, Keypair, Server, ServerGroup
from kilonova.compute.transactions import RegionTx
from kilonova.compute.views.servers import (
    brief_addresses_view,
    link_view,
    plain_view,
    unknown_server_view,
)
from kilonova.kit.errors import BadRequest, Conflict, Forbidden, NotFound
from kilonova.kit.http.routes import Reply

_LABEL = re.compile("[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9]")


async def create_server(request: ComputeRequest, body: NewServerBody) -> Reply:
    request.authorize()
    region = request.service
    only_reservation = as_boolean(body.server.return_reservation_id, "return_reservation_id")
    wanted = await _resolve(request, body)
    password = body.server.admin_pass or secrets.token_urlsafe(9)
    with new_volumes.refusals():
        made = await creation.create(region, request.ctx, request.request_id, wanted, body.server.min_count, password)
    first = made[0]
    if only_reservation:
        return Reply({"reservation_id": first.reservation_id}, status=202)
    shown = {
        "id": first.id,
        "links": link_view(first.id, first.name, request.base_url)["links"],
        "OS-DCF:diskConfig": first.disk_config,
        "security_groups": [{"name": name} for name in first.security_groups or ["default"]],
        "adminPass": password,
    }
    location = f"{request.base_url}/v2.1/servers/{first.id}"
    return Reply({"server": shown}, status=202, headers={"Location": location})


async def _resolve(request: ComputeRequest, body: NewServerBody) -> requests.WantedServers:
    region, ctx, new = request.service, request.ctx, body.server
    count = new.max_count or new.min_count
    if new.min_count > count:
        raise BadRequest("min_count must be <= max_count")
    _refuse_unserved(request, new)
    local_disks = block_devices.local_disks(new.block_device_mapping_v2)
    volumes = block_devices.wanted_volumes(new.block_device_mapping_v2)
    if count > 1 and any(each.source == "volume" for each in volumes):
        raise InvalidServer(
            "Several servers cannot have one volume: name a snapshot or an image, or create one server."
        )
    hints = body.scheduler_hints or body.older_scheduler_hints
    check_hints(hints, region.rules)
    hostname = read_hostname(request, new.hostname)
    if hostname is not None and count > 1:
        raise InvalidServer("A hostname can be given to one server only.")
    access = access_addresses(new)
    asked = _asked_networks(request, new, count)
    async with region.reading() as tx:
        flavor = await _flavor(tx, request, str(new.flavor_ref))
        keypair = await find_keypair(tx, request, new.key_name)
        group = await _group(tx, request, hints)
    block_devices.check_room(local_disks, flavor)
    zone, host = await _zone_and_host(request, new)
    image = await _root(request, new, volumes, flavor)
    requests.check_requirements(flavor, image, region.rules)
    group_names = list(dict.fromkeys(each.name for each in new.security_groups))
    groups = await requests.resolve_security_groups(region, ctx, group_names)
    group_ids = list(groups.values())
    resolved = await requests.resolve_networks(region, ctx, asked)
    await requests.check_addresses(region, resolved)
    return requests.WantedServers(
        name=new.name,
        hostname=hostname,
        description=None if new.description is UNSET else new.description,
        count=count,
        flavor=flavor,
        image=image,
        keypair=keypair,
        networks=[{**each, "security_group_ids": group_ids} if group_ids else each for each in resolved],
        local_disks=local_disks,
        volumes=volumes,
        security_group_names=list(groups),
        user_data=requests.decode_user_data(new.user_data),
        config_drive=_needs_config_drive(new, image),
        metadata=new.metadata,
        tags=[] if new.tags is UNSET else new.tags,
        requested_zone=zone,
        requested_host=host,
        scheduler_hints=hints,
        group_id=group.id if group else None,
        disk_config=new.disk_config,
        access_ip_v4=access.get("access_ip_v4", ""),
        access_ip_v6=access.get("access_ip_v6", ""),
    )


async def _root(
    request: ComputeRequest, new: NewServer, volumes: Sequence[WantedVolume], flavor: Flavor
) -> requests.Fields:
    """Returns what the server's root disk is made of: an image, or what stands for one where the root is a volume."""
    region, ctx = request.service, request.ctx
    with new_volumes.refusals():
        boot = await new_volumes.find_boot(region, ctx, volumes, flavor.memory_mib)
    if boot is None:
        if flavor.root_gib == 0 and not request.may(rule="os_compute_api:servers:create:zero_disk_flavor"):
            raise Forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
        return await requests.resolve_image(region, ctx, _image_id(new), flavor)
    if _named_images(new):
        raise InvalidServer("A server boots from an image or from a volume: the request names both.")
    return new_volumes.image_of(boot)


def _needs_config_drive(new: NewServer, image: requests.Fields) -> bool:
    """Asked for, or the only way in which what else is asked for reaches the guest."""
    asked = as_boolean(new.config_drive, "config_drive")
    return asked or bool(new.admin_pass) or requests.needs_config_drive(image)


def read_hostname(request: ComputeRequest, wanted: str | UnsetType) -> str | None:
    """None when it is not given. Raises BadRequest for one with a domain before version 2.94."""
    if wanted is UNSET:
        return None
    if not request.allows("hostname_with_domain") and not _LABEL.fullmatch(wanted):
        raise BadRequest(
            f"Invalid input for hostname: {wanted!r} must be 2 to 63 letters, digits and hyphens; "
            "a domain may follow from version 2.94 on."
        )
    return wanted


class Addressed(Protocol):
    """A body that gives a server the addresses its users reach it by."""

    access_ip_v4: str | UnsetType
    access_ip_v6: str | UnsetType


def access_addresses(body: Addressed) -> dict[str, str]:
    """The addresses given, by column, as they are written shortest. Raises BadRequest for what is none of its kind."""
    given = (
        ("accessIPv4", "access_ip_v4", body.access_ip_v4, IPv4Address),
        ("accessIPv6", "access_ip_v6", body.access_ip_v6, IPv6Address),
    )
    found = {}
    for name, column, value, address_type in given:
        if value is UNSET:
            continue
        try:
            found[column] = str(address_type(value))
        except ValueError as error:
            raise BadRequest(f"Invalid input for {name}: {error}.") from error
    return found


def _refuse_unserved(request: ComputeRequest, new: NewServer) -> None:
    if new.personality is not UNSET and new.personality:
        raise InvalidServer("Files cannot be injected; give them in user_data or on a config drive.")
    disks_have_tags = not request.allows("hypervisor_paging") or request.allows("device_tags")
    if not disks_have_tags and any(device.tag for device in new.block_device_mapping_v2):
        raise BadRequest("Disks have tags in version 2.32, and again from version 2.42 on.")
    interfaces_have_tags = not request.allows("network_auto_none") or request.allows("device_tags")
    networks = new.networks if isinstance(new.networks, list) else []
    if not interfaces_have_tags and any(each.tag is not UNSET for each in networks):
        raise BadRequest("Interfaces have tags in versions 2.32 to 2.36, and again from version 2.42 on.")


def _image_id(new: NewServer) -> str:
    """The image's id, out of an id or a link that ends in it, as old clients send it."""
    references = _named_images(new)
    if not references:
        raise InvalidServer("imageRef is required: a server boots from an image.")
    for each in references:
        if not UUID.fullmatch(each):
            raise InvalidServer(f"Invalid imageRef provided: it is the UUID of an image, got {each!r}.")
    if len(references) > 1:
        raise InvalidServer("imageRef and block_device_mapping_v2 name different images: a server boots from one.")
    return references.pop()


def _named_images(new: NewServer) -> set[str]:
    """Returns the ends of all that the request names as what the root disk begins as."""
    local = [device.uuid for device in new.block_device_mapping_v2 if not block_devices.is_volume(device)]
    return {reference.rstrip("/").rpartition("/")[2].lower() for reference in (new.image_ref, *local) if reference}


def _asked_networks(request: ComputeRequest, new: NewServer, count: int) -> Any:
    if request.allows("network_auto_none"):
        if new.networks is None:
            raise BadRequest("networks is required: a list, or one of auto and none.")
    elif isinstance(new.networks, str):
        raise BadRequest("networks may be auto or none from version 2.37 on only.")
    if not isinstance(new.networks, list):
        return new.networks
    ports = [each.port for each in new.networks if each.port is not None]
    for each in new.networks:
        if each.port is not None and each.fixed_ip is not None:
            raise BadRequest(f"Specified Fixed IP '{each.fixed_ip}' cannot be used with port '{each.port}'.")
        if each.port is None and each.uuid is None:
            raise BadRequest("Bad networks format: each of networks names a uuid or a port.")
    if len(set(ports)) < len(ports):
        raise BadRequest("A port was specified twice: it cannot be attached several times.")
    if count > 1 and (ports or any(each.fixed_ip for each in new.networks)):
        raise BadRequest("Several servers cannot share a port or a fixed IP: give networks only, or create one server.")
    return [
        {"uuid": each.uuid, "port": each.port, "fixed_ip": _fixed_ip(each.fixed_ip), "tag": each.tag or None}
        for each in new.networks
    ] or None


def _fixed_ip(text: str | None) -> str | None:
    """As it is written shortest. Raises BadRequest for what is no address."""
    try:
        return None if text is None else str(ip_address(text))
    except ValueError as error:
        raise BadRequest(f"Invalid fixed IP Address {text}.") from error


async def _zone_and_host(request: ComputeRequest, new: NewServer) -> tuple[str | None, str | None]:
    """Zone and host asked for. `zone:host:node`, `host` and `hypervisor_hostname` force the choice.

    Raises Forbidden unless the caller may, BadRequest for a zone or host that is not there.
    """
    zone, _, place = (new.availability_zone or "").partition(":")
    if place.count(":") > 1:
        raise BadRequest("Unable to parse availability_zone: it is zone, zone:host or zone:host:node.")
    forced = next((part for part in place.split(":") if part), "")
    if forced:
        request.authorize(rule="os_compute_api:servers:create:forced_host")
    named = [each for each in (new.host, new.hypervisor_hostname) if each is not UNSET]
    if not (named or zone or forced):
        return None, None
    known = [each.host for each in await hosts.everywhere(request.service)]
    if named:
        request.authorize(rule="compute:servers:create:requested_destination")
        if forced:
            raise BadRequest("host and hypervisor_hostname exclude a zone of the form zone:host:node.")
        forced = _destination(known, new).host
    zones = hosts.by_zone(known)
    if zone and forced:
        # A forced host says where: a zone it is not in was a slip, and must not keep the server from it.
        own = {each.availability_zone for each in known if forced in (each.host, each.hypervisor_hostname)}
        zone = zone if zone in own else ""
    elif zone and not zones.get(zone):
        available = ", ".join(sorted(name for name, enabled in zones.items() if enabled)) or "none"
        raise InvalidServer(f"The requested availability zone is not available: {zone}; available are {available}.")
    return zone or None, forced or None


def _destination(known: list[Host], new: NewServer) -> Host:
    for each in known:
        if new.host in (UNSET, each.host) and new.hypervisor_hostname in (UNSET, each.hypervisor_hostname):
            return each
    wanted = " / ".join(str(each) for each in (new.host, new.hypervisor_hostname) if each is not UNSET)
    raise InvalidServer(f"Compute host {wanted} could not be found.")


async def _flavor(tx: RegionTx, request: ComputeRequest, reference: str) -> Flavor:
    try:
        return await fetch_flavor(tx, request, reference.rpartition("/")[2])
    except FlavorNotFound as error:
        raise InvalidServer(error.message) from error


async def _group(tx: RegionTx, request: ComputeRequest, hints: dict[str, Any]) -> ServerGroup | None:
    if hints.get("group") is None:
        return None
    try:
        return await server_groups.find(tx, str(hints["group"]), request.ctx.project_id)
    except ServerGroupNotFound as error:
        raise InvalidServer(error.message) from error


async def find_keypair(tx: RegionTx, request: ComputeRequest, name: str | None) -> Keypair | None:
    """The caller's key pair of this name. Raises InvalidServer."""
    if name is None:
        return None
    try:
        return await keypairs.find(tx, request.ctx.user_id, name)
    except KeypairNotFound as error:
        raise InvalidServer(f"Invalid key_name provided: {error.message}") from error


async def show_server(request: ComputeRequest) -> dict[str, Any]:
    try:
        async with reading_server(request) as found:
            shown = found.with_task
            statuses = await host_statuses(found.cell, found.tx, request, [shown])
    except CellDown:
        if not request.allows("partial_results"):
            raise
        return {"server": await _unknown(request)}
    return {"server": shown_in_detail(request, shown, statuses)}


async def _unknown(request: ComputeRequest) -> dict[str, Any]:
    """What is known of a server whose cell is down."""
    server_id = request.path["server_id"]
    async with request.service.reading() as tx:
        mapping = await mappings.find_server(tx, server_id)
    if mapping is None or mapping.deleted_at or seen_project(request) not in (None, mapping.project_id):
        raise ServerNotFound(server_id)
    request.authorize({"project_id": mapping.project_id, "user_id": mapping.user_id})
    return unknown_server_view(mapping, request.base_url)


async def update_server(request: ComputeRequest, body: ChangedServerBody) -> dict[str, Any]:
    access = access_addresses(body.server)
    read_hostname(request, body.server.hostname)
    given = {name: getattr(body.server, name) for name in body.server.__struct_fields__}
    values = {name: value for name, value in given.items() if value is not UNSET} | access
    async with writing_server(request) as found:
        if "pinned_availability_zone" in values:
            values["requested_zone"] = _pinned_zone(found.server, values.pop("pinned_availability_zone"))
        await servers.change(found.tx, found.server.id, request.service.clock.now(), **values)
        changed = await servers.find_with_task(found.tx, found.server.id)
        statuses = await host_statuses(found.cell, found.tx, request, [changed])
    shown = shown_in_detail(request, changed, statuses)
    return {"server": shown if request.allows("update_shows_whole_server") else plain_view(shown, changed.server)}


def _pinned_zone(server: Server, wanted: str | None) -> str | None:
    """None unpins. A server is pinned to the zone it is in only; raises Conflict otherwise."""
    if wanted is None:
        return None
    if server.requested_zone not in (None, wanted):
        raise Conflict("Cannot change pinned availability zone directly: unpin first by setting it to null.")
    if wanted not in (server.requested_zone, server.availability_zone):
        current = server.availability_zone
        raise Conflict(f"Server can only be pinned to its current availability zone '{current}', not to '{wanted}'.")
    return wanted


async def delete_server(request: ComputeRequest) -> None:
    await delete_or_keep(request)


async def list_addresses(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/ips."""
    async with reading_server(request) as found:
        return {"addresses": brief_addresses_view(found.server)}


async def list_addresses_of_network(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/ips/{network name}."""
    label = request.path["label"]
    async with reading_server(request) as found:
        shown = brief_addresses_view(found.server)
    if label not in shown:
        raise NotFound("Instance is not a member of specified network")
    return {label: shown[label]}
