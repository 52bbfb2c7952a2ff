"""IPv6 router advertisements: a dnsmasq in a router's namespace that tells guests prefix, router and name servers.

Guests of a subnet with `slaac` or `dhcpv6-stateless` give themselves the address that the network service has counted
as theirs (RFC 4862). Those of the latter ask for the rest by DHCPv6, those with `dhcpv6-stateful` for their address:
the advertisement says so, and the network's DHCP answers (`dhcpv6.py`), never this process. It outlives the agent, and
is started again only when its command line differs.
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from kilonova.network.agent import dhcp
from kilonova.network.agent.commands import run
from kilonova.network.agent.dhcp_subnets import SHORTEST_PREFIX
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.namespaces import run_inside
from kilonova.network.wanted import ROUTER_INTERFACE_PREFIX, WantedNetwork, WantedRouter, WantedSubnet, device_name

MODES: Mapping[str, str] = {"slaac": "ra-only", "dhcpv6-stateless": "ra-stateless", "dhcpv6-stateful": "static"}
"""`ipv6_ra_mode` → what dnsmasq calls it."""
INTERVAL_SECONDS = 60
LIFETIME_SECONDS = 300
"""How long a guest keeps a router that it hears no more of."""


class Advertised(Struct, frozen=True):
    """What is told on one interface."""

    device: str
    mtu: int
    subnets: tuple[WantedSubnet, ...]


def advertised(router: WantedRouter, networks: Mapping[str, WantedNetwork]) -> tuple[Advertised, ...]:
    """The interfaces that advertise something; `networks` are those that are ready."""
    found = []
    for interface in router.interfaces:
        network = networks.get(interface.network_id)
        own = {fixed.subnet_id for fixed in interface.fixed_ips}
        told = [each for each in network.subnets if each.id in own and _is_advertised(each)] if network else []
        if network is not None and told:
            device = device_name(ROUTER_INTERFACE_PREFIX, interface.port_id)
            found.append(Advertised(device, network.mtu, tuple(sorted(told, key=lambda each: each.id))))
    return tuple(sorted(found, key=lambda each: each.device))


def _is_advertised(subnet: WantedSubnet) -> bool:
    return subnet.ipv6_ra_mode in MODES and int(subnet.cidr.partition("/")[2]) >= SHORTEST_PREFIX


def render_command(told: tuple[Advertised, ...], directory: Path, user: str) -> list[str]:
    """dnsmasq's whole command line: it answers no names here, and knows no guest."""
    command = [
        "dnsmasq",
        "--conf-file=/dev/null",
        "--port=0",
        "--no-hosts",
        "--no-resolv",
        f"--user={user}",
        "--bind-dynamic",
        "--except-interface=lo",
        f"--pid-file={directory / 'pid'}",
        "--leasefile-ro",
        "--enable-ra",
    ]
    for interface in told:
        command.append(f"--interface={interface.device}")
        command.append(f"--ra-param={interface.device},mtu:{interface.mtu},{INTERVAL_SECONDS},{LIFETIME_SECONDS}")
        for subnet in interface.subnets:
            prefix, tag = ipaddress.ip_network(subnet.cidr), f"subnet-{subnet.id}"
            mode = MODES[subnet.ipv6_ra_mode or ""]
            command.append(f"--dhcp-range=set:{tag},{prefix.network_address},{mode},{prefix.prefixlen}")
            command.append(f"--dhcp-ignore=tag:{tag}")
            if subnet.dns_nameservers:
                servers = ",".join(f"[{each}]" for each in subnet.dns_nameservers)
                command.append(f"--dhcp-option=tag:{tag},option6:dns-server,{servers}")
    return command


def is_running(directory: Path) -> bool:
    return dhcp.running_pid(directory) is not None


def ensure(namespace: str, told: tuple[Advertised, ...], directory: Path, ledger: Ledger) -> None:
    """The process as wanted, in a namespace whose interfaces are up; none where nothing is to be told."""
    if not told:
        release(directory, ledger)
        return
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    command = render_command(told, directory, dhcp.pick_user(directory))
    if dhcp.running_command(directory, namespace) == command:
        return
    dhcp.stop(directory)
    dhcp.stop_strays(namespace)
    run_inside(namespace, lambda: run(command))
    ledger.changed("started router advertisements in %s", namespace)


def release(directory: Path, ledger: Ledger) -> None:
    if dhcp.stop(directory):
        ledger.changed("stopped router advertisements of router %s", directory.name)
    if directory.exists():
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
