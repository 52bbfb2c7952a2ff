"""The real driver: Linux bridges, namespaces, iptables and dnsmasq, converged in one pass in a thread.

The order of a pass is the design: what is not wanted is unplugged before its rules go, rules stand before a tap is
plugged, and a router or DHCP service comes after the bridge it needs. A pass over the whole host believes nothing: the
host itself says what is there. A pass over what was touched trusts what the last one has seen of the rest; where the
host turns out to be otherwise, it becomes a pass over the whole.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from kilonova.network import parts
from kilonova.network.agent import advertisements, bridges, dhcp, dhcpv6, links, namespaces, routers
from kilonova.network.agent.commands import run
from kilonova.network.agent.dhcp import METADATA_ADDRESS
from kilonova.network.agent.driver import Observation
from kilonova.network.agent.firewall import Changed, Firewall, NetworkBridge, Wanted, observed_groups
from kilonova.network.agent.ledger import Announcement, HostProblem, Ledger
from kilonova.network.agent.links import Link, LinkTable
from kilonova.network.agent.metadata import MetadataResponder, Place
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.agent.ports import is_own_namespace
from kilonova.network.agent.router_rules import METADATA_PORT
from kilonova.network.agent.routers import router_ports
from kilonova.network.agent.rulesets import parse_saved
from kilonova.network.state import HostState, Station, Touched
from kilonova.network.wanted import (
    BRIDGE_PREFIX,
    TAP_PREFIX,
    ConvergeReport,
    RemotePort,
    WantedNetwork,
    WantedRouter,
    WantedState,
    device_name,
)

log = logging.getLogger(__name__)

FIREWALL = "firewall"
"""The resource id of problems that concern every guarded port of the host."""

ANNOUNCE_AGAIN_SECONDS = (1.0, 1.5)
"""Pauses before new addresses of routers are announced again: a bridge hears of a new port's carrier a second late."""


LOCAL = frozenset({"networks", "ports", "groups", "routers", "floating_ips"})
"""Sections of what lies on the host itself."""


@dataclass(slots=True)
class _Pass:
    """What one pass works with."""

    wanted: WantedState
    state: HostState
    ledger: Ledger
    table: LinkTable
    touched: Touched | None = None
    """None: everything is looked at."""
    networks: dict[str, tuple[WantedNetwork, Link]] = field(default_factory=dict)
    """Networks whose bridge is ready."""
    ports_up: list[str] = field(default_factory=list)
    dhcp_up: list[str] = field(default_factory=list)
    routers_up: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Verified:
    """That a namespace was found or made as wanted, and when."""

    inputs: Hashable
    inode: int | None
    at: float


_GROUPS = {parts.BRIDGE: links.OWNER_GROUP, parts.DHCP: links.DHCP_GROUP, parts.L3: links.ROUTER_GROUP}


class LinuxDriver:
    """See `driver.NetworkDriver`. `played` are the parts it makes; the others' things are left alone, and waited for
    where its own need them."""

    def __init__(self, options: LinuxOptions, played: Collection[str] = parts.ALL) -> None:
        self._options = options
        self._played = frozenset(played)
        self._groups = frozenset(group for part, group in _GROUPS.items() if part in self._played)
        self._lock = asyncio.Lock()
        self._metadata = MetadataResponder(options)
        self._firewall = Firewall()
        self._seen: HostState | None = None
        """The state to which the host was made, but for what has been touched since; None: nobody knows."""
        self._places: list[Place] = []
        self._ready: frozenset[str] = frozenset()
        """Networks that the last pass found to be as wanted."""
        self._up: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        """Networks whose DHCP the last pass found up, and routers."""
        self._verified: dict[str, _Verified] = {}
        self._foreign: dict[str, int | None] = {}
        self._repeats: list[asyncio.Task[None]] = []

    async def converge(self, state: HostState, touched: Touched | None = None) -> ConvergeReport:
        async with self._lock:
            ledger = Ledger()
            is_partial = touched is not None and self._seen is state
            report = await asyncio.to_thread(self._change, state, touched or Touched(), ledger) if is_partial else None
            if report is None:
                is_partial, touched, self._seen = False, None, None
                report = await asyncio.to_thread(self._converge, state, ledger)
                self._seen = state
            if touched is None:
                self._metadata.know(state)
            else:
                self._metadata.know_changed(state, touched)
            if touched is None or _sections(touched) & LOCAL:
                self._places = await asyncio.to_thread(self._find_places, state.local(), ledger)
            if ledger.announcements:
                self._repeats.append(asyncio.create_task(self._repeat(tuple(ledger.announcements))))
            failed = await self._metadata.converge(self._places)
            report.problems += tuple((place.namespace.partition("-")[2], sentence) for place, sentence in failed)
            report.waiting = tuple(ledger.waiting)
            return report

    async def observe(self) -> Observation:
        async with self._lock:
            return await asyncio.to_thread(self._observe)

    async def _repeat(self, announcements: tuple[Announcement, ...]) -> None:
        for pause_seconds in ANNOUNCE_AGAIN_SECONDS:
            await asyncio.sleep(pause_seconds)
            await asyncio.to_thread(routers.announce_again, announcements)
        self._repeats = [task for task in self._repeats if task is not asyncio.current_task()]

    async def close(self) -> None:
        async with self._lock:
            for task in self._repeats:
                task.cancel()
            await asyncio.gather(*self._repeats, return_exceptions=True)
            self._repeats = []
            await self._metadata.close()

    async def remove_everything(self) -> None:
        """Also what runs with other options have left: the host's marks say what is ours. Raises HostProblem when
        something of ours could not be removed."""
        report = await self.converge(HostState(""))
        await self.close()
        if report.problems:
            raise HostProblem(" ".join(sentence for _, sentence in report.problems))

    # Everything below runs in a thread.

    def _converge(self, state: HostState, ledger: Ledger) -> ConvergeReport:
        with links.opened(ledger) as table:
            work = _Pass(state.document(), state, ledger, table)
            self._release(work)
            self._converge_networks(work)
            if parts.BRIDGE in self._played:
                self._converge_ports(work)
            served, routed = self._served(work.wanted), self._routed(work.wanted)
            for network in served:
                self._converge_dhcp(work, network)
            for router in routed:
                self._converge_router(work, router)
            for key in self._verified.keys() - {each.id for each in served} - {each.id for each in routed}:
                del self._verified[key]
        return self._report(work)

    def _change(self, state: HostState, touched: Touched, ledger: Ledger) -> ConvergeReport | None:
        """Makes what was touched. None: the host is not as it was left, and has to be looked through."""
        if parts.BRIDGE in self._played and self._options.firewall_enabled and not self._firewall.is_known:
            return None
        with links.opened(ledger) as table:
            work = _Pass(state.local(), state, ledger, table, touched)
            if _sections(touched) & LOCAL:
                self._release(work)
            try:
                self._change_networks(work)
                if parts.BRIDGE in self._played:
                    self._change_firewall(work)
                    self._plug_ports(work, is_guarded=True)
            except (HostProblem, NetlinkError, OSError) as error:
                log.info("changes alone do not do, the whole host is looked through: %s", error)
                return None
            self._change_services(work)
        return self._report(work)

    def _change_networks(self, work: _Pass) -> None:
        """Bridges of the networks that were touched; of what is elsewhere only the entries that differ."""
        touched = work.touched or Touched()
        changed = {owner for owner, _, _ in touched.of("networks")}
        for network in work.wanted.networks:
            bridge = bridges.existing_bridge(network, work.table)
            if network.id in self._ready - changed and bridge is not None:
                work.networks[network.id] = (network, bridge)
            elif parts.BRIDGE in self._played:
                changed.add(network.id)
                with work.ledger.guarding(network.id):
                    whole = work.state.whole_network(network)
                    work.networks[network.id] = (network, bridges.ensure_network(whole, work.table, self._options))
            elif bridge is not None:
                work.networks[network.id] = (network, bridge)
        if parts.BRIDGE in self._played:
            for network_id in {owner for name in ("peers", "stations") for owner, _, _ in touched.of(name)} - changed:
                self._change_elsewhere(work, network_id, touched)

    def _change_elsewhere(self, work: _Pass, network_id: str, touched: Touched) -> None:
        state, network = work.state, work.state.network(network_id)
        if network is None or not bridges.is_told_of_ports(network, self._options):
            return
        stations = [(key, before) for owner, key, before in touched.of("stations") if owner == network_id]
        peers = [(key, before) for owner, key, before in touched.of("peers") if owner == network_id]
        now = [state.get("stations", network_id, key) for key, _ in stations]
        tunnel = bridges.tunnel_of(network, work.table)
        is_entered = ("stations", network_id) in touched.owners
        if tunnel is None or is_entered or any(each and each.has_others for each in (*now, *(b for _, b in stations))):
            # Whether the tunnel answers for neighbours may be another now, and is part of the device.
            bridges.ensure_network(state.whole_network(network), work.table, self._options)
            return
        had = _elsewhere(state, peers, [before for _, before in stations])
        has = _elsewhere(state, [(key, state.get("peers", network_id, key)) for key, _ in peers], now)
        bridges.change_elsewhere(network, tunnel, had, has, work.table, self._options)

    def _change_firewall(self, work: _Pass) -> None:
        if not self._options.firewall_enabled:
            return
        touched, state = work.touched or Touched(), work.state
        members = [
            (owner, before or (), state.get("members", owner, key) or ())
            for owner, key, before in touched.of("members")
        ]
        wanted = self._wanted_rules(work)
        has_rules = bool(_sections(touched) & {"networks", "ports", "groups"}) or "members" in _owned(touched)
        # A network may have become ready only now: its ports are not plugged before their rules stand.
        has_rules = has_rules or not self._firewall.is_made_for(wanted.networks)
        if has_rules or members:
            self._firewall.change(wanted, Changed(has_rules, members), work.ledger)

    def _change_services(self, work: _Pass) -> None:
        """DHCP and routers that were touched, or have a network that was; the others are as they were."""
        touched = work.touched or Touched()
        networks = {owner for owner, _, _ in touched.of("networks")}
        leases = {owner for owner, _, _ in touched.of("leases")}
        routed = {owner for name in ("routers", "floating_ips") for owner, _, _ in touched.of(name)}
        for network in self._served(work.wanted):
            is_as_before = network.id in self._up[0] and network.id not in networks | leases
            if is_as_before and (self._options.force_metadata or not routed):
                work.dhcp_up.append(network.id)
            else:
                self._converge_dhcp(work, work.state.whole_network(network))
        for router in self._routed(work.wanted):
            joined = {port.network_id for port in router_ports(router)}
            if router.id in self._up[1] and router.id not in routed and not joined & networks:
                work.routers_up.append(router.id)
            else:
                self._converge_router(work, router)

    def _report(self, work: _Pass) -> ConvergeReport:
        self._ready = frozenset(work.networks)
        self._up = (frozenset(work.dhcp_up), frozenset(work.routers_up))
        return ConvergeReport(
            revision=work.wanted.revision,
            changes=work.ledger.changes,
            ports_up=tuple(sorted(work.ports_up)),
            dhcp_up=tuple(sorted(work.dhcp_up)),
            routers_up=tuple(sorted(work.routers_up)),
            problems=tuple(work.ledger.problems),
        )

    def _release(self, work: _Pass) -> None:
        """Takes away what is not wanted any more."""
        devices = self._wanted_devices(work.wanted)
        if parts.BRIDGE in self._played:
            bridges.release_taps(work.table, devices, work.ledger)
        bridges.release_unwanted(work.table, devices, work.ledger, self._groups)
        self._release_routers(work)
        self._release_dhcp(work)

    def _dhcp_directory(self, network_id: str) -> Path:
        return self._options.state_dir / "dhcp" / network_id

    def _dhcpv6_directory(self, network_id: str) -> Path:
        return self._options.state_dir / "dhcpv6" / network_id

    def _advertisements_directory(self, router_id: str) -> Path:
        return self._options.state_dir / "advertisements" / router_id

    def _wanted_devices(self, wanted: WantedState) -> set[str]:
        names = {device_name(TAP_PREFIX, port.id) for port in wanted.ports}
        for network in wanted.networks:
            names |= bridges.wanted_devices(network, self._options)
            if network.dhcp is not None and dhcp.is_served(network):
                names.add(device_name(TAP_PREFIX, network.dhcp.port_id))
        for router in wanted.routers:
            if router.admin_state_up:
                names |= {device_name(TAP_PREFIX, port.port_id) for port in router_ports(router)}
        return names

    def _served(self, wanted: WantedState) -> list[WantedNetwork]:
        """Networks whose DHCP this process makes here."""
        if parts.DHCP not in self._played:
            return []
        return [network for network in wanted.networks if dhcp.is_served(network)]

    def _routed(self, wanted: WantedState) -> list[WantedRouter]:
        return [router for router in wanted.routers if router.admin_state_up and parts.L3 in self._played]

    def _release_routers(self, work: _Pass) -> None:
        if parts.L3 not in self._played:
            return
        routed = {router.id for router in self._routed(work.wanted)}
        for router_id in sorted(_entries(self._options.state_dir / "advertisements") - routed):
            with work.ledger.guarding(router_id):
                advertisements.release(self._advertisements_directory(router_id), work.ledger)
        namespaces.release_debris(routers.NAMESPACE_PREFIX)
        for name in namespaces.names(routers.NAMESPACE_PREFIX):
            router_id = name.removeprefix(routers.NAMESPACE_PREFIX)
            if router_id not in routed and self._is_ours(name, work.ledger):
                with work.ledger.guarding(router_id):
                    routers.release_router(router_id, work.ledger)

    def _release_dhcp(self, work: _Pass) -> None:
        """Services that are not wanted, and files of services that are gone."""
        if parts.DHCP not in self._played:
            return
        served = {network.id for network in self._served(work.wanted)}
        for network_id in sorted(_entries(self._options.state_dir / "dhcpv6") - served):
            with work.ledger.guarding(network_id):
                dhcpv6.release(network_id, self._dhcpv6_directory(network_id), work.ledger)
        namespaces.release_debris(dhcp.NAMESPACE_PREFIX)
        known = _entries(self._options.state_dir / "dhcp")
        named = {name.removeprefix(dhcp.NAMESPACE_PREFIX) for name in namespaces.names(dhcp.NAMESPACE_PREFIX)}
        for network_id in sorted((known | named) - served):
            if network_id in known or self._is_ours(dhcp.namespace_name(network_id), work.ledger):
                with work.ledger.guarding(network_id):
                    dhcp.release_dhcp(network_id, self._dhcp_directory(network_id), work.ledger)

    def _is_ours(self, name: str, ledger: Ledger) -> bool:
        """Whether a namespace carries our mark; one of somebody else's is looked into only once."""
        inode = namespaces.inode(name)
        if inode is None or self._foreign.get(name) == inode:
            return False
        with ledger.guarding(name):
            if is_own_namespace(name):
                return True
            self._foreign[name] = inode
        return False

    def _converge_networks(self, work: _Pass) -> None:
        if parts.BRIDGE not in self._played:
            for network in work.wanted.networks:
                bridge = bridges.existing_bridge(network, work.table)
                if bridge is not None:
                    work.networks[network.id] = (network, bridge)
            return
        for network in work.wanted.networks:
            with work.ledger.guarding(network.id):
                bridge = bridges.ensure_network(network, work.table, self._options)
                work.networks[network.id] = (network, bridge)

    def _converge_ports(self, work: _Pass) -> None:
        """Rules first. Where they cannot stand, a port that wants to be guarded is not plugged."""
        is_guarded = False
        with work.ledger.guarding(FIREWALL):
            self._converge_firewall(work)
            is_guarded = True
        self._plug_ports(work, is_guarded=is_guarded)

    def _plug_ports(self, work: _Pass, *, is_guarded: bool) -> None:
        for port in work.wanted.ports:
            with work.ledger.guarding(port.id):
                if port.network_id not in work.networks:
                    raise HostProblem(f"Its network {port.network_id} is not ready on this host.")
                if port.port_security_enabled and not is_guarded:
                    bridges.release_port(port, work.table)
                    raise HostProblem("Its rules could not be put in place, so it is not plugged.")
                network, bridge = work.networks[port.network_id]
                if bridges.ensure_port(port, bridge, work.table, network.mtu):
                    work.ports_up.append(port.id)

    def _converge_firewall(self, work: _Pass) -> None:
        is_wanted = self._options.firewall_enabled and bool(work.networks)
        if is_wanted or shutil.which("iptables-save") is not None:
            self._firewall.converge(self._wanted_rules(work), work.ledger)

    def _wanted_rules(self, work: _Pass) -> Wanted:
        is_wanted = self._options.firewall_enabled and bool(work.networks)
        carried = [
            NetworkBridge(network.id, bridge.name, has_zone=network.network_type != "flat")
            for network, bridge in work.networks.values()
        ]
        return Wanted(
            networks=carried if is_wanted else [],
            ports=list(work.wanted.ports) if is_wanted else [],
            groups=list(work.wanted.security_groups) if is_wanted else [],
            members=work.state.sections["members"],
            whole_groups=work.state.whole_groups,
        )

    def _is_verified(self, key: str, inputs: Hashable, namespace: str) -> bool:
        known = self._verified.get(key)
        return (
            known is not None
            and known.inputs == inputs
            and known.inode == namespaces.inode(namespace)
            and time.monotonic() - known.at < self._options.verify_seconds
        )

    def _note_verified(self, key: str, inputs: Hashable, namespace: str) -> None:
        self._verified[key] = _Verified(inputs, namespaces.inode(namespace), time.monotonic())

    def _converge_dhcp(self, work: _Pass, network: WantedNetwork) -> None:
        if network.dhcp is None:
            return
        if network.id not in work.networks:
            # Where this process makes the bridge too, its problem is told already.
            if parts.BRIDGE not in self._played:
                work.ledger.wait(network.id, f"Its bridge is not there yet: {parts.BRIDGE} makes it.")
            return
        _, bridge = work.networks[network.id]
        subnets = self._metadata_subnets(work.wanted, network)
        inputs = (network, bridge.name, tuple(subnets))
        name = dhcp.namespace_name(network.id)
        directory = self._dhcp_directory(network.id)
        with work.ledger.guarding(network.id):
            is_plugged = _is_plugged(work.table, device_name(TAP_PREFIX, network.dhcp.port_id), bridge)
            own = self._dhcpv6_directory(network.id)
            is_answered = dhcpv6.is_running(own) or not dhcp.served_subnets(network, 6)
            is_running = is_answered and dhcp.running_pid(directory) is not None
            if not (is_plugged and is_running and self._is_verified(network.id, inputs, name)):
                dhcp.ensure_dhcp(network, bridge, work.table, directory, subnets, work.ledger)
                dhcpv6.ensure(network, own, work.ledger)
                self._note_verified(network.id, inputs, name)
            work.dhcp_up.append(network.id)

    def _metadata_subnets(self, wanted: WantedState, network: WantedNetwork) -> list[str]:
        """Subnets whose guests are sent to the DHCP port for metadata."""
        subnets = [subnet.id for subnet in dhcp.served_subnets(network)]
        if self._options.force_metadata:
            return subnets
        routed = {
            fixed.subnet_id
            for router in wanted.routers
            if router.admin_state_up
            for interface in router.interfaces
            for fixed in interface.fixed_ips
        }
        return [subnet for subnet in subnets if subnet not in routed]

    def _converge_router(self, work: _Pass, router: WantedRouter) -> None:
        ports = router_ports(router)
        carried = {port.network_id: work.networks.get(port.network_id) for port in ports}
        told = advertisements.advertised(router, {key: found[0] for key, found in carried.items() if found})
        seen = tuple((key, found and (found[0].mtu, found[1].name)) for key, found in carried.items())
        inputs, name = (router, seen, told), routers.namespace_name(router.id)
        directory = self._advertisements_directory(router.id)
        with work.ledger.guarding(router.id):
            is_plugged = all(
                found is not None and _is_plugged(work.table, device_name(TAP_PREFIX, port.port_id), found[1])
                for port, found in ((port, carried[port.network_id]) for port in ports)
            )
            is_heard = not told or advertisements.is_running(directory)
            if not (is_plugged and is_heard and self._is_verified(router.id, inputs, name)):
                try:
                    routers.ensure_router(router, work.networks, work.table, work.ledger)
                except routers.NetworksNotReady as problem:
                    if parts.BRIDGE in self._played:
                        raise
                    work.ledger.wait(router.id, str(problem))
                    return
                advertisements.ensure(name, told, directory, work.ledger)
                self._note_verified(router.id, inputs, name)
            work.routers_up.append(router.id)

    def _find_places(self, wanted: WantedState, ledger: Ledger) -> list[Place]:
        """Where metadata has to be answered: in every namespace of ours that exists."""
        if parts.METADATA not in self._played:
            return []
        found: list[Place] = []

        def look(part: str, name: str, address: str, port: int, networks: tuple[str, ...]) -> None:
            inode = namespaces.inode(name)
            if inode is not None:
                found.append(Place(name, inode, address, port, networks))
            elif part not in self._played:
                ledger.wait(name.partition("-")[2], f"The namespace {name} is not there yet: {part} makes it.")

        for network in wanted.networks:
            if dhcp.is_served(network):
                look(parts.DHCP, dhcp.namespace_name(network.id), METADATA_ADDRESS, 80, (network.id,))
        for router in wanted.routers:
            if router.admin_state_up:
                networks = tuple(sorted({interface.network_id for interface in router.interfaces}))
                name = routers.namespace_name(router.id)
                look(parts.L3, name, "0.0.0.0", METADATA_PORT, networks)  # noqa: S104 - in the namespace
        return found

    def _observe(self) -> Observation:
        with links.opened(Ledger()) as table:
            ports = [link.name.removeprefix(TAP_PREFIX) for link in table if link.is_plugged and link.bridge_index]
            own_bridges = [link.name for link in table if link.is_ours and link.name.startswith(BRIDGE_PREFIX)]
        ledger = Ledger()
        routed = [name for name in namespaces.names(routers.NAMESPACE_PREFIX) if self._is_ours(name, ledger)]
        directory = self._options.state_dir / "dhcp"
        served = _entries(directory)
        has_iptables = shutil.which("iptables-save") is not None
        groups = observed_groups(parse_saved(run(["iptables-save"]))) if has_iptables else []
        return Observation(
            ports=tuple(sorted(ports)),
            networks=tuple(sorted(name.removeprefix(BRIDGE_PREFIX) for name in own_bridges)),
            dhcp=tuple(sorted(each for each in served if dhcp.running_pid(directory / each) is not None)),
            routers=tuple(name.removeprefix(routers.NAMESPACE_PREFIX) for name in routed),
            groups=tuple(groups),
        )


def _sections(touched: Touched) -> set[str]:
    """The sections of which something was touched."""
    return {name for name, _, _ in touched.before} | _owned(touched)


def _owned(touched: Touched) -> set[str]:
    """The sections of which the host has other owners."""
    return {name for name, _ in touched.owners}


def _elsewhere(
    state: HostState, peers: Iterable[tuple[str, str | None]], stations: Iterable[Station | None]
) -> bridges.Elsewhere:
    return bridges.Elsewhere(
        frozenset(tunnel_ip for host, tunnel_ip in peers if tunnel_ip and host != state.host),
        tuple(
            RemotePort(each.mac_address, each.tunnel_ip, each.ip_addresses)
            for each in stations
            if each is not None and state.is_remote(each)
        ),
    )


def _entries(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.is_dir() else set()


def _is_plugged(table: LinkTable, name: str, bridge: Link) -> bool:
    link = table.get(name)
    return link is not None and link.is_up and link.bridge_index == bridge.index
