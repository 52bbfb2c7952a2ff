"""From what a user asks for to the rows of new servers: image, flavor, networks and key are resolved and checked here.

Resources of other services are looked up with the caller's own token: what the caller cannot see cannot be used.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.compute.errors import InvalidServer
from kilonova.compute.scheduling.numa.guests import GuestTopology, topology_of
from kilonova.compute.scheduling.requirements import UnusableSpec, requirements_of
from kilonova.compute.scheduling.rules import Rules
from kilonova.compute.scheduling.unasked import refuse_unasked_specs
from kilonova.compute.scheduling.unserved import refuse_unserved
from kilonova.compute.servers import servers
from kilonova.compute.servers.disks import LocalDisk
from kilonova.compute.servers.new_volumes import WantedVolume
from kilonova.compute.service import Region
from kilonova.compute.tables import Flavor, Keypair, Server
from kilonova.image.client import ImageRecord
from kilonova.kit.auth import RequestContext
from kilonova.kit.errors import Conflict, Forbidden
from kilonova.kit.http.client import RemoteFault
from kilonova.network.client import Port

Fields = dict[str, Any]

GIB = 1 << 30
KERNEL_FORMATS = ("aki", "ari")
NO_KERNEL = "none"
"""The kernel_id of an image that names none, as clients write it."""
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class WantedServers(Struct, kw_only=True):
    """A create request, its references resolved."""

    name: str
    hostname: str | None
    description: str | None
    count: int
    flavor: Flavor
    image: Fields | None
    keypair: Keypair | None
    networks: list[Fields]
    local_disks: list[LocalDisk] = []
    volumes: list[WantedVolume] = []
    security_group_names: list[str]
    user_data: bytes | None
    config_drive: bool
    metadata: dict[str, str]
    tags: list[str]
    requested_zone: str | None
    requested_host: str | None
    scheduler_hints: Fields
    group_id: str | None = None
    disk_config: str
    access_ip_v4: str
    access_ip_v6: str


async def resolve_image(region: Region, ctx: RequestContext, image_id: str, flavor: Flavor | None) -> Fields:
    """The image as a server keeps it. Raises InvalidServer when it cannot be used, or not with this flavor."""
    image = await _usable_image(region, ctx, image_id)
    if image.disk_format in KERNEL_FORMATS:
        raise InvalidServer(f"Image {image_id} is a kernel or a ramdisk: a server boots an image that names it.")
    if flavor is not None:
        _check_flavor(image, image.size or 0, flavor)
    return {**_kept(image), **await _kernel_and_ramdisk(region, ctx, image.properties)}


async def _usable_image(region: Region, ctx: RequestContext, image_id: str) -> ImageRecord:
    """An active image whose hash is known, looked up with the caller's token. Raises InvalidServer."""
    try:
        image = await region.image.show(image_id, token=ctx.token)
    except RemoteFault as fault:
        if fault.status == 404:
            raise InvalidServer(f"Image {image_id} could not be found.") from fault
        raise
    if image.status != "active":
        raise InvalidServer(f"Image {image_id} is unacceptable: its status is {image.status}, not active.")
    if image.size is None or image.os_hash_algo != "sha512" or image.os_hash_value is None:
        raise InvalidServer(f"Image {image_id} is unacceptable: the image service gives no size or SHA-512 for it.")
    return image


def _kept(image: ImageRecord) -> Fields:
    return {
        "id": image.id,
        "disk_format": image.disk_format,
        "size_bytes": image.size,
        "sha512": image.os_hash_value,
        "min_disk_gib": image.min_disk,
        "min_ram_mib": image.min_ram,
        "properties": image.properties,
    }


async def _kernel_and_ramdisk(region: Region, ctx: RequestContext, properties: Mapping[str, str]) -> Fields:
    """The images that the properties kernel_id and ramdisk_id name. Raises InvalidServer."""
    found: Fields = {}
    for name in ("kernel", "ramdisk"):
        image_id = str(properties.get(f"{name}_id") or "").strip().lower()
        if image_id in ("", NO_KERNEL):
            continue
        if not _UUID.fullmatch(image_id):
            raise InvalidServer(f"The image property {name}_id is the UUID of an image, got {image_id[:64]!r}.")
        image = await _usable_image(region, ctx, image_id)
        if image.disk_format not in (*KERNEL_FORMATS, "raw"):
            raise InvalidServer(
                f"Image {image_id} cannot be booted as a {name}: its disk format is {image.disk_format}, "
                "not aki, ari or raw."
            )
        found[name] = {**_kept(image), "properties": {}}
    if "ramdisk" in found and "kernel" not in found:
        raise InvalidServer("The image names a ramdisk_id and no kernel_id: a ramdisk is nothing without a kernel.")
    return found


def needs_config_drive(image: Fields) -> bool:
    """Whether the image says that its guests look for what they are told on a config drive alone."""
    return str(image["properties"].get("img_config_drive", "")).lower() == "mandatory"


def check_requirements(flavor: Flavor, image: Fields, rules: Rules) -> None:
    """Raises InvalidServer when flavor or image asks for what the scheduler does not know, or no host does."""
    try:
        refuse_unasked_specs(flavor.extra_specs, rules)
        requirements_of(msgspec.structs.asdict(flavor), image["properties"])
        topology_of(flavor.extra_specs, image["properties"], flavor.vcpus, flavor.memory_mib)
        refuse_unserved(flavor.extra_specs, image["properties"], flavor.vcpus)
    except UnusableSpec as error:
        raise InvalidServer(str(error)) from error


def check_same_nodes(server: Server, image: Fields) -> None:
    """Raises InvalidServer when with the image the server would ask for other NUMA nodes than it has."""
    flavor = server.flavor

    def asked(properties: Mapping[str, str]) -> GuestTopology | None:
        return topology_of(flavor["extra_specs"], properties, flavor["vcpus"], flavor["memory_mib"])

    if asked(image["properties"]) != asked((server.image or {}).get("properties", {})):
        raise InvalidServer(
            "The image asks for other NUMA nodes, processors of its own or pages than the server has; a rebuild keeps "
            "them. Rebuild with an image that asks for the same, or create another server."
        )


def _check_flavor(image: ImageRecord, size_bytes: int, flavor: Flavor) -> None:
    if image.min_ram > flavor.memory_mib:
        raise InvalidServer(
            f"Flavor's memory is too small for requested image: it has {flavor.memory_mib} MiB, "
            f"the image needs {image.min_ram}."
        )
    if flavor.root_gib == 0:
        return
    virtual_gib = -(-(image.virtual_size or size_bytes) // GIB)
    needed = max(image.min_disk, virtual_gib)
    if needed > flavor.root_gib:
        raise InvalidServer(
            f"Flavor's disk is too small for requested image. Flavor disk is {flavor.root_gib} GiB, "
            f"the image needs {needed} GiB."
        )


async def resolve_networks(region: Region, ctx: RequestContext, wanted: Any) -> list[Fields]:
    """`networks` of a request → `{"network_id"}` or `{"port_id"}` each. Raises InvalidServer, Conflict, Forbidden."""
    if wanted == "none":
        return []
    if wanted is None or wanted == "auto":
        return await _only_network(region, ctx, must_exist=wanted == "auto")
    resolved = []
    for each in wanted:
        if each.get("port") is not None:
            try:
                port = await usable_port(region, ctx, each["port"], ctx.project_id or "")
            except RemoteFault as fault:
                if fault.status == 404:
                    raise InvalidServer(f"Port id {each['port']} could not be found.") from fault
                raise
            resolved.append({"port_id": port.id, **_tag_of(each)})
            continue
        network_id = each.get("uuid")
        if network_id is None:
            raise InvalidServer("Each of networks must name a uuid or a port.")
        try:
            network = await region.network.show_network(network_id, token=ctx.token)
        except RemoteFault as fault:
            if fault.status == 404:
                raise InvalidServer(f"Network {network_id} could not be found.") from fault
            raise
        if not network.subnets:
            raise InvalidServer(f"Network {network_id} requires a subnet in order to boot instances on.")
        if network.is_external and not network.shared and not ctx.is_admin:
            raise Forbidden(f"It is not allowed to create an interface on external network {network_id}")
        if each.get("fixed_ip") and network.project_id != ctx.project_id and not ctx.is_admin:
            # The network service would refuse the caller, and takes it from compute: one could have the gateway's.
            raise Forbidden(f"It is not allowed to choose an address on network {network_id} of another project")
        address = {"fixed_ip": each["fixed_ip"]} if each.get("fixed_ip") else {}
        resolved.append({"network_id": network.id, **address, **_tag_of(each)})
    return resolved


def _tag_of(wanted: Fields) -> Fields:
    return {"tag": wanted["tag"]} if wanted.get("tag") else {}


async def check_addresses(region: Region, resolved: list[Fields]) -> None:
    """Raises InvalidServer for an address that no subnet of its network has, or that somebody has already.

    Who takes it meanwhile is found out when the port is made.
    """
    asked = [each for each in resolved if each.get("fixed_ip")]
    if not asked:
        return
    subnets = await region.network.list_subnets(network_id=sorted({each["network_id"] for each in asked}))
    for each in asked:
        network_id, address = each["network_id"], each["fixed_ip"]
        cidrs = [subnet.cidr for subnet in subnets if subnet.network_id == network_id]
        if not any(ip_address(address) in ip_network(cidr, strict=False) for cidr in cidrs):
            raise InvalidServer(f"Fixed IP {address} is not in a subnet of network {network_id}: {', '.join(cidrs)}.")
        having = await region.network.list_ports(network_id=network_id, fixed_ips=f"ip_address={address}")
        if having:
            raise InvalidServer(f"Fixed IP {address} is already in use on network {network_id}.")


async def _only_network(region: Region, ctx: RequestContext, *, must_exist: bool) -> list[Fields]:
    """The one network of the project; a choice between several is the user's."""
    networks = await region.network.list_networks(token=ctx.token, project_id=ctx.project_id)
    if not networks:
        networks = await region.network.list_networks(token=ctx.token, shared=True)
        networks = [each for each in networks if not each.is_external]
    networks = [each for each in networks if each.subnets]
    if len(networks) > 1:
        raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
    if not networks and must_exist:
        raise InvalidServer("The project has no network to choose automatically; create one or name one.")
    return [{"network_id": each.id} for each in networks]


async def usable_port(region: Region, ctx: RequestContext, port_id: str, project_id: str) -> Port:
    """A port for a server of the project. Raises RemoteFault (404), InvalidServer, and Conflict for one that is taken.

    Whoever owns a network sees the ports that others have on it, and an administrator all; they stay their projects'.
    """
    port = await region.network.show_port(port_id, token=ctx.token)
    if port.project_id != project_id:
        raise InvalidServer(f"Port {port_id} is not usable for the server: it belongs to another project.")
    if port.device_id:
        raise Conflict(f"Port {port_id} is still in use.")
    return port


async def resolve_security_groups(region: Region, ctx: RequestContext, names: list[str]) -> dict[str, str]:
    """Names or ids → name and id of each group, of the caller's project.

    Raises InvalidServer for one that is missing, Conflict for an ambiguous one.
    """
    if not names or names == ["default"]:
        return {}
    known = await region.network.list_security_groups(token=ctx.token, project_id=ctx.project_id)
    found: dict[str, str] = {}
    for name in names:
        matches = [each for each in known if name in (each.id, each.name)]
        if not matches:
            raise InvalidServer(f"Security group {name} could not be found.")
        if len(matches) > 1:
            raise Conflict(f"Multiple security groups found matching '{name}'. Use an ID to be more specific.")
        found[matches[0].name] = matches[0].id
    return found


def decode_user_data(text: str | None) -> bytes | None:
    """Raises InvalidServer for what is not base64, in one line or in several."""
    if text is None:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidServer("user_data must be base64 encoded.") from error


def hostname_of(name: str, server_id: str) -> str:
    """A host name from a display name: lower case, letters, digits and hyphens (RFC 952, RFC 1123), at most 63.

    One label: a name that looks like one with a domain would make the guest believe it is in that domain.
    """
    cleaned = re.sub(r"[^a-z0-9-]", "", re.sub(r"[\s_.]+", "-", name.lower())).strip("-")
    return cleaned[:63].rstrip("-") or f"server-{server_id}"


def make_servers(wanted: WantedServers, ctx: RequestContext, now: datetime, count: int | None = None) -> list[Server]:
    """The rows of the servers that the request asks for, or of `count` of them; several are numbered from 1."""
    reservation_id, count = servers.new_reservation_id(), wanted.count if count is None else count
    return [_make_server(wanted, ctx, now, reservation_id, index) for index in range(count)]


def _make_server(wanted: WantedServers, ctx: RequestContext, now: datetime, reservation_id: str, index: int) -> Server:
    server_id = servers.new_server_id()
    name = wanted.name if wanted.count == 1 else f"{wanted.name}-{index + 1}"
    return Server(
        id=server_id,
        number=0,
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=name,
        hostname=wanted.hostname or hostname_of(name, server_id),
        description=wanted.description,
        vm_state="building",
        wanted_power="running",
        power_state=servers.NO_STATE,
        host=None,
        node_id=None,
        availability_zone=None,
        requested_zone=wanted.requested_zone,
        requested_host=wanted.requested_host,
        group_id=wanted.group_id,
        vcpus=wanted.flavor.vcpus,
        memory_mib=wanted.flavor.memory_mib,
        flavor=msgspec.to_builtins(wanted.flavor),
        image=wanted.image,
        key_name=wanted.keypair.name if wanted.keypair else None,
        public_key=wanted.keypair.public_key if wanted.keypair else None,
        key_type=wanted.keypair.type if wanted.keypair else None,
        user_data=wanted.user_data,
        config_drive=wanted.config_drive,
        metadata=wanted.metadata,
        tags=sorted(set(wanted.tags)),
        requested_networks=wanted.networks,
        local_disks=msgspec.to_builtins(wanted.local_disks) or None,
        ports=[],
        security_groups=wanted.security_group_names or ["default"],
        scheduler_hints=wanted.scheduler_hints,
        reservation_id=reservation_id,
        launch_index=index,
        random_seed=secrets.token_bytes(512),
        disk_config=wanted.disk_config,
        access_ip_v4=wanted.access_ip_v4,
        access_ip_v6=wanted.access_ip_v6,
        reboot_count=0,
        reboot_type="SOFT",
        locked=False,
        locked_by=None,
        locked_reason=None,
        sealed_password="",
        fault=None,
        created_at=now,
        updated_at=now,
        launched_at=None,
    )
