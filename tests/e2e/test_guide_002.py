"""The server flow of guide "002" on a new cloud: an ordinary user, a flat network that all share, a server on it.

Typed as it stands there, in the words of today's client where the guide has those of clients that are gone (`neutron`,
`nova`, `glance`). Changed are the names of the physical network and of the image, the addresses of the network, and the
user of the image. What `kilonova up` has made under the names that the guide makes is deleted first.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import BOOT_SECONDS, CloudUnderTest, Guest
from tests.e2e.conftest import CloudMaker
from tests.e2e.host import wait_for
from tests.e2e.test_guests import METADATA_KEYS

pytestmark = pytest.mark.e2e

DEMO_RC = {
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_USER_DOMAIN_ID": "default",
    "OS_PROJECT_NAME": "demo",
    "OS_TENANT_NAME": "demo",
    "OS_USERNAME": "demo",
    "OS_PASSWORD": "demo",
    "OS_AUTH_URL": "http://127.0.0.1:5000/v3",
    "OS_IDENTITY_API_VERSION": "3",
    "OS_IMAGE_API_VERSION": "2",
}
"""The guide's demo-openrc.sh."""


@pytest.fixture(scope="module")
def new(new_cloud: CloudMaker) -> Iterator[CloudUnderTest]:
    with new_cloud("guide-002-cloud") as cloud:
        yield cloud


def as_admin(cloud: CloudUnderTest, command: str) -> str:
    return cloud.openstack(*command.split())


def as_demo(cloud: CloudUnderTest, command: str) -> str:
    done = cloud.attempt_openstack(*command.split(), variables=DEMO_RC)
    assert done.status == 0, f"{done}\n{cloud.log_end()}"
    return done.out


def make_ordinary_user(cloud: CloudUnderTest) -> None:
    as_admin(cloud, "user delete demo")
    as_admin(cloud, "project delete demo")
    cloud.openstack("project", "create", "--domain", "default", "--description", "Demo Project", "demo")
    as_admin(cloud, "user create --domain default --password=demo demo")
    as_admin(cloud, "role create user")
    as_admin(cloud, "role add --project demo --user demo user")
    assert {"admin", "demo"} <= set(as_admin(cloud, "user list -f value -c Name").split())
    assert {"admin", "demo", "service"} <= set(as_admin(cloud, "project list -f value -c Name").split())
    assert {"admin", "user"} <= set(as_admin(cloud, "role list -f value -c Name").split())
    assert "expires" in as_demo(cloud, "token issue")
    given = as_admin(cloud, "role assignment list --user demo --project demo --names -f value -c Role")
    assert given.split() == ["user"]


def make_flat_network(cloud: CloudUnderTest) -> None:
    as_admin(
        cloud,
        "network create flat --share --provider-physical-network provider --provider-network-type flat",
    )
    gateway = cloud.provider_address(1)
    as_admin(
        cloud,
        f"subnet create --network flat --subnet-range {cloud.provider_address(0)}/24 flat-subnet"
        f" --allocation-pool start={cloud.provider_address(100)},end={cloud.provider_address(200)}"
        f" --dns-nameserver {gateway} --gateway {gateway}",
    )
    assert "flat" in as_demo(cloud, "network list")


def make_what_a_server_needs(cloud: CloudUnderTest, image: Path) -> None:
    as_admin(cloud, f"image create cirros --file {image} --disk-format qcow2 --container-format bare --public")
    as_admin(cloud, "flavor create --id 1 --ram 512 --disk 1 --vcpus 1 m1.tiny")
    cloud.host.run("ssh-keygen", "-q", "-N", "", "-f", "id_rsa")
    as_demo(cloud, "keypair create --public-key id_rsa.pub mykey")
    assert "mykey" in as_demo(cloud, "keypair list")
    as_demo(cloud, "security group rule create --proto icmp default")
    as_demo(cloud, "security group rule create --proto tcp --dst-port 22 default")
    assert "m1.tiny" in as_demo(cloud, "flavor list")
    assert "cirros" in as_demo(cloud, "image list")
    assert "default" in as_demo(cloud, "security group list")


def make_server(cloud: CloudUnderTest) -> Guest:
    network_id = as_demo(cloud, "network show flat -f value -c id").strip()
    as_demo(
        cloud,
        f"server create --flavor m1.tiny --image cirros --nic net-id={network_id} --security-group default"
        " --key-name mykey hello-instance",
    )
    wait_for(
        lambda: "ACTIVE" in as_demo(cloud, "server list"),
        60,
        "hello-instance is ACTIVE",
        explain=lambda: as_demo(cloud, "server show hello-instance") + cloud.log_end(),
    )
    (address,) = json.loads(as_demo(cloud, "server show hello-instance -f json"))["addresses"]["flat"]
    guest = Guest(cloud.host, address, cloud.host.directory / "id_rsa")
    wait_for(
        guest.is_reachable,
        BOOT_SECONDS,
        "ssh answers",
        explain=lambda: as_demo(cloud, "console log show hello-instance") + cloud.log_end(),
    )
    return guest


def check_inside(cloud: CloudUnderTest, guest: Guest, dhcp_address: str) -> None:
    """What the guide reads in its guest: the metadata's keys, and by which way they come."""
    meta_data = "wget -q -O - http://169.254.169.254/2009-04-04/meta-data"
    assert guest.run(f"{meta_data}/").split() == METADATA_KEYS
    assert guest.run(f"{meta_data}/local-ipv4") == guest.address
    assert guest.run(f"{meta_data}/instance-type") == "m1.tiny"
    assert guest.run(f"{meta_data}/hostname").split(".")[0] == "hello-instance"
    assert guest.run(f"{meta_data}/security-groups") == "default"
    assert "mykey" in guest.run(f"{meta_data}/public-keys/")
    routes = guest.run("ip ro li")
    assert f"default via {cloud.provider_address(1)} dev eth0" in routes
    assert f"169.254.169.254 via {dhcp_address} dev eth0" in routes


def check_on_host(cloud: CloudUnderTest, dhcp_address: str) -> None:
    """What the guide looks at on its node: bridge, namespace, sockets, and the instance's directory."""
    network_id = as_admin(cloud, "network show flat -f value -c id").strip()
    namespace = f"qdhcp-{network_id}"
    assert namespace in cloud.host.run("ip", "netns", "list")
    addresses = cloud.host.run("ip", "netns", "exec", namespace, "ip", "-o", "-4", "address")
    assert f"{dhcp_address}/24" in addresses and "169.254.169.254/" in addresses
    sockets = cloud.host.run("ip", "netns", "exec", namespace, "ss", "-Hlntu")
    for port in ("tcp *:80", "tcp *:53", "udp *:53", "udp *:67"):
        protocol, _, wanted = port.partition(" *")
        listening = [line for line in sockets.splitlines() if line.startswith(protocol)]
        assert any(line.split()[4].endswith(wanted) for line in listening), f"{port}: {sockets}"
    ports = cloud.shown("port", "list", "--network", "flat")
    taps = [json.loads(cloud.host.run("ip", "-j", "link", "show", f"tap{port['ID'][:11]}"))[0] for port in ports]
    assert len(taps) == 2
    assert len({tap["master"] for tap in taps}) == 1, "the guest and its DHCP server are on one bridge"

    server_id = as_demo(cloud, "server show hello-instance -f value -c id").strip()
    directory = cloud.state.instances / server_id
    assert {"console.log", "disk", "disk.info"} <= {path.name for path in directory.iterdir()}
    disk = cloud.host.run("qemu-img", "info", "--force-share", str(directory / "disk"))
    assert "virtual size: 1 GiB" in disk
    assert f"backing file: {cloud.state.instances}/_base/" in disk


def remove_all(cloud: CloudUnderTest) -> None:
    as_demo(cloud, "server delete --wait hello-instance")
    as_demo(cloud, "keypair delete mykey")
    as_admin(cloud, "network delete flat")
    as_admin(cloud, "flavor delete m1.tiny")
    as_admin(cloud, "image delete cirros")


def test_the_guide_s_server_runs_on_the_flat_network_and_tells_its_metadata(
    new: CloudUnderTest, guest_image: Path
) -> None:
    empty = new.settled()
    make_ordinary_user(new)
    make_flat_network(new)
    make_what_a_server_needs(new, guest_image)
    guest = make_server(new)
    assert guest.pings()
    (dhcp_port,) = new.shown("port", "list", "--device-owner", "network:dhcp")
    dhcp_address = dhcp_port["Fixed IP Addresses"][0]["ip_address"]
    check_inside(new, guest, dhcp_address)
    check_on_host(new, dhcp_address)
    console = as_demo(new, "console log show hello-instance")
    assert "login:" in console and "hello-instance" in console
    remove_all(new)
    new.wait_everything(empty)
