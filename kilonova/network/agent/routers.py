"""A router on this host: the namespace `qrouter-<id>`, its ports into the bridges, addresses, routes, NAT.

The rule: traffic through a floating IP that goes away is cut at once, and an address that is new is announced at once.
"""

import contextlib
import functools
import ipaddress
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kilonova.network.agent import dhcp, links, namespaces
from kilonova.network.agent.commands import run
from kilonova.network.agent.ledger import Announcement, HostProblem, Ledger
from kilonova.network.agent.links import Link, LinkTable, Route
from kilonova.network.agent.namespaces import run_inside
from kilonova.network.agent.ports import NamespacedPort, ensure_namespace, ensure_namespaced_port
from kilonova.network.agent.router_rules import (
    gateway_device,
    render_router_tables,
    saved_translations,
    wanted_translations,
)
from kilonova.network.agent.rulesets import parse_saved, plan_restore
from kilonova.network.wanted import (
    ROUTER_INTERFACE_PREFIX,
    TAP_PREFIX,
    FixedIp,
    RouterGateway,
    RouterInterface,
    WantedNetwork,
    WantedRouter,
    device_name,
)

NAMESPACE_PREFIX = "qrouter-"

_SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/arp_ignore": "1",
    "ipv4/conf/all/arp_announce": "2",
    "ipv6/conf/all/forwarding": "1",
}
"""Below /proc/sys/net in the router's namespace: it forwards, and answers ARP only for the interface that is asked."""


class NetworksNotReady(HostProblem):
    """Some of a router's ports are left out; the rest of it works."""


_ARP_FRAME = struct.Struct("!6s6sH HHBBH 6s4s 6s4s")


def namespace_name(router_id: str) -> str:
    return NAMESPACE_PREFIX + router_id


def router_ports(router: WantedRouter) -> list[RouterInterface | RouterGateway]:
    """All ports of a router, its gateway last."""
    gateway = [] if router.gateway is None else [router.gateway]
    return [*router.interfaces, *gateway]


def _cidrs(fixed_ips: tuple[FixedIp, ...]) -> list[str]:
    return [f"{fixed.ip_address}/{fixed.prefix_length}" for fixed in fixed_ips]


def wanted_addresses(router: WantedRouter) -> dict[str, list[str]]:
    """Device in the namespace → addresses; floating IPs sit on the gateway as /32."""
    addresses = {
        device_name(ROUTER_INTERFACE_PREFIX, each.port_id): _cidrs(each.fixed_ips) for each in router.interfaces
    }
    if router.gateway is not None:
        floating = [f"{each.floating_ip_address}/32" for each in router.floating_ips]
        own = set(_cidrs(router.gateway.fixed_ips))
        addresses[gateway_device(router.gateway)] = sorted({*own, *floating})
    return addresses


def wanted_routes(router: WantedRouter) -> list[Route]:
    """Default routes through the gateway, and the router's extra routes."""
    routes = [Route(str(ipaddress.ip_network(each.destination)), each.nexthop) for each in router.routes]
    if router.gateway is not None:
        device = gateway_device(router.gateway)
        families: set[int] = set()
        for hop in router.gateway.gateway_ips:
            version = ipaddress.ip_address(hop).version
            if version not in families:
                families.add(version)
                routes.append(Route("0.0.0.0/0" if version == 4 else "::/0", hop, device))
    return routes


def render_announcements(mac_address: str, address: str) -> list[bytes]:
    """Gratuitous ARP for one IPv4 address, as a request and as a reply: some neighbours believe only one (RFC 5227)."""
    mac = bytes.fromhex(mac_address.replace(":", ""))
    packed = ipaddress.IPv4Address(address).packed
    broadcast = b"\xff" * 6
    return [
        _ARP_FRAME.pack(broadcast, mac, 0x0806, 1, 0x0800, 6, 4, operation, mac, packed, target, packed)
        for operation, target in ((1, b"\x00" * 6), (2, broadcast))
    ]


def announce(announcement: Announcement) -> None:
    """Send gratuitous ARP for the device's new addresses, in the calling thread's namespace."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((announcement.device, 0))
        mac_address = raw.getsockname()[4].hex(":")
        for cidr in announcement.addresses:
            for frame in render_announcements(mac_address, cidr.partition("/")[0]):
                raw.send(frame)


def announce_again(announcements: Iterable[Announcement]) -> None:
    """Repeat announcements after a while: a port that was just plugged may not have forwarded the first ones yet."""
    for each in announcements:
        # A router that has gone meanwhile has nothing to announce.
        with contextlib.suppress(OSError):
            run_inside(each.namespace, functools.partial(announce, each))


def _write_sysctls() -> None:
    for name, value in _SYSCTLS.items():
        path = Path("/proc/sys/net") / name
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)


def _ensure_rules(router: WantedRouter, ledger: Ledger) -> None:
    """One `iptables-save` to see, one batch to change; flows of translations that went are deleted."""
    saved = parse_saved(run(["iptables-save"]))
    plan = plan_restore(saved, render_router_tables(router))
    if plan.text:
        run(["iptables-restore", "--noflush"], stdin=plan.text)
        ledger.changed_chains(f"rules of router {router.id}", plan.changed)
    gone = saved_translations(saved) - wanted_translations(router)
    if gone:
        lines = [
            f"-D -f ipv4 -d {each.floating_ip}\n-D -f ipv4 -q {each.floating_ip}\n" for each in sorted(gone, key=str)
        ]
        run(["conntrack", "-R", "-"], stdin="".join(lines))


@dataclass(frozen=True, slots=True)
class _Inner:
    """One plugged port as the namespace sees it."""

    name: str
    mac_address: str
    mtu: int


def _converge_inside(router: WantedRouter, ports: list[_Inner], ledger: Ledger) -> None:
    _write_sysctls()
    addresses = wanted_addresses(router)
    # Translation stands before the address answers, so no first packet ends at the router itself.
    _ensure_rules(router, ledger)
    with links.opened(ledger) as table:
        for port in ports:
            wrong = table.ensure_set(table.need(port.name), mtu=port.mtu, mac_address=port.mac_address)
            link = table.ensure_up(wrong)
            new = tuple(cidr for cidr in table.ensure_addresses(link, addresses[port.name]) if ":" not in cidr)
            if new:
                ledger.announcements.append(Announcement(namespace_name(router.id), port.name, new))
                announce(ledger.announcements[-1])
        plugged = {None, *(port.name for port in ports)}
        table.ensure_routes(route for route in wanted_routes(router) if route.device in plugged)


def ensure_router(
    router: WantedRouter, networks: Mapping[str, tuple[WantedNetwork, Link]], table: LinkTable, ledger: Ledger
) -> None:
    """Make the router as wanted. `networks` are those that are ready, with their bridges; a port into one that is not
    is left out, the rest of the router works, and the NetworksNotReady at the end names it."""
    name = namespace_name(router.id)
    ensure_namespace(name, ledger)
    wanted: list[tuple[str, RouterInterface | RouterGateway]] = [
        (device_name(ROUTER_INTERFACE_PREFIX, each.port_id), each) for each in router.interfaces
    ]
    if router.gateway is not None:
        wanted.append((gateway_device(router.gateway), router.gateway))
    ports: list[_Inner] = []
    missing: list[str] = []
    for inner, port in wanted:
        if port.network_id not in networks:
            missing.append(port.network_id)
            continue
        network, bridge = networks[port.network_id]
        names = (device_name(TAP_PREFIX, port.port_id), inner)
        plug = NamespacedPort(name, names, port.mac_address, network.mtu, links.ROUTER_GROUP)
        ensure_namespaced_port(table, bridge, plug)
        ports.append(_Inner(inner, port.mac_address, network.mtu))
    run_inside(name, lambda: _converge_inside(router, ports, ledger))
    if missing:
        raise NetworksNotReady(f"Networks of the router's ports are not ready on this host: {', '.join(missing)}.")


def release_router(router_id: str, ledger: Ledger) -> None:
    """Take a router's namespace away; its ports, rules and flows go with it."""
    if namespaces.inode(namespace_name(router_id)) is not None:
        dhcp.stop_strays(namespace_name(router_id))
        namespaces.release(namespace_name(router_id))
        ledger.changed("removed namespace %s", namespace_name(router_id))
