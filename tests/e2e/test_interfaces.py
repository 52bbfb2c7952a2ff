"""Interfaces that a running guest gets and loses, with the stock client."""

import pytest

from tests.e2e.cloud import CloudUnderTest, Guest
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e


def addresses(guest: Guest, device: str) -> str:
    done = guest.attempt(f"ip -o -4 addr show dev {device}")
    return done.out if done.status == 0 else ""


def test_a_running_guest_gets_an_interface_and_lets_it_go(demo_cloud: CloudUnderTest) -> None:
    before = demo_cloud.settled()
    demo_cloud.openstack("network", "create", "side", user="demo")
    subnet = "subnet create --network side --subnet-range 10.77.0.0/24 --gateway none side"
    demo_cloud.openstack(*subnet.split(), user="demo")
    server_id = demo_cloud.create_server("legs-1")
    demo_cloud.wait_status(server_id)
    guest = demo_cloud.add_floating_ip(server_id)
    demo_cloud.wait_ssh(server_id, guest)
    boot_id = guest.boot_id()
    try:
        demo_cloud.openstack("server", "add", "network", "legs-1", "side", user="demo")
        wait_for(
            lambda: "10.77.0." in addresses(guest, "eth1"),
            30,
            "eth1 has an address",
            explain=lambda: guest.attempt("ip addr").out + demo_cloud.describe(server_id),
        )
        demo_cloud.openstack("server", "remove", "network", "legs-1", "side", user="demo")
        wait_for(
            lambda: "eth1" not in guest.run("ip link"),
            30,
            "eth1 is gone",
            explain=lambda: guest.attempt("ip addr").out + demo_cloud.describe(server_id),
        )
        wait_for(
            lambda: len(demo_cloud.demo.get("network", "/v2.0/ports", device_id=server_id)["ports"]) == 1,
            10,
            "the port is deleted",
        )
        assert guest.boot_id() == boot_id
    finally:
        demo_cloud.delete_servers([server_id])
        demo_cloud.openstack("network", "delete", "side", user="demo")
    demo_cloud.wait_everything(before)
