"""What a guest is told, and what the network lets it do."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.cloud import CloudUnderTest, Guest
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e

USER_DATA = """#!/bin/sh
echo "user data ran as $(id -un)" >/var/lib/guest/proof
"""
METADATA_KEYS = """
ami-id ami-launch-index ami-manifest-path block-device-mapping/ hostname instance-action instance-id instance-type
local-hostname local-ipv4 placement/ public-hostname public-ipv4 public-keys/ reservation-id security-groups
""".split()
"""As guide "002" reads them inside its guest."""

GROUP = "guarded"


@dataclass(frozen=True)
class Server:
    """A server with everything a guest can be given."""

    cloud: CloudUnderTest
    id: str
    guest: Guest
    group_id: str

    def rules(self, protocol: str) -> list[str]:
        found = self.cloud.demo.get(
            "network", "/v2.0/security-group-rules", security_group_id=self.group_id, protocol=protocol
        )
        return [rule["id"] for rule in found["security_group_rules"]]

    def allow(self, protocol: str, port: int | None) -> None:
        rule = {"security_group_id": self.group_id, "direction": "ingress", "ethertype": "IPv4", "protocol": protocol}
        if port is not None:
            rule |= {"port_range_min": str(port), "port_range_max": str(port)}
        self.cloud.demo.call("network", "POST", "/v2.0/security-group-rules", {"security_group_rule": rule})

    def forbid(self, protocol: str) -> None:
        for rule_id in self.rules(protocol):
            self.cloud.demo.call("network", "DELETE", f"/v2.0/security-group-rules/{rule_id}")


@pytest.fixture(scope="module")
def server(demo_cloud: CloudUnderTest) -> Iterator[Server]:
    before = demo_cloud.settled()
    demo = demo_cloud.demo
    group = demo.call("network", "POST", "/v2.0/security-groups", {"security_group": {"name": GROUP}})
    group_id = group["security_group"]["id"]
    server_id = demo_cloud.create_server(
        "told-1", USER_DATA, config_drive=True, security_groups=[{"name": GROUP}], metadata={"role": "witness"}
    )
    demo_cloud.wait_status(server_id)
    made = Server(demo_cloud, server_id, demo_cloud.add_floating_ip(server_id), group_id)
    made.allow("tcp", 22)
    demo_cloud.wait_ssh(server_id, made.guest)
    yield made
    demo_cloud.delete_servers([server_id])
    demo.call("network", "DELETE", f"/v2.0/security-groups/{group_id}")
    demo_cloud.wait_everything(before)


def read(guest: Guest, path: str) -> str:
    return guest.run(f"wget -q -O - http://169.254.169.254/{path}")


def test_the_host_name_is_the_server_s_name(server: Server) -> None:
    assert server.guest.run("hostname") == "told-1"


def test_user_data_ran_as_root(server: Server) -> None:
    assert server.guest.run("sudo cat /var/lib/guest/proof") == "user data ran as root"


def test_the_metadata_keys_of_the_guide_are_read_inside_the_guest(server: Server) -> None:
    assert read(server.guest, "2009-04-04/meta-data/").split() == METADATA_KEYS
    values = {key: read(server.guest, f"2009-04-04/meta-data/{key}") for key in METADATA_KEYS if not key.endswith("/")}
    assert values["hostname"].split(".")[0] == values["local-hostname"].split(".")[0] == "told-1"
    assert values["local-ipv4"] in server.guest.run("ip -o -4 addr show dev eth0")
    assert values["public-ipv4"] == server.guest.address
    assert values["security-groups"] == GROUP
    assert values["instance-type"] == "m1.nano"
    assert values["reservation-id"].startswith("r-")


def test_the_openstack_metadata_names_the_server(server: Server) -> None:
    text = read(server.guest, "openstack/latest/meta_data.json")
    assert f'"uuid": "{server.id}"' in text.replace('":"', '": "')
    assert "witness" in text


def test_a_password_is_set_through_the_agent_in_the_guest(server: Server) -> None:
    assert server.guest.run("sudo grep ^root: /etc/shadow").startswith("root:*:")
    body = {"changePassword": {"adminPass": "Secret-1"}}
    server.cloud.demo.call("compute", "POST", f"/servers/{server.id}/action", body)
    assert server.guest.run("sudo grep ^root: /etc/shadow").startswith("root:$6$")


def test_a_forged_instance_id_is_not_believed(server: Server) -> None:
    """A guest cannot ask as another one: what it says about itself is replaced on the way."""
    header = "--header 'X-Instance-ID: 00000000-0000-0000-0000-000000000000' --header 'X-Forwarded-For: 10.0.0.250'"
    text = server.guest.run(f"wget -q -O - {header} http://169.254.169.254/openstack/latest/meta_data.json")
    assert server.id in text


def test_the_config_drive_tells_the_same(server: Server) -> None:
    device = server.guest.run("sudo findfs LABEL=config-2")
    server.guest.run(f"sudo mkdir -p /mnt && sudo mount -t iso9660 -o ro {device} /mnt")
    text = server.guest.run("cat /mnt/openstack/latest/meta_data.json")
    user_data = server.guest.run("cat /mnt/openstack/latest/user_data")
    server.guest.run("sudo umount /mnt")
    assert server.id in text
    assert user_data == USER_DATA.strip()


def test_the_guest_gets_its_address_routes_and_mtu_by_dhcp(server: Server) -> None:
    routes = server.guest.run("ip route")
    assert "default via 10.0.0.1" in routes
    assert "169.254.169.254 via 10.0.0." in routes
    network = server.cloud.demo.find("network", "/v2.0/networks", "networks", name="demo-net")
    assert f"mtu {network['mtu']}" in server.guest.run("ip link show eth0")


def test_without_the_rule_ssh_is_blocked_and_with_it_open_again(server: Server) -> None:
    server.forbid("tcp")
    wait_for(lambda: not server.guest.is_reachable(connect_seconds=2), 15, "ssh is blocked")
    server.allow("tcp", 22)
    wait_for(server.guest.is_reachable, 15, "ssh is open again")


def test_ping_answers_only_while_its_rule_stands(server: Server) -> None:
    assert not server.guest.pings()
    server.allow("icmp", None)
    wait_for(server.guest.pings, 15, "ping answers")
    server.forbid("icmp")
    wait_for(lambda: not server.guest.pings(), 15, "ping is blocked")


def test_a_guest_that_changes_its_address_is_cut_off(server: Server) -> None:
    """The guest pings its gateway as itself, as another and as itself again, and writes down who was answered. As
    another it stays longer than a login that was under way could survive."""
    own = server.guest.run("ip -o -4 addr show dev eth0").split()[3]
    move = "ip addr flush dev eth0; ip addr add"
    script = f"""
ip route | grep via >/tmp/routes
restore() {{ while read -r route; do ip route add $route; done </tmp/routes; }}
ask() {{ ping -c $1 -W 1 10.0.0.1 >/dev/null 2>&1 && echo answered || echo silence; }}
{{ ask 2
{move} 10.0.0.213/24 dev eth0; restore; ask 6
{move} {own} dev eth0; restore; ask 2; }} >/tmp/answers
"""
    server.guest.run(f"cat >/tmp/change.sh <<'END'\n{script}\nEND\nsudo sh -c 'sh /tmp/change.sh >/dev/null 2>&1 &'")
    wait_for(lambda: not server.guest.is_reachable(connect_seconds=1), 10, "the guest is cut off")
    wait_for(server.guest.is_reachable, 20, "the guest is back under its own address")
    wait_for(lambda: server.guest.run("cat /tmp/answers").count("\n") == 2, 10, "three answers")
    assert server.guest.run("cat /tmp/answers").split() == ["answered", "silence", "answered"]


def test_two_guests_reach_each_other_only_through_rules(server: Server, demo_guest: Guest) -> None:
    """demo-1's group lets pings in, told-1's does not."""
    theirs = server.guest.run("ip -o -4 addr show dev eth0").split()[3].partition("/")[0]
    mine = demo_guest.run("ip -o -4 addr show dev eth0").split()[3].partition("/")[0]
    assert server.guest.attempt(f"sudo ping -c 1 -W 2 {mine}").status == 0
    assert demo_guest.attempt(f"sudo ping -c 1 -W 2 {theirs}").status != 0
