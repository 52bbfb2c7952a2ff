"""The "Test" part of guide "004", typed with the stock client as it stands there on a new cloud, to ssh in the guest.

Changed are the image's name and file, the addresses of the provider network, and one rule is added: the guide pings a
server whose group it has opened for ssh alone.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import BOOT_SECONDS, CloudUnderTest, Guest
from tests.e2e.conftest import CloudMaker
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def new(new_cloud: CloudMaker) -> Iterator[CloudUnderTest]:
    with new_cloud("guide-cloud") as cloud:
        yield cloud


def make_networks(cloud: CloudUnderTest) -> None:
    cloud.openstack(
        *"network create --share --external --provider-physical-network provider".split(),
        *"--provider-network-type flat provider".split(),
    )
    cloud.openstack(
        *"subnet create --network provider --allocation-pool".split(),
        f"start={cloud.provider_address(8)},end={cloud.provider_address(40)}",
        *f"--dns-nameserver 8.8.8.8 --gateway {cloud.provider_address(1)}".split(),
        *f"--subnet-range {cloud.provider_address(0)}/24 provider-subnet".split(),
    )
    cloud.openstack("network", "create", "selfservice")
    cloud.openstack(
        *"subnet create --network selfservice --dns-nameserver 8.8.8.8 --gateway 172.16.1.1".split(),
        *"--subnet-range 172.16.1.0/24 selfservice".split(),
    )
    cloud.openstack("router", "create", "router")
    cloud.openstack("router", "add", "subnet", "router", "selfservice")
    cloud.openstack("router", "set", "router", "--external-gateway", "provider")


def make_what_a_server_needs(cloud: CloudUnderTest, image: Path) -> None:
    cloud.openstack(
        *"image create cirros --disk-format qcow2 --container-format bare --public --file".split(), str(image)
    )
    cloud.openstack("keypair", "create", "--private-key", "mykey.pem", "mykey")
    cloud.host.run("chmod", "600", "mykey.pem")
    cloud.openstack(*"security group rule create --proto tcp --dst-port 22 default".split())
    cloud.openstack(*"security group rule create --proto icmp default".split())
    cloud.openstack(*"flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny".split())


def make_server(cloud: CloudUnderTest) -> Guest:
    network_id = cloud.openstack(*"network show selfservice -f value -c id".split()).strip()
    cloud.openstack(
        *f"server create --flavor m1.tiny --image cirros --nic net-id={network_id}".split(),
        *"--security-group default --key-name mykey test-instance".split(),
    )
    assert "test-instance" in cloud.openstack("server", "list")
    address = cloud.shown("floating", "ip", "create", "provider")["floating_ip_address"]
    wait_for(
        lambda: cloud.shown("server", "show", "test-instance")["status"] == "ACTIVE",
        60,
        "test-instance is ACTIVE",
        explain=lambda: cloud.openstack("server", "show", "test-instance") + cloud.log_end(),
    )
    cloud.openstack("server", "add", "floating", "ip", "test-instance", address)
    return Guest(cloud.host, address, cloud.host.directory / "mykey.pem")


def remove_all(cloud: CloudUnderTest, guest: Guest) -> None:
    cloud.openstack("server", "delete", "--wait", "test-instance")
    cloud.openstack("floating", "ip", "delete", guest.address)
    cloud.openstack("router", "unset", "--external-gateway", "router")
    cloud.openstack("router", "remove", "subnet", "router", "selfservice")
    cloud.openstack("router", "delete", "router")
    cloud.openstack("network", "delete", "selfservice", "provider")
    cloud.openstack("keypair", "delete", "mykey")
    cloud.openstack("flavor", "delete", "m1.tiny")
    cloud.openstack("image", "delete", "cirros")


def test_the_guide_s_commands_end_in_a_guest_and_their_opposites_leave_nothing(
    new: CloudUnderTest, guest_image: Path
) -> None:
    empty = new.settled()
    make_networks(new)
    make_what_a_server_needs(new, guest_image)
    guest = make_server(new)
    wait_for(
        guest.is_reachable,
        BOOT_SECONDS,
        "ssh answers",
        explain=lambda: new.openstack("console", "log", "show", "test-instance") + new.log_end(),
    )
    assert guest.pings()
    assert guest.run("hostname") == "test-instance"
    remove_all(new, guest)
    new.wait_everything(empty)
