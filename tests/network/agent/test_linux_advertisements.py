"""IPv6 as guests hear of it from their router, on hosts of their own."""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path

import msgspec

from kilonova.network.agent.routers import namespace_name
from kilonova.network.ipam.pick import eui64
from kilonova.network.wanted import FixedIp, WantedNetwork, WantedSubnet
from tests.network.agent.documents import Net, group, router, state
from tests.network.agent.drivers import make_driver, make_guest
from tests.network.agent.hosts import Guest, Host, on_own_host

PREFIX = "fd00:1::/64"
SUBNET = WantedSubnet("six", PREFIX, 6, "fd00:1::1", enable_dhcp=True, ipv6_ra_mode="slaac")


def addresses(guest: Guest) -> list[str]:
    """The guest's global IPv6 addresses that are ready for use."""
    shown = guest.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "global")
    lines = [line.split() for line in shown.splitlines() if "inet6" in line and "tentative" not in line]
    return [words[1].partition("/")[0] for words in lines]


def default_routes(guest: Guest) -> list[str]:
    return [line.split()[2] for line in guest.run("ip", "-6", "route", "show", "default").splitlines()]


async def until(found: list[str], looked: Callable[[], list[str]]) -> None:
    """Waits for what a guest's kernel does by itself."""
    for _ in range(200):
        if looked() == found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{looked()} instead of {found}")


@on_own_host
async def test_a_guest_gives_itself_the_address_that_is_counted_as_its_own(host: Host) -> None:
    nets = [Net(1), Net(2)]
    closed = group(1)
    networks: list[WantedNetwork] = []
    interfaces = []
    ports = []
    for number, net in enumerate(nets, 1):
        cidr = f"fd00:{number}::/64"
        subnet = msgspec.structs.replace(SUBNET, id=f"six-{number}", cidr=cidr, gateway_ip=f"fd00:{number}::1")
        networks.append(net.wanted(subnets=(*net.wanted().subnets, subnet)))
        interface = net.router_interface()
        fixed = (*interface.fixed_ips, FixedIp(f"fd00:{number}::1", subnet.id, 64))
        interfaces.append(msgspec.structs.replace(interface, fixed_ips=fixed))
        port = net.port(5, (closed.id,))
        own = FixedIp(eui64(cidr, port.mac_address), subnet.id, 64)
        ports.append(msgspec.structs.replace(port, fixed_ips=(*port.fixed_ips, own)))
    wanted = router(1, *interfaces)
    document = msgspec.structs.replace(state([], ports, [closed], [wanted]), networks=tuple(networks))
    driver = make_driver(host)
    guests = [make_guest(host, f"g{number}", port) for number, port in enumerate(ports)]
    report = await driver.converge(document)
    assert report.problems == ()
    await host.settle()
    for guest, port in zip(guests, ports, strict=True):
        await until([port.fixed_ips[1].ip_address], functools.partial(addresses, guest))
        assert len(default_routes(guest)) == 1
    assert guests[0].run("sysctl", "-n", "net.ipv6.conf.eth0.mtu").strip() == "1450"
    assert (await driver.converge(document)).changes == 0, "the DHCP port takes nothing from advertisements"
    assert guests[0].succeeds("ping", "-6", "-c", "1", "-W", "3", "fd00:2::1"), (
        "the router is the way to other prefixes"
    )

    pid_file = host.state_dir / "advertisements" / wanted.id / "pid"
    first = int(pid_file.read_text())
    host.run("kill", "-9", str(first))
    while Path(f"/proc/{first}").exists():
        await asyncio.sleep(0.01)
    await driver.converge(document)
    assert int(pid_file.read_text()) != first, "one that died is started again"
    silent = tuple(
        msgspec.structs.replace(
            each, subnets=tuple(msgspec.structs.replace(subnet, ipv6_ra_mode=None) for subnet in each.subnets)
        )
        for each in networks
    )
    await driver.converge(msgspec.structs.replace(document, networks=silent))
    assert not pid_file.parent.exists()
    await driver.converge(document)
    second = int(pid_file.read_text())
    await driver.converge(msgspec.structs.replace(document, routers=()))
    assert not Path(f"/proc/{second}").exists()
    assert not pid_file.parent.exists()
    assert namespace_name(wanted.id) not in host.run("ip", "netns", "list")
    await driver.close()
