"""Tunnels whose agents are told where everything is: they answer for others, and ask nobody."""

import msgspec

from kilonova.network.agent.bridges import link_local_address, wanted_neighbours
from kilonova.network.wanted import RemotePort, WantedState, WantedSubnet
from tests.network.agent.documents import PING, Net, group, mac, state
from tests.network.agent.drivers import converge, make_driver, make_guest
from tests.network.agent.hosts import Guest, Host, on_own_host

DEVICE = "vxlan-1001"


def far_host(host: Host) -> Guest:
    """A host by hand at the other end of the underlay, with the address 10.0.1.9."""
    far = Guest(host, "far", "underlay0", "fa:16:3e:88:88:88")
    far.set_address("10.99.0.2/24")
    host.run("ip", "address", "add", "10.99.0.1/24", "dev", "underlay0")
    host.run("ip", "link", "set", "underlay0", "up")
    far.run("ip", "link", "add", "vx", "type", "vxlan", "id", "1001", "local", "10.99.0.2", "dstport", "4789")
    far.run("ip", "link", "set", "vx", "address", mac(0x777), "up")
    far.run("ip", "address", "add", "10.0.1.9/24", "dev", "vx")
    # What its own agent would be told of the near host.
    far.run("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "vx", "dst", "10.99.0.1")
    return far


def neighbours(host: Host) -> dict[str, str]:
    lines = host.run("ip", "neigh", "show", "dev", DEVICE, "nud", "permanent").splitlines()
    return {line.split()[0]: line.split()[2] for line in lines}


@on_own_host
async def test_known_addresses_are_answered_on_the_host_and_others_never_asked_for(host: Host) -> None:
    far = far_host(host)
    net = Net(1, dhcp=False)
    pingable = group(1, PING)
    port = net.port(5, (pingable.id,))
    guest = make_guest(host, "one", port)
    there = RemotePort(mac(0x777), "10.99.0.2", ("10.0.1.9",))

    def document(remote: tuple[RemotePort, ...], *, known: bool = True) -> WantedState:
        network = net.wanted(peer_tunnel_ips=("10.99.0.2",), remote_ports=remote, are_addresses_known=known)
        return msgspec.structs.replace(state([net], [port], [pingable]), networks=(network,))

    driver = make_driver(host, local_ip="10.99.0.1", l2_population=True)
    await converge(driver, document((there,)))
    await host.settle()
    far.run("ip", "neigh", "replace", "10.0.1.5", "lladdr", port.mac_address, "dev", "vx", "nud", "permanent")
    # It answers no ARP: whoever knows it was told.
    far.run("sysctl", "-q", "net.ipv4.conf.vx.arp_ignore=8")
    assert guest.pings("10.0.1.9", wait_seconds=2)
    assert neighbours(host) == {"10.0.1.9": mac(0x777)}
    assert " proxy " in host.run("ip", "-d", "link", "show", DEVICE)

    moved = RemotePort(mac(0x778), "10.99.0.2", ("10.0.1.9", "10.0.1.10"))
    await converge(driver, document((moved,)))
    assert neighbours(host) == {"10.0.1.9": mac(0x778), "10.0.1.10": mac(0x778)}
    await converge(driver, document(()))
    assert neighbours(host) == {}

    await converge(driver, document((there,), known=False))
    assert " proxy " not in host.run("ip", "-d", "link", "show", DEVICE)
    assert neighbours(host) == {}
    guest.run("ip", "neigh", "flush", "dev", "eth0")
    await host.settle()
    assert not guest.pings("10.0.1.9"), "nobody answers for it now"
    far.run("sysctl", "-q", "net.ipv4.conf.vx.arp_ignore=0")
    assert guest.pings("10.0.1.9", wait_seconds=2)


def test_guests_of_another_host_are_found_by_the_addresses_they_give_themselves() -> None:
    net = Net(1)
    remote = [RemotePort("fa:16:3e:00:01:05", "10.99.0.2", ("10.0.1.5",))]
    assert wanted_neighbours(net.wanted(), remote) == [("10.0.1.5", "fa:16:3e:00:01:05")]
    six = net.wanted(subnets=(WantedSubnet(id="six", cidr="fd00::/64", ip_version=6),))
    assert wanted_neighbours(six, remote)[1:] == [("fe80::f816:3eff:fe00:105", "fa:16:3e:00:01:05")]
    assert link_local_address("00:00:00:00:00:01") == "fe80::200:ff:fe00:1"
