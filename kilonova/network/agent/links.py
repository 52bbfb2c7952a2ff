"""Network devices of one namespace through netlink: one dump to see, then only the differences are sent.

Ownership: whatever this agent makes, or adopts because the document names it, carries the device group
`OWNER_GROUP` (`ip link show group 27502`), or that of its part. Nothing without that mark is ever removed. The group
is part of the request that creates the device, so there is no moment in which a device of ours is unmarked.
"""

import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from kilonova.network.agent.ledger import HostProblem, Ledger

OWNER_GROUP = 27502
"""`kn` in ASCII, as a number."""

PLUGGED_GROUP = OWNER_GROUP + 1
"""A guest's tap that this agent has plugged: the hypervisor's, so it may be unplugged but never removed."""

DHCP_GROUP = OWNER_GROUP + 3
ROUTER_GROUP = OWNER_GROUP + 4
"""Ports that DHCP and routers have in bridges: each part may be a process of its own and removes only what it made."""

OWN_GROUPS = frozenset((OWNER_GROUP, DHCP_GROUP, ROUTER_GROUP))

MAIN_TABLE = 254
FLOOD_MAC = "00:00:00:00:00:00"

_IFF_UP = 1
_NUD_PERMANENT = 0x80


@dataclass(frozen=True, slots=True)
class Link:
    """A device as the last dump showed it."""

    index: int
    name: str
    kind: str | None
    mtu: int
    mac_address: str
    is_up: bool
    bridge_index: int | None
    group: int
    vni: int | None = None
    tunnel_ip: str | None = None
    answers_neighbours: bool = False
    """Of a tunnel: whether the kernel answers ARP and IPv6's neighbour solicitations for the neighbours it is told."""

    @property
    def is_ours(self) -> bool:
        return self.group in OWN_GROUPS

    @property
    def is_plugged(self) -> bool:
        return self.group == PLUGGED_GROUP


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How a vxlan device is made. One that answers for neighbours also believes only what it is told of where they
    are; it swallows questions for others."""

    vni: int
    local_ip: str
    port: int
    answers_neighbours: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the main table; `gateway` is None for what is on the link."""

    destination: str
    gateway: str | None
    device: str | None = None


def parse_link(message: Any) -> Link:
    """A netlink link message as a Link. Only what is used is decoded: a device has some sixty attributes."""
    details = message.get_attr("IFLA_LINKINFO")
    kind = details.get_attr("IFLA_INFO_KIND") if details is not None else None
    vxlan = details.get_attr("IFLA_INFO_DATA") if kind == "vxlan" else None
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=kind,
        mtu=message.get_attr("IFLA_MTU"),
        mac_address=message.get_attr("IFLA_ADDRESS") or "",
        is_up=bool(message["flags"] & _IFF_UP),
        bridge_index=message.get_attr("IFLA_MASTER"),
        group=message.get_attr("IFLA_GROUP") or 0,
        vni=vxlan.get_attr("IFLA_VXLAN_ID") if vxlan is not None else None,
        tunnel_ip=vxlan.get_attr("IFLA_VXLAN_LOCAL") if vxlan is not None else None,
        answers_neighbours=bool(vxlan.get_attr("IFLA_VXLAN_PROXY")) if vxlan is not None else False,
    )


class LinkTable:
    """The devices of the calling thread's namespace, kept in step with the changes made through it."""

    def __init__(self, netlink: Any, ledger: Ledger) -> None:
        self._netlink = netlink
        self._ledger = ledger
        self._links: dict[str, Link] = {}
        for message in netlink.get_links():
            link = parse_link(message)
            self._links[link.name] = link

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def get(self, name: str) -> Link | None:
        return self._links.get(name)

    def need(self, name: str) -> Link:
        """The device, or a HostProblem when it is gone."""
        link = self._links.get(name)
        if link is None:
            raise HostProblem(f"The device {name} does not exist on this host.")
        return link

    def _reread(self, name: str) -> Link:
        # One device is asked for by name; a dump would cost as much as the host has devices.
        for message in self._netlink.link("get", ifname=name):
            self._links[name] = parse_link(message)
        return self.need(name)

    def _add(self, name: str, kind: str, *, group: int = OWNER_GROUP, **parameters: Any) -> Link:
        try:
            self._netlink.link("add", ifname=name, kind=kind, group=group, **parameters)
        except NetlinkError as error:
            if error.code in (errno.EOPNOTSUPP, errno.ENODEV):
                raise HostProblem(
                    f"This kernel cannot make a {kind} device: load the module {kind} (modprobe {kind})."
                ) from error
            if error.code != errno.EEXIST:
                raise
            if self._reread_or_none(name) is None:
                # The name is free, so it is the tunnel's number and port that another device holds.
                raise HostProblem(
                    f"The device {name} cannot be made: another {kind} device has the same number."
                ) from error
        self._ledger.changed("made %s %s", kind, name)
        return self._reread(name)

    def _reread_or_none(self, name: str) -> Link | None:
        with contextlib.suppress(NetlinkError, HostProblem):
            return self._reread(name)
        return None

    def _set(self, link: Link, **parameters: Any) -> Link:
        self._netlink.link("set", index=link.index, **parameters)
        self._ledger.changed("set %s %s", link.name, parameters, level=logging.DEBUG)
        return self._reread(link.name)

    def ensure_bridge(self, name: str, mtu: int) -> Link:
        """A bridge of ours with no delay before it forwards. One that exists under its name is adopted."""
        # Its MTU is set afterwards: only one that was changed stays when members come and go.
        link = self.get(name) or self._add(name, "bridge", br_forward_delay=0, br_stp_state=0)
        if link.kind != "bridge":
            raise HostProblem(f"The name {name} is taken by a device that is not a bridge.")
        return self.ensure_set(link, mtu=mtu)

    def ensure_set(
        self, link: Link, *, mtu: int | None = None, mac_address: str | None = None, group: int = OWNER_GROUP
    ) -> Link:
        """Mark it as ours (or as plugged) and give it this MTU and MAC address."""
        wrong: dict[str, Any] = {}
        if link.group != group:
            wrong["group"] = group
        if mtu is not None and link.mtu != mtu:
            wrong["mtu"] = mtu
        if mac_address is not None and link.mac_address != mac_address.lower():
            wrong["address"] = mac_address
        return self._set(link, **wrong) if wrong else link

    def ensure_up(self, link: Link) -> Link:
        return link if link.is_up else self._set(link, state="up")

    def ensure_down(self, link: Link) -> Link:
        return self._set(link, state="down") if link.is_up else link

    def ensure_vxlan(self, name: str, tunnel: Tunnel, mtu: int) -> Link:
        """A vxlan device of ours; one that is made otherwise is replaced, for the kernel changes none of it."""
        link = self.get(name)
        wanted = (tunnel.vni, tunnel.local_ip, tunnel.answers_neighbours)
        if link is not None and (link.vni, link.tunnel_ip, link.answers_neighbours) != wanted:
            if not link.is_ours:
                raise HostProblem(f"The name {name} is taken by a device that is not ours.")
            self.release(name)
            link = None
        if link is None:
            link = self._add(
                name,
                "vxlan",
                vxlan_id=tunnel.vni,
                vxlan_port=tunnel.port,
                vxlan_local=tunnel.local_ip,
                vxlan_learning=int(not tunnel.answers_neighbours),
                vxlan_proxy=int(tunnel.answers_neighbours),
                mtu=mtu,
            )
        return self.ensure_set(link, mtu=mtu)

    def make_veth(
        self, names: tuple[str, str], namespace_descriptor: int, mac_address: str, mtu: int, group: int
    ) -> Link:
        """A pair (outer, inner), the inner end in a namespace. An outer end that has lost its inner one is replaced."""
        outer, inner = names
        existing = self.get(outer)
        if existing is not None:
            if existing.kind != "veth":
                raise HostProblem(f"The name {outer} is taken by a device that is not ours.")
            self.release(outer)
        peer = {"ifname": inner, "net_ns_fd": namespace_descriptor, "address": mac_address, "mtu": mtu}
        return self._add(outer, "veth", group=group, mtu=mtu, peer=peer)

    def ensure_member(self, link: Link, bridge: Link) -> Link:
        """Plug a device into a bridge."""
        return link if link.bridge_index == bridge.index else self._set(link, master=bridge.index)

    def release_member(self, link: Link) -> Link:
        """Unplug a device that stays (a guest's tap) and take our mark off it."""
        return self._set(link, master=0, group=0) if link.bridge_index or link.is_plugged else link

    def release(self, name: str) -> None:
        """Remove a device; one that is already gone is fine."""
        link = self._links.pop(name, None)
        if link is None:
            return
        try:
            self._netlink.link("del", index=link.index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise
        self._ledger.changed("removed %s", name)

    def ensure_addresses(self, link: Link, wanted: Iterable[str]) -> list[str]:
        """Give the device exactly these `address/prefix`; link-local ones of IPv6 stay. Returns what was new."""
        target = {str(ipaddress.ip_interface(address)) for address in wanted}
        present = self.read_addresses(link)
        for address in sorted(present - target):
            self._change_address("del", link, address)
        # A wider prefix first, so that the route to it exists when single addresses follow.
        new = sorted(target - present, key=lambda address: (ipaddress.ip_interface(address).network.prefixlen, address))
        for address in new:
            self._change_address("add", link, address)
        return new

    def _change_address(self, verb: str, link: Link, address: str) -> None:
        interface = ipaddress.ip_interface(address)
        parameters: dict[str, Any] = {"address": str(interface.ip), "prefixlen": interface.network.prefixlen}
        if interface.version == 6 and verb == "add":
            # No duplicate detection: the address was given out by the network service and has to work at once.
            parameters["flags"] = 0x02
        self._netlink.addr(verb, index=link.index, **parameters)
        self._ledger.changed("%s address %s on %s", verb, address, link.name)

    def read_addresses(self, link: Link) -> set[str]:
        """`address/prefix` of a device, without IPv6's link-local ones."""
        found: set[str] = set()
        for message in self._netlink.get_addr(index=link.index):
            attributes = dict(message["attrs"])
            address = attributes.get("IFA_LOCAL") or attributes["IFA_ADDRESS"]
            interface = ipaddress.ip_interface(f"{address}/{message['prefixlen']}")
            if not interface.is_link_local or interface.version == 4:
                found.add(str(interface))
        return found

    def ensure_routes(self, wanted: Iterable[Route]) -> None:
        """Exactly these static routes that have a gateway, in the main table."""
        target = set(wanted)
        present = self.read_routes()
        refused: list[str] = []
        for verb, routes in (("del", present - target), ("add", target - present)):
            for route in sorted(routes, key=str):
                try:
                    self._change_route(verb, route)
                except NetlinkError as error:
                    refused.append(f"{route.destination} via {route.gateway} ({error})")
        if refused:
            raise HostProblem(f"The kernel refused routes: {'; '.join(refused)}.")

    def _change_route(self, verb: str, route: Route) -> None:
        device = self.need(route.device) if route.device else None
        parameters: dict[str, Any] = {"dst": route.destination, "gateway": route.gateway}
        if device is not None:
            parameters["oif"] = device.index
            # A gateway outside the device's own prefixes is still reached over it.
            parameters["flags"] = 4 if verb == "add" else 0
        family = 6 if ":" in route.destination else 4
        self._netlink.route(verb, family=10 if family == 6 else 2, table=MAIN_TABLE, **parameters)
        through = f"{route.gateway} {route.device or ''}".rstrip()
        self._ledger.changed("%s route %s via %s", verb, route.destination, through)

    def read_routes(self) -> set[Route]:
        """Routes of the main table that have a gateway; for default routes with their device."""
        by_index = {link.index: link.name for link in self._links.values()}
        found: set[Route] = set()
        for family, default in ((2, "0.0.0.0/0"), (10, "::/0")):
            for message in self._netlink.get_routes(family=family, table=MAIN_TABLE):
                attributes = dict(message["attrs"])
                gateway = attributes.get("RTA_GATEWAY")
                if gateway is None or attributes.get("RTA_TABLE", MAIN_TABLE) != MAIN_TABLE:
                    continue
                destination = attributes.get("RTA_DST")
                is_default = destination is None
                cidr = default if is_default else f"{destination}/{message['dst_len']}"
                device = by_index.get(attributes.get("RTA_OIF", 0)) if is_default else None
                found.add(Route(destination=cidr, gateway=gateway, device=device))
        return found

    def ensure_forwarding(self, link: Link, wanted: Iterable[tuple[str, str]]) -> None:
        """Exactly these fixed (MAC address, tunnel endpoint) entries of a vxlan device; learned ones come and go by
        themselves. `FLOOD_MAC` stands for unknown and many receivers and may have several endpoints."""
        target = {(mac.lower(), tunnel_ip) for mac, tunnel_ip in wanted}
        present: set[tuple[str, str]] = set()
        for message in self._netlink.fdb("dump", ifindex=link.index):
            attributes = dict(message["attrs"])
            is_fixed = bool(message["state"] & _NUD_PERMANENT)
            if message["ifindex"] == link.index and is_fixed and "NDA_DST" in attributes:
                present.add((attributes["NDA_LLADDR"], attributes["NDA_DST"]))
        for verb, entries in (("del", present - target), ("append", target - present)):
            for mac, tunnel_ip in sorted(entries):
                self._netlink.fdb(verb, ifindex=link.index, lladdr=mac, dst=tunnel_ip)
                what = (verb, link.name, mac, tunnel_ip)
                self._ledger.changed("%s forwarding entry of %s: %s at %s", *what, level=logging.DEBUG)

    def change_forwarding(self, link: Link, gone: Iterable[tuple[str, str]], new: Iterable[tuple[str, str]]) -> None:
        """Takes fixed entries away and adds others, whatever else there is."""
        for verb, entries in (("del", gone), ("append", new)):
            for mac, tunnel_ip in sorted(entries):
                with self._counted(f"{verb} forwarding entry", link, mac, tunnel_ip):
                    self._netlink.fdb(verb, ifindex=link.index, lladdr=mac, dst=tunnel_ip)

    def change_neighbours(self, link: Link, gone: Iterable[tuple[str, str]], new: Iterable[tuple[str, str]]) -> None:
        """Takes permanent (IP address, MAC address) neighbours away and sets others."""
        for address, mac in sorted(gone):
            with self._counted("del neighbour", link, address, mac):
                self._netlink.neigh("del", ifindex=link.index, dst=address, lladdr=mac)
        for address, mac in sorted(new):
            with self._counted("set neighbour", link, address, mac):
                self._netlink.neigh("replace", ifindex=link.index, dst=address, lladdr=mac, state=_NUD_PERMANENT)

    @contextlib.contextmanager
    def _counted(self, verb: str, link: Link, *what: str) -> Iterator[None]:
        """Counts what is done inside as a change, unless it was so already."""
        try:
            yield
        except NetlinkError as error:
            if error.code not in (errno.EEXIST, errno.ENOENT):
                raise
        else:
            self._ledger.changed("%s of %s: %s", verb, link.name, " ".join(what), level=logging.DEBUG)

    def ensure_neighbours(self, link: Link, wanted: Iterable[tuple[str, str]]) -> None:
        """Exactly these permanent (IP address, MAC address) neighbours; others come and go by themselves."""
        target = {(address, mac.lower()) for address, mac in wanted}
        present: set[tuple[str, str]] = set()
        for family in (socket.AF_INET, socket.AF_INET6):
            for message in self._netlink.neigh("dump", family=family, ifindex=link.index):
                attributes = dict(message["attrs"])
                if (
                    message["ifindex"] == link.index
                    and message["state"] & _NUD_PERMANENT
                    and "NDA_LLADDR" in attributes
                ):
                    present.add((attributes["NDA_DST"], attributes["NDA_LLADDR"]))
        kept = {address for address, _ in target}
        for address, mac in sorted(present - target):
            if address not in kept:
                self._netlink.neigh("del", ifindex=link.index, dst=address, lladdr=mac)
                self._ledger.changed("del neighbour of %s: %s", link.name, address, level=logging.DEBUG)
        for address, mac in sorted(target - present):
            self._netlink.neigh("replace", ifindex=link.index, dst=address, lladdr=mac, state=_NUD_PERMANENT)
            self._ledger.changed("set neighbour of %s: %s is %s", link.name, address, mac, level=logging.DEBUG)


@contextlib.contextmanager
def opened(ledger: Ledger) -> Iterator[LinkTable]:
    """A LinkTable on a netlink socket of its own, in the calling thread's namespace; costs about a millisecond."""
    with IPRoute() as netlink:
        yield LinkTable(netlink, ledger)


def mark_loopback() -> None:
    """Mark the calling thread's namespace as ours and bring its `lo` up."""
    with IPRoute() as netlink:
        netlink.link("set", index=1, group=OWNER_GROUP, state="up")


def is_loopback_marked() -> bool:
    """Whether the calling thread's namespace is ours."""
    with IPRoute() as netlink:
        return any(parse_link(message).is_ours for message in netlink.get_links(1))
