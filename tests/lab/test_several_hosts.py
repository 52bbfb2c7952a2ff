"""Servers on two hosts: they reach each other, their metadata and the outside, and nothing of them stays."""

import sys
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tools.lab import tenant
from tools.lab.cloud import Cloud
from tools.lab.hosts import wait_for
from tools.lab.tenant import Ground

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.libvirt]

HOSTS = ("compute1", "compute2")
ARP_IN_VXLAN = "udp dst port 4789 and udp[28:2] = 0x0806"
"""The type of the frame inside: after UDP's header (8), vxlan's (8) and two MAC addresses (12)."""

FIRST_WORDS = """
import sys
from websockets.sync.client import connect

with connect(sys.argv[1], origin=sys.argv[2], proxy=None) as socket:
    sys.stdout.write(socket.recv(timeout=10).decode())
"""
"""What a screen says first to a browser whose page came from the proxy."""


@pytest.fixture(scope="module")
def servers(cloud: Cloud, ground: Ground) -> Iterator[dict[str, str]]:
    """Host → server, reachable by ssh."""
    made = {host: tenant.create_server(cloud, ground, f"on-{host}", host) for host in HOSTS}
    for server_id in made.values():
        tenant.wait_active(cloud, server_id)
    yield made
    for server_id in made.values():
        tenant.delete_server(cloud, server_id)


@pytest.fixture(scope="module")
def outside_addresses(cloud: Cloud, ground: Ground, servers: dict[str, str]) -> dict[str, str]:
    found = {host: tenant.add_floating_ip(cloud, ground, server_id) for host, server_id in servers.items()}
    for address in found.values():
        tenant.wait_log_in(cloud, ground, address)
    return found


def fixed_address(cloud: Cloud, server_id: str) -> str:
    address: str = tenant.port_of(cloud, server_id)["fixed_ips"][0]["ip_address"]
    return address


def run(cloud: Cloud, ground: Ground, address: str, command: str) -> str:
    done = tenant.run_on_guest(cloud, ground, address, command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_each_host_runs_only_the_agents_it_is_told_to(cloud: Cloud, servers: dict[str, str]) -> None:
    agents = cloud.network_agents_up()
    assert [(host, binary) for host, binary in agents if host in HOSTS] == [
        (host, "neutron-linuxbridge-agent") for host in HOSTS
    ]
    assert len([each for each in agents if each[0] == "network"]) == 4
    for host in HOSTS:
        assert cloud.lab.host(host).run(["ip", "netns", "list"]).stdout == ""
        assert not any("dnsmasq" in words[0] for words in cloud.lab.host(host).processes().values())


def test_servers_answer_on_floating_ips_and_know_their_names(
    cloud: Cloud, ground: Ground, outside_addresses: dict[str, str]
) -> None:
    for host, address in outside_addresses.items():
        assert run(cloud, ground, address, "hostname").strip() == f"on-{host}"
        assert "172.24.4.254" in run(cloud, ground, address, "sudo ping -c1 -W2 172.24.4.254")


def test_servers_on_two_hosts_reach_each_other_with_whole_packets(
    cloud: Cloud, ground: Ground, servers: dict[str, str], outside_addresses: dict[str, str]
) -> None:
    for here, there in (HOSTS, HOSTS[::-1]):
        target = fixed_address(cloud, servers[there])
        # 1450 bytes of network, less IPv4's header and ICMP's.
        said = run(cloud, ground, outside_addresses[here], f"sudo ping -c3 -W2 -s {1450 - 28} {target}")
        assert "3 packets received" in said, said
        assert "mtu 1450" in run(cloud, ground, outside_addresses[here], "ip link show eth0")


def test_no_question_for_an_address_crosses_the_underlay(
    cloud: Cloud, ground: Ground, servers: dict[str, str], outside_addresses: dict[str, str]
) -> None:
    host = cloud.lab.host("compute1")
    watching = ["timeout", "4", "tcpdump", "-nn", "-i", "eth0", "-c", "1", ARP_IN_VXLAN]
    command = "sudo ip neigh flush dev eth0; sudo ping -c2 -W2 {}"
    host.start("watch-arp", watching)
    time.sleep(0.5)
    for target in (fixed_address(cloud, servers["compute2"]), "172.16.1.1"):
        said = run(cloud, ground, outside_addresses["compute1"], command.format(target))
        assert "2 packets received" in said, said
    wait_for(lambda: not host.is_running("watch-arp"), "tcpdump has ended")
    assert "0 packets captured" in host.log_end("watch-arp"), host.log_end("watch-arp")


def test_traffic_goes_on_while_every_agent_is_killed_and_started(
    cloud: Cloud, ground: Ground, servers: dict[str, str], outside_addresses: dict[str, str]
) -> None:
    target = fixed_address(cloud, servers["compute2"])
    daemons = [(host, name) for host, name in cloud.daemons() if name.startswith("neutron-") and host != "controller"]
    for host, name in daemons:
        cloud.lab.host(host).kill(name)
    said = run(cloud, ground, outside_addresses["compute1"], f"sudo ping -c3 -W2 {target}")
    assert "3 packets received" in said, said
    for host, name in daemons:
        cloud.start(host, name)
    wait_for(lambda: len(cloud.network_agents_up()) == len(daemons), "all agents are up", 60)
    assert "3 packets received" in run(cloud, ground, outside_addresses["compute1"], f"sudo ping -c3 -W2 {target}")


def test_a_screen_of_each_host_opens_through_the_controllers_proxy(cloud: Cloud, servers: dict[str, str]) -> None:
    for server_id in servers.values():
        body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
        made = cloud.api.call("compute", "POST", f"/v2.1/servers/{server_id}/remote-consoles", body)["remote_console"]
        assert made["url"].startswith("http://controller:6080/vnc_auto.html?path=")
        (path,) = parse_qs(urlsplit(made["url"]).query)["path"]
        place = f"{cloud.lab.controller.address}:6080"
        seen = cloud.outside.run([sys.executable, "-c", FIRST_WORDS, f"ws://{place}/{path}", f"http://{place}"])
        assert seen.stdout == "RFB 003.008\n", seen.stderr


def test_nothing_stays_on_a_host_whose_servers_are_gone(cloud: Cloud, ground: Ground, servers: dict[str, str]) -> None:
    extra = tenant.create_server(cloud, ground, "extra", "compute2")
    tenant.wait_active(cloud, extra)
    for server_id in (extra, servers.pop("compute2")):
        tenant.delete_server(cloud, server_id)
    host = cloud.lab.host("compute2")

    def links() -> list[str]:
        names = [line.split()[0].partition("@")[0] for line in host.run(["ip", "-br", "link"]).stdout.splitlines()]
        return [name for name in names if name.startswith(("brq", "tap", "vxlan"))]

    wait_for(lambda: links() == [], "no device of a network is left", 30)
    wait_for(lambda: "kn-" not in host.run(["ipset", "list", "-name"]).stdout, "no set is left")
    wait_for(lambda: "kn-" not in host.run(["iptables-save"]).stdout, "no rule is left")
    assert host.run(["virsh", "list", "--all", "--name"]).stdout.strip() == ""
    assert host.run(["ls", "/var/lib/nova/instances"]).stdout.split() == ["_base"]
