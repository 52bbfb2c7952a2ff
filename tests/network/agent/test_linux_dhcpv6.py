"""DHCPv6 as guests see it, on hosts of their own."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from kilonova.network.agent.namespaces import run_inside
from kilonova.network.wanted import DhcpHost, DhcpOption, FixedIp, WantedNetwork, WantedPort, WantedSubnet
from tests.network.agent.dhcpv6_client import Answer, ask_for_address, ask_for_the_rest
from tests.network.agent.documents import Net, group, router, state
from tests.network.agent.drivers import make_driver, make_guest
from tests.network.agent.hosts import Guest, Host, on_own_host

STATEFUL, STATELESS = "dhcpv6-stateful", "dhcpv6-stateless"
SUBNET = WantedSubnet("six", "fd00:1::/64", 6, "fd00:1::1", ipv6_ra_mode=STATEFUL, ipv6_address_mode=STATEFUL)


def with_ipv6(net: Net, subnet: WantedSubnet, *hosts: DhcpHost) -> WantedNetwork:
    """The network with a subnet more, and an address of its DHCP in it."""
    network = net.wanted()
    assert network.dhcp is not None
    own = FixedIp(subnet.cidr.replace("/64", "2"), subnet.id, 64)
    service = msgspec.structs.replace(
        network.dhcp, fixed_ips=(*network.dhcp.fixed_ips, own), hosts=(*network.dhcp.hosts, *hosts)
    )
    return msgspec.structs.replace(network, subnets=(*network.subnets, subnet), dhcp=service)


def with_address(port: WantedPort, address: str) -> WantedPort:
    return msgspec.structs.replace(port, fixed_ips=(*port.fixed_ips, FixedIp(address, "six", 64)))


def host_of(port: WantedPort, address: str, *options: DhcpOption) -> DhcpHost:
    return DhcpHost(port.mac_address, address, f"guest-{port.mac_address[-1]}", "six", port.id, options=options)


async def asked(guest: Guest, ask: Callable[..., Answer | None]) -> Answer | None:
    return await asyncio.to_thread(run_inside, guest.name, lambda: ask(guest.mac_address))


@on_own_host
async def test_a_guest_is_given_the_address_that_is_counted_as_its_own(host: Host) -> None:
    net, closed = Net(1), group(1)
    first, second = net.port(5, (closed.id,)), net.port(6, (closed.id,))
    ports = [with_address(first, "fd00:1::55"), with_address(second, "fd00:1::66")]
    interface = net.router_interface()
    interface = msgspec.structs.replace(interface, fixed_ips=(*interface.fixed_ips, FixedIp("fd00:1::1", "six", 64)))
    driver = make_driver(host)
    guests = [make_guest(host, f"g{number}", port) for number, port in enumerate(ports)]

    async def converge(*hosts: DhcpHost) -> None:
        document = state([], ports, [closed], [router(1, interface)])
        report = await driver.converge(msgspec.structs.replace(document, networks=(with_ipv6(net, SUBNET, *hosts),)))
        assert report.problems == ()

    option = DhcpOption("bootfile-url", "tftp://[fd00:1::9]/x")
    await converge(host_of(first, "fd00:1::55", option), host_of(second, "fd00:1::66"))
    pid_file = host.state_dir / "dhcpv6" / net.id / "pid"
    await host.settle()
    mine, other = [await asked(each, ask_for_address) for each in guests]
    assert mine is not None and other is not None
    assert (mine.address, other.address) == ("fd00:1::55", "fd00:1::66")
    assert mine.options[59] == b"tftp://[fd00:1::9]/x"
    assert 59 not in other.options
    assert mine.addresses(23) == ["fd00:1::2"], "names are answered by the network's own server"
    await converge(
        host_of(first, "fd00:1::55", DhcpOption("dns-server", "fd00:1::7,fd00:1::8")), host_of(second, "fd00:1::66")
    )
    mine = await asked(guests[0], ask_for_address)
    assert mine is not None and mine.addresses(23) == ["fd00:1::7", "fd00:1::8"]
    pid = int(pid_file.read_text())
    third = net.port(7)
    await converge(
        host_of(first, "fd00:1::55", DhcpOption("dns-server", "fd00:1::7,fd00:1::8")),
        host_of(second, "fd00:1::66"),
        host_of(third, "fd00:1::88"),
    )
    assert int(pid_file.read_text()) == pid, "hosts are read again without a restart"
    mine = await asked(guests[0], ask_for_address)
    assert mine is not None and mine.addresses(23) == ["fd00:1::7", "fd00:1::8"]
    await converge(host_of(first, "fd00:1::66"), host_of(second, "fd00:1::77"))
    mine, other = [await asked(each, ask_for_address) for each in guests]
    assert mine is not None and other is not None
    assert (mine.address, other.address) == ("fd00:1::66", "fd00:1::77"), "an address goes to another at once"
    await driver.close()


@on_own_host
async def test_a_guest_with_an_address_of_its_own_is_told_the_rest(host: Host) -> None:
    net, closed = Net(1), group(1)
    port = net.port(5, (closed.id,))
    subnet = msgspec.structs.replace(
        SUBNET, ipv6_ra_mode=STATELESS, ipv6_address_mode=STATELESS, dns_nameservers=("2620:fe::fe",)
    )
    driver = make_driver(host)
    guest = make_guest(host, "one", port)
    network = with_ipv6(net, subnet, host_of(port, "fd00:1::55", DhcpOption("59", "http://boot.example/")))
    wanted = msgspec.structs.replace(state([], [with_address(port, "fd00:1::55")], [closed]), networks=(network,))
    assert (await driver.converge(wanted)).problems == ()
    assert (await driver.converge(wanted)).changes == 0
    await host.settle()
    answer = await asked(guest, ask_for_the_rest)
    assert answer is not None
    assert answer.addresses(23) == ["2620:fe::fe"]
    assert answer.options[59] == b"http://boot.example/"
    assert await asked(guest, lambda mac: ask_for_address(mac, within_seconds=1)) is None, "it gives no addresses"
    directory = host.state_dir / "dhcpv6" / net.id
    pid = int((directory / "pid").read_text())
    host.run("kill", "-9", str(pid))
    while Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.01)
    await driver.converge(wanted)
    assert int((directory / "pid").read_text()) != pid, "one that died is started again"
    gone = msgspec.structs.replace(wanted, networks=(net.wanted(),))
    await driver.converge(gone)
    assert not directory.exists()
    await driver.converge(wanted)
    await driver.converge(state([]))
    assert not directory.exists()
    await driver.close()


@on_own_host
async def test_a_network_of_ipv6_alone_is_served_too(host: Host) -> None:
    net, closed = Net(1), group(1)
    port = msgspec.structs.replace(net.port(5, (closed.id,)), fixed_ips=(FixedIp("fd00:1::55", "six", 64),))
    plain = msgspec.structs.replace(SUBNET, ipv6_ra_mode=None, ipv6_address_mode=None)
    network = with_ipv6(net, plain, host_of(port, "fd00:1::55"))
    assert network.dhcp is not None
    service = msgspec.structs.replace(network.dhcp, fixed_ips=network.dhcp.fixed_ips[1:], hosts=network.dhcp.hosts[1:])
    network = msgspec.structs.replace(network, subnets=(plain,), dhcp=service)
    driver = make_driver(host)
    guest = make_guest(host, "one", port, address=False)
    report = await driver.converge(msgspec.structs.replace(state([], [port], [closed]), networks=(network,)))
    assert (report.problems, report.dhcp_up) == ((), (net.id,))
    await host.settle()
    answer = await asked(guest, ask_for_address)
    assert answer is not None and answer.address == "fd00:1::55"
    await driver.close()
