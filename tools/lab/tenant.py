"""What a project in the lab's cloud works with: image, flavor, networks, a router, a key; and servers on them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.lab.api import Refused
from tools.lab.cloud import Cloud
from tools.lab.cloud_files import PROVIDER
from tools.lab.hosts import wait_for
from tools.lab.wires import OUTSIDE_PREFIX, OWN_NUMBER
from tools.stages import CACHE

IMAGE = CACHE / "demo-guest.qcow2"
GUEST_USER = "demo"
BUILD_SECONDS = 120.0
LOG_IN_SECONDS = 90.0
OPEN = ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22})


class BuildFailed(Exception):
    """A server is in ERROR; the message is its fault."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Ids of what servers stand on."""

    image: str
    flavor: str
    provider: str
    network: str
    subnet: str
    router: str
    key_name: str
    key: Path
    """The private key of `key_name`."""

    def server(self, name: str, host: str = "") -> dict[str, Any]:
        """The body that asks for a server, on a host where one is named."""
        wanted = {
            "name": name,
            "imageRef": self.image,
            "flavorRef": self.flavor,
            "networks": [{"uuid": self.network}],
            "key_name": self.key_name,
        }
        return {"server": {**wanted, "availability_zone": f"nova:{host}"} if host else wanted}


def prepare(cloud: Cloud, image_file: Path = IMAGE, **properties: str) -> Ground:
    """All of it, made anew; the image with these properties. A file that is no guest will do for load."""
    api = cloud.api
    fields = {"name": "guest", "disk_format": "qcow2", "container_format": "bare", "visibility": "public", **properties}
    image = api.call("image", "POST", "/v2/images", fields)["id"]
    api.call("image", "PUT", f"/v2/images/{image}/file", content=image_file.read_bytes())
    flavor = {"flavor": {"name": "m1.nano", "ram": 128, "vcpus": 1, "disk": 1}}
    flavor_id = api.call("compute", "POST", "/v2.1/flavors", flavor)["flavor"]["id"]
    provider = _make_provider(cloud)
    network = api.call("network", "POST", "/v2.0/networks", {"network": {"name": "selfservice"}})["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "172.16.1.0/24", "gateway_ip": "172.16.1.1"}
    subnet_id = api.call("network", "POST", "/v2.0/subnets", {"subnet": subnet})["subnet"]["id"]
    gateway = {"name": "router", "external_gateway_info": {"network_id": provider}}
    router = api.call("network", "POST", "/v2.0/routers", {"router": gateway})["router"]["id"]
    api.call("network", "PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet_id})
    _open_default_group(cloud)
    key = cloud.lab.directory / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    api.call("compute", "POST", "/v2.1/os-keypairs", {"keypair": {"name": "lab", "public_key": public, "type": "ssh"}})
    return Ground(image, flavor_id, provider, network, subnet_id, router, "lab", key)


def _make_provider(cloud: Cloud) -> str:
    """The network outside, whose gateway is the person in front of the cloud."""
    wanted = {
        "name": PROVIDER,
        "shared": True,
        "router:external": True,
        "provider:network_type": "flat",
        "provider:physical_network": PROVIDER,
    }
    network: str = cloud.api.call("network", "POST", "/v2.0/networks", {"network": wanted})["network"]["id"]
    pool = {"start": f"{OUTSIDE_PREFIX}10", "end": f"{OUTSIDE_PREFIX}200"}
    subnet = {
        "network_id": network,
        "ip_version": 4,
        "cidr": f"{OUTSIDE_PREFIX}0/24",
        "gateway_ip": f"{OUTSIDE_PREFIX}{OWN_NUMBER}",
        "allocation_pools": [pool],
        "enable_dhcp": False,
    }
    cloud.api.call("network", "POST", "/v2.0/subnets", {"subnet": subnet})
    return network


def _open_default_group(cloud: Cloud) -> None:
    groups = cloud.api.call("network", "GET", "/v2.0/security-groups?name=default")["security_groups"]
    for rule in OPEN:
        for group in groups:
            wanted = {"security_group_id": group["id"], "direction": "ingress", **rule}
            cloud.api.call("network", "POST", "/v2.0/security-group-rules", {"security_group_rule": wanted})


def create_server(cloud: Cloud, ground: Ground, name: str, host: str = "") -> str:
    server_id: str = cloud.api.call("compute", "POST", "/v2.1/servers", ground.server(name, host))["server"]["id"]
    return server_id


def wait_active(cloud: Cloud, server_id: str) -> dict[str, Any]:
    """The server's view. Raises BuildFailed, TimeoutError."""

    def is_active() -> dict[str, Any] | None:
        server: dict[str, Any] = cloud.api.call("compute", "GET", f"/v2.1/servers/{server_id}")["server"]
        if server["status"] == "ERROR":
            raise BuildFailed(str(server.get("fault")))
        return server if server["status"] == "ACTIVE" else None

    found: dict[str, Any] = wait_for(is_active, f"server {server_id} is ACTIVE", BUILD_SECONDS)
    return found


def delete_server(cloud: Cloud, server_id: str) -> None:
    """Returns when it is gone."""
    cloud.api.call("compute", "DELETE", f"/v2.1/servers/{server_id}")

    def is_gone() -> bool:
        try:
            cloud.api.call("compute", "GET", f"/v2.1/servers/{server_id}")
        except Refused as refusal:
            if refusal.status == 404:
                return True
            raise
        return False

    wait_for(is_gone, f"server {server_id} is gone", BUILD_SECONDS)


def ports_of(cloud: Cloud, server_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.api.call("network", "GET", f"/v2.0/ports?device_id={server_id}")["ports"]
    return found


def port_of(cloud: Cloud, server_id: str) -> dict[str, Any]:
    return ports_of(cloud, server_id)[0]


def add_floating_ip(cloud: Cloud, ground: Ground, server_id: str) -> str:
    """The outside address that leads to the server."""
    return open_port(cloud, ground, port_of(cloud, server_id)["id"])


def open_port(cloud: Cloud, ground: Ground, port_id: str) -> str:
    wanted = {"floating_network_id": ground.provider, "port_id": port_id}
    made = cloud.api.call("network", "POST", "/v2.0/floatingips", {"floatingip": wanted})
    address: str = made["floatingip"]["floating_ip_address"]
    return address


def run_on_guest(
    cloud: Cloud, ground: Ground, address: str, command: str, timeout_seconds: float = 20
) -> subprocess.CompletedProcess[str]:
    """A command on a guest, typed in front of the cloud."""
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    limits = ["-o", "ConnectTimeout=3", "-o", "BatchMode=yes", "-i", str(ground.key)]
    return cloud.outside.run(["ssh", *options, *limits, f"{GUEST_USER}@{address}", command], timeout_seconds)


def wait_log_in(cloud: Cloud, ground: Ground, address: str) -> None:
    """Until the guest lets its key in: it has its address and what metadata told."""
    wait_for(
        lambda: run_on_guest(cloud, ground, address, "true").returncode == 0, f"{address} lets us in", LOG_IN_SECONDS
    )
