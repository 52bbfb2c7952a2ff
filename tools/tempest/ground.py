"""What a cloud is given for Tempest to use: images, flavors, a public network."""

from dataclasses import dataclass
from pathlib import Path

from kilonova.cli.provider import CANDIDATES, read_provider
from tests.e2e.cloud import CloudUnderTest


@dataclass(frozen=True)
class Prepared:
    """What a cloud was given for Tempest to use, by id."""

    images: tuple[str, str]
    flavors: tuple[str, str]
    public_network: str
    network_extensions: tuple[str, ...]


def prepare(cloud: CloudUnderTest, image_file: Path) -> Prepared:
    """Two images, two flavors and a public network, made as the administrator through the APIs."""
    admin = cloud.admin
    images = []
    for name in ("tempest", "tempest-alt"):
        wanted = {"name": name, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
        images.append(admin.call("image", "POST", "/v2/images", wanted)["id"])
        admin.upload(f"/v2/images/{images[-1]}/file", image_file)
    flavors = []
    for name, memory_mib in (("tempest", 128), ("tempest-alt", 192)):
        flavor = {"name": name, "ram": memory_mib, "disk": 1, "vcpus": 1}
        flavors.append(admin.call("compute", "POST", "/flavors", {"flavor": flavor})["flavor"]["id"])
    extensions = tuple(each["alias"] for each in admin.get("network", "/v2.0/extensions")["extensions"])
    return Prepared((images[0], images[1]), (flavors[0], flavors[1]), make_public_network(cloud), extensions)


def make_public_network(cloud: CloudUnderTest) -> str:
    """The id of an external network; with real guests it is on the bridge whose address is the host's."""
    provider = read_provider(cloud.state)
    cidr = CANDIDATES[0] if provider is None else provider.network
    network = {"name": "public", "router:external": True, "provider:network_type": "flat"}
    wanted = {**network, "provider:physical_network": "provider"}
    network_id = cloud.admin.call("network", "POST", "/v2.0/networks", {"network": wanted})["network"]["id"]
    subnet = {
        "name": "public-subnet",
        "network_id": network_id,
        "ip_version": 4,
        "cidr": str(cidr),
        "gateway_ip": str(cidr[1]),
        "allocation_pools": [{"start": str(cidr[8]), "end": str(cidr[-6])}],
        "enable_dhcp": False,
    }
    cloud.admin.call("network", "POST", "/v2.0/subnets", {"subnet": subnet})
    return str(network_id)
