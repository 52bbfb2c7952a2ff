"""Gives a cloud what Tempest uses: images, flavors, a public network."""

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Protocol

IMAGE = {"disk_format": "qcow2", "container_format": "bare", "visibility": "public", "hw_qemu_guest_agent": "yes"}


class Admin(Protocol):
    """The administrator's calls; paths are those below the service's endpoint."""

    def call(self, service: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any: ...

    def upload(self, path: str, file: Path) -> None: ...


@dataclass(frozen=True)
class Provider:
    """The network outside the cloud, whose gateway is the place where Tempest runs."""

    network: IPv4Network
    gateway: str
    physical_network: str = "provider"


@dataclass(frozen=True)
class Prepared:
    """The ids of what a cloud was given for Tempest to use."""

    images: tuple[str, str]
    flavors: tuple[str, str]
    public_network: str
    network_extensions: tuple[str, ...]


def prepare(admin: Admin, provider: Provider, image_file: Path) -> Prepared:
    """Two images, two flavors and a public network, made as the administrator through the APIs."""
    images = []
    for name in ("tempest", "tempest-alt"):
        images.append(admin.call("image", "POST", "/v2/images", {"name": name, **IMAGE})["id"])
        admin.upload(f"/v2/images/{images[-1]}/file", image_file)
    flavors = []
    for name, memory_mib in (("tempest", 128), ("tempest-alt", 192)):
        flavor = {"name": name, "ram": memory_mib, "disk": 1, "vcpus": 1}
        flavors.append(admin.call("compute", "POST", "/flavors", {"flavor": flavor})["flavor"]["id"])
    extensions = tuple(each["alias"] for each in admin.call("network", "GET", "/v2.0/extensions")["extensions"])
    return Prepared((images[0], images[1]), (flavors[0], flavors[1]), make_public_network(admin, provider), extensions)


def make_public_network(admin: Admin, provider: Provider) -> str:
    """The id of an external network on the bridge that leads outside."""
    network = {"name": "public", "router:external": True, "provider:network_type": "flat"}
    wanted = {**network, "provider:physical_network": provider.physical_network}
    network_id = admin.call("network", "POST", "/v2.0/networks", {"network": wanted})["network"]["id"]
    cidr = provider.network
    subnet = {
        "name": "public-subnet",
        "network_id": network_id,
        "ip_version": 4,
        "cidr": str(cidr),
        "gateway_ip": provider.gateway,
        "allocation_pools": [{"start": str(cidr[8]), "end": str(cidr[-6])}],
        "enable_dhcp": False,
    }
    admin.call("network", "POST", "/v2.0/subnets", {"subnet": subnet})
    return str(network_id)
