"""From a server's row and its ports to what the host agent and the guest are told."""

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from kilonova.compute.agent.spec import (
    FormerDisks,
    GuestPlacement,
    MetadataDocument,
    MetadataPort,
    ServerSpec,
    SpecDisk,
    SpecFlavor,
    SpecImage,
    SpecPort,
    TaggedDevice,
    WantedPower,
)
from kilonova.compute.servers import disks, ports, rescue_disks, servers, volumes
from kilonova.compute.tables import Server
from kilonova.network.client import FixedIp, Network, NetworkClient, Port, Subnet

Fields = dict[str, Any]


class PortDetails(msgspec.Struct, frozen=True):
    """A port with its network, subnets and floating addresses, as the network service gives them."""

    port: Port
    network: Network
    subnets: dict[str, Subnet]
    floating_ips: tuple[str, ...]


class PlannedPorts(msgspec.Struct, frozen=True):
    """What a host agent and a guest are told of the server's ports."""

    spec: tuple[SpecPort, ...] = ()
    metadata: tuple[MetadataPort, ...] = ()


async def port_details(network: NetworkClient, server: Server) -> list[PortDetails]:
    """Details of the server's ports, in the order they were asked for."""
    order = [port["id"] for port in server.ports]
    found = {port.id: port for port in await ports.by_ids(network, server, order)}
    return await details_of(network, [found[port_id] for port_id in order if port_id in found])


async def details_of(
    network: NetworkClient, wanted: list[Port], *, new_ports: Collection[str] = ()
) -> list[PortDetails]:
    """Details of these ports. `new_ports`: ids of those just made, which nobody can have given a floating address."""
    if not wanted:
        return []
    network_ids = sorted({port.network_id for port in wanted})
    networks = {each.id: each for each in await network.list_networks(id=network_ids)}
    subnets = {each.id: each for each in await network.list_subnets(network_id=network_ids)}
    older = [port.id for port in wanted if port.id not in new_ports]
    floating: dict[str | None, list[str]] = {}
    for each in await network.list_floating_ips(port_id=older) if older else []:
        floating.setdefault(each.port_id, []).append(each.floating_ip_address)
    return [
        PortDetails(
            port,
            networks[port.network_id],
            {fixed.subnet_id: subnets[fixed.subnet_id] for fixed in port.fixed_ips},
            tuple(floating.get(port.id, ())),
        )
        for port in wanted
    ]


def planned_ports(details: Iterable[PortDetails]) -> PlannedPorts:
    found = list(details)
    return PlannedPorts(tuple(map(_spec_port, found)), tuple(map(_metadata_port, found)))


def server_spec(
    server: Server,
    planned: PlannedPorts,
    admin_password: str | None = None,
    *,
    placement: GuestPlacement | None = None,
) -> ServerSpec:
    """`admin_password`: what the config drive is to tell, while it has yet to be written. `placement`: where its guest
    lies on the host that is told.
    """
    flavor = spec_flavor(server.flavor)
    image = None if server.image is None else msgspec.convert(server.image, SpecImage)
    return ServerSpec(
        id=server.id,
        instance_name=servers.instance_name(server),
        display_name=server.name,
        project_id=server.project_id,
        user_id=server.user_id,
        power=msgspec.convert(server.wanted_power, WantedPower),
        flavor=flavor,
        image=image,
        ports=planned.spec,
        metadata_document=metadata_document(server, planned, admin_password),
        config_drive=server.config_drive,
        disks=_disks(server, flavor, image),
        reboot_count=server.reboot_count,
        reboot_type="HARD" if server.reboot_type == "HARD" else "SOFT",
        rebuild_count=server.rebuild_count,
        keeps_ephemeral=server.keeps_ephemeral,
        placement=placement,
        kernel=_beside(_booted_image(server), "kernel"),
        ramdisk=_beside(_booted_image(server), "ramdisk"),
        former_disks=msgspec.convert(server.former_disks, FormerDisks),
    )


def _disks(server: Server, flavor: SpecFlavor, image: SpecImage | None) -> tuple[SpecDisk, ...]:
    held = volumes.of_server(server)
    attached = volumes.spec_disks(held)
    boots = [disk for disk in attached if disk.name == volumes.root_id(held)]
    others = [disk for disk in attached if disk not in boots]
    own = (*boots, *local_disks(server, flavor, image), *others)
    if server.rescue is None:
        return own
    return rescue_disks.with_rescue(own, msgspec.convert(server.rescue, rescue_disks.Rescue))


def local_disks(server: Server, flavor: SpecFlavor, image: SpecImage | None) -> tuple[SpecDisk, ...]:
    """A server's own disks, beside which its volumes are."""
    held = volumes.of_server(server)
    root = server.root_image
    came_from = msgspec.convert(root["image"], SpecImage) if root is not None and root["is_used"] else None
    asked = msgspec.convert(server.local_disks or [], list[disks.LocalDisk])
    return disks.local_disks(
        flavor,
        image,
        config_drive=server.config_drive,
        came_from=came_from,
        asked=asked,
        boots_from_volume=volumes.root_id(held) is not None,
        taken=[each.device for each in held],
    )


def _booted_image(server: Server) -> Fields | None:
    return server.image if server.rescue is None else server.rescue["image"]


def _beside(image: Fields | None, name: str) -> SpecImage | None:
    """The kernel or the ramdisk that an image names."""
    found = (image or {}).get(name)
    return None if found is None else msgspec.convert(found, SpecImage)


def spec_flavor(flavor: Fields) -> SpecFlavor:
    """Returns the flavor of a server's row as hosts are told of it."""
    return SpecFlavor(
        id=flavor["id"],
        name=flavor["name"],
        vcpus=flavor["vcpus"],
        memory_mib=flavor["memory_mib"],
        root_gib=flavor["root_gib"],
        ephemeral_gib=flavor["ephemeral_gib"],
        swap_mib=flavor["swap_mib"],
        extra_specs=flavor["extra_specs"],
    )


def _spec_port(details: PortDetails) -> SpecPort:
    port = details.port
    return SpecPort(
        id=port.id,
        network_id=port.network_id,
        mac_address=port.mac_address,
        mtu=details.network.mtu,
        tap=f"tap{port.id[:11]}",
        vnic_type=port.vnic_type,
    )


def metadata_document(server: Server, planned: PlannedPorts, admin_password: str | None = None) -> MetadataDocument:
    image = None if server.image is None else msgspec.convert(server.image, SpecImage)
    all_disks = _disks(server, spec_flavor(server.flavor), image)
    public_keys = {server.key_name: server.public_key.strip()} if server.key_name and server.public_key else {}
    return MetadataDocument(
        server_id=server.id,
        name=server.name,
        hostname=f"{server.hostname}.novalocal" if "." not in server.hostname else server.hostname,
        project_id=server.project_id,
        availability_zone=server.availability_zone or "",
        launch_index=server.launch_index,
        reservation_id=server.reservation_id,
        instance_type=server.flavor["name"],
        ami_id=f"ami-{_short(server.image['id'])}" if server.image and server.image["id"] else "None",
        kernel_id=f"aki-{_short(kernel.id)}" if (kernel := _beside(server.image, "kernel")) else None,
        ramdisk_id=f"ari-{_short(ramdisk.id)}" if (ramdisk := _beside(server.image, "ramdisk")) else None,
        ec2_instance_id=f"i-{server.number:08x}",
        metadata=server.metadata,
        public_keys=public_keys,
        key_type=server.key_type or "ssh",
        user_data=server.user_data,
        security_groups=tuple(server.security_groups or ["default"]),
        ports=planned.metadata,
        random_seed=server.random_seed,
        sealed_password=server.sealed_password,
        admin_password=admin_password,
        root_device_name=disks.root_device(server),
        devices=(*_tagged_interfaces(server, planned), *_tagged_disks(all_disks)),
    )


def _tagged_interfaces(server: Server, planned: PlannedPorts) -> Iterator[TaggedDevice]:
    tags = {entry["id"]: entry.get("tag") for entry in server.ports}
    for port in planned.metadata:
        if tag := tags.get(port.port_id):
            yield TaggedDevice("nic", tag, mac_address=port.mac_address)


def _tagged_disks(all_disks: Iterable[SpecDisk]) -> Iterator[TaggedDevice]:
    for disk in all_disks:
        if disk.tag:
            yield TaggedDevice("disk", disk.tag, serial=disk.place.serial, device=disk.place.device)


def _metadata_port(details: PortDetails) -> MetadataPort:
    port = details.port
    return MetadataPort(
        port_id=port.id,
        mac_address=port.mac_address,
        network_id=port.network_id,
        mtu=details.network.mtu,
        tap=f"tap{port.id[:11]}",
        fixed_ips=tuple(_fixed_ip(each, details.subnets[each.subnet_id]) for each in port.fixed_ips),
        floating_ips=details.floating_ips,
    )


def _fixed_ip(fixed: FixedIp, subnet: Subnet) -> Fields:
    return {
        "ip_address": fixed.ip_address,
        "prefix_length": int(subnet.cidr.rpartition("/")[2]),
        "gateway_ip": subnet.gateway_ip,
        "dns_nameservers": subnet.dns_nameservers,
        "host_routes": subnet.host_routes,
        "dhcp": subnet.enable_dhcp,
        "ipv6_address_mode": subnet.ipv6_address_mode,
    }


def _short(identifier: str) -> str:
    return identifier.replace("-", "")[:8]


def encode_user_data(user_data: bytes | None) -> str | None:
    return None if user_data is None else base64.b64encode(user_data).decode()


def port_entries(
    details: Iterable[PortDetails], preserved: Collection[str], tags: Mapping[str, str] = MappingProxyType({})
) -> list[Fields]:
    """What a server's row keeps of its ports, so that lists need not ask the network service.

    `preserved`: ids of those that outlive the server. `tags`: id → the name that the owner gave the device. Refreshed
    when the network service reports a change (`os-server-external-events`).
    """
    return [
        {
            "id": each.port.id,
            "network_id": each.port.network_id,
            "network_name": each.network.name,
            "mac_address": each.port.mac_address,
            "fixed_ips": [fixed.ip_address for fixed in each.port.fixed_ips],
            "floating_ips": list(each.floating_ips),
            "preserve": each.port.id in preserved,
            **({"tag": tags[each.port.id]} if each.port.id in tags else {}),
        }
        for each in details
    ]
