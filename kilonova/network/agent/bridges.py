"""Networks as bridges, and what is plugged into them: guests' taps, tunnels, physical interfaces.

The rule: a tap belongs to the hypervisor. It is plugged, set and unplugged here, never made or removed.
"""

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from kilonova.network.agent.ledger import HostProblem, Ledger
from kilonova.network.agent.links import FLOOD_MAC, OWN_GROUPS, OWNER_GROUP, PLUGGED_GROUP, Link, LinkTable, Tunnel
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.wanted import BRIDGE_PREFIX, TAP_PREFIX, RemotePort, WantedNetwork, WantedPort, device_name

VXLAN_PREFIX = "vxlan-"
CARRIED = ("flat", "vxlan", "local")
IPV6_SYSCTLS = Path("/proc/sys/net/ipv6/conf")


def bridge_name(network: WantedNetwork, options: LinuxOptions) -> str:
    """The operator's bridge for a mapped physical network, else `brq…`."""
    mapped = options.bridge_mappings.get(network.physical_network or "") if network.network_type == "flat" else None
    return mapped or device_name(BRIDGE_PREFIX, network.id)


def tunnel_name(vni: int) -> str:
    return f"{VXLAN_PREFIX}{vni}"


def has_own_bridge(network: WantedNetwork, options: LinuxOptions) -> bool:
    return bridge_name(network, options) == device_name(BRIDGE_PREFIX, network.id)


def existing_bridge(network: WantedNetwork, links: LinkTable) -> Link | None:
    """The network's bridge as another part's process has made it, or the operator; None: not yet."""
    bridge = links.get(network.bridge or device_name(BRIDGE_PREFIX, network.id))
    return bridge if bridge is not None and bridge.kind == "bridge" else None


def ensure_network(network: WantedNetwork, links: LinkTable, options: LinuxOptions) -> Link:
    """The network's bridge with its way out of the host. Raises HostProblem when the mapping or device is missing, or
    bridges do not carry such a network."""
    if network.network_type not in CARRIED:
        raise HostProblem(f"Linux bridges carry no {network.network_type} network: {', '.join(CARRIED)} are possible.")
    name = bridge_name(network, options)
    if not has_own_bridge(network, options):
        bridge = links.get(name)
        if bridge is None or bridge.kind != "bridge":
            raise HostProblem(
                f"Physical network {network.physical_network} is mapped to {name}, which is not a bridge on this host:"
                f" make it (ip link add {name} type bridge) or change bridge_mappings."
            )
        return bridge
    bridge = links.ensure_bridge(name, network.mtu)
    if network.network_type != "flat":
        _keep_host_out(name)
    bridge = links.ensure_up(bridge)
    if network.network_type == "vxlan":
        _ensure_tunnel(network, bridge, links, options)
    elif network.network_type == "flat":
        _ensure_physical(network, bridge, links, options)
    return bridge


def _keep_host_out(bridge: str) -> None:
    """A tenant's bridge gives the host no IPv6 address that guests could talk to."""
    path = IPV6_SYSCTLS / bridge / "disable_ipv6"
    if path.exists() and path.read_text().strip() != "1":
        path.write_text("1")


def _ensure_tunnel(network: WantedNetwork, bridge: Link, links: LinkTable, options: LinuxOptions) -> None:
    if options.local_ip is None:
        if network.peer_tunnel_ips:
            raise HostProblem("Other hosts carry this vxlan network, but this host has no local_ip to reach them from.")
        return
    if network.segmentation_id is None:
        raise HostProblem("A vxlan network has to carry its number (segmentation_id); this one has none.")
    name = tunnel_name(network.segmentation_id)
    is_answering = options.l2_population and network.are_addresses_known
    tunnel = Tunnel(network.segmentation_id, options.local_ip, options.vxlan_port, is_answering)
    device = links.ensure_vxlan(name, tunnel, network.mtu)
    elsewhere = Elsewhere(frozenset(network.peer_tunnel_ips), network.remote_ports)
    # The way to a neighbour stands before anybody is told of it.
    links.ensure_forwarding(device, _forwarding(elsewhere, options))
    reachable = _reachable(elsewhere, options)
    links.ensure_neighbours(device, wanted_neighbours(network, reachable) if is_answering else [])
    links.ensure_up(links.ensure_member(device, bridge))


def is_told_of_ports(network: WantedNetwork, options: LinuxOptions) -> bool:
    """Whether the network's tunnel has entries for single ports and hosts elsewhere."""
    return network.network_type == "vxlan" and options.local_ip is not None and network.segmentation_id is not None


def tunnel_of(network: WantedNetwork, links: LinkTable) -> Link | None:
    return links.get(tunnel_name(network.segmentation_id or 0))


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What of a network is on other hosts: their underlay addresses, and ports."""

    tunnel_ips: frozenset[str]
    ports: tuple[RemotePort, ...]


def change_elsewhere(
    network: WantedNetwork, device: Link, had: Elsewhere, has: Elsewhere, links: LinkTable, options: LinuxOptions
) -> None:
    """Changes a tunnel's entries one by one: those that it `had`, of what changed, for those that it `has` now."""
    before, after = _forwarding(had, options), _forwarding(has, options)
    # The way to a neighbour stands before anybody is told of it, and goes after.
    links.change_forwarding(device, (), after - before)
    if device.answers_neighbours:
        gone = set(wanted_neighbours(network, _reachable(had, options)))
        new = set(wanted_neighbours(network, _reachable(has, options)))
        kept = {address for address, _ in new}
        links.change_neighbours(device, {each for each in gone - new if each[0] not in kept}, new - gone)
    links.change_forwarding(device, before - after, ())


def _reachable(elsewhere: Elsewhere, options: LinuxOptions) -> list[RemotePort]:
    return [port for port in elsewhere.ports if port.tunnel_ip != options.local_ip]


def _forwarding(elsewhere: Elsewhere, options: LinuxOptions) -> set[tuple[str, str]]:
    entries = {(FLOOD_MAC, peer) for peer in elsewhere.tunnel_ips if peer != options.local_ip}
    if options.l2_population:
        entries.update((port.mac_address, port.tunnel_ip) for port in _reachable(elsewhere, options))
    return entries


def wanted_neighbours(network: WantedNetwork, remote: Iterable[RemotePort]) -> list[tuple[str, str]]:
    """(IP address, MAC address) of what other hosts carry; where there is IPv6, with the address that each guest gives
    itself on the link (RFC 4291, appendix A), for its router is found by that."""
    has_ipv6 = any(subnet.ip_version == 6 for subnet in network.subnets)
    found = []
    for port in remote:
        own = [link_local_address(port.mac_address)] if has_ipv6 else []
        found += [(address, port.mac_address) for address in (*port.ip_addresses, *own)]
    return found


def link_local_address(mac_address: str) -> str:
    octets = bytes.fromhex(mac_address.replace(":", ""))
    identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _ensure_physical(network: WantedNetwork, bridge: Link, links: LinkTable, options: LinuxOptions) -> None:
    physical = network.physical_network
    interface_name = options.physical_interface_mappings.get(physical or "")
    if interface_name is None:
        raise HostProblem(
            f"Nothing on this host is mapped to physical network {physical}:"
            " add it to bridge_mappings or physical_interface_mappings."
        )
    interface = links.get(interface_name)
    if interface is None:
        raise HostProblem(f"The interface {interface_name} of physical network {physical} does not exist on this host.")
    if interface.bridge_index not in (None, 0, bridge.index):
        raise HostProblem(f"The interface {interface_name} is already a member of another bridge.")
    if interface.bridge_index != bridge.index and links.read_addresses(interface):
        raise HostProblem(
            f"The interface {interface_name} carries the host's addresses and would lose them in a bridge:"
            " use an interface without addresses, or a bridge of your own in bridge_mappings."
        )
    links.ensure_up(links.ensure_member(interface, bridge))


def ensure_port(port: WantedPort, bridge: Link, links: LinkTable, mtu: int) -> bool:
    """Plug a guest's tap if the hypervisor has made it; True when it is in its bridge and up."""
    tap = links.get(device_name(TAP_PREFIX, port.id))
    if tap is None:
        return False
    if tap.bridge_index not in (None, 0, bridge.index):
        owner = next((link.name for link in links if link.index == tap.bridge_index), str(tap.bridge_index))
        raise HostProblem(f"The device {tap.name} is a member of {owner}, not of {bridge.name}: it is left there.")
    tap = links.ensure_member(links.ensure_set(tap, mtu=mtu, group=PLUGGED_GROUP), bridge)
    if not port.admin_state_up:
        links.ensure_down(tap)
        return False
    return links.ensure_up(tap).is_up


def release_port(port: WantedPort, links: LinkTable) -> None:
    """Unplug a tap that must not be plugged now, because nothing guards it."""
    tap = links.get(device_name(TAP_PREFIX, port.id))
    if tap is not None and tap.bridge_index:
        links.release_member(tap)


def wanted_devices(network: WantedNetwork, options: LinuxOptions) -> set[str]:
    """Names of the devices that a network itself needs in the host's own namespace."""
    names = {device_name(BRIDGE_PREFIX, network.id)} if has_own_bridge(network, options) else set()
    if network.network_type == "vxlan" and options.local_ip is not None and network.segmentation_id is not None:
        names.add(tunnel_name(network.segmentation_id))
    return names


def release_taps(links: LinkTable, wanted_names: Collection[str], ledger: Ledger) -> None:
    """Unplug guests' taps that are not wanted. What cannot be unplugged is a problem under its own name."""
    own_bridges = {link.index for link in links if link.group == OWNER_GROUP and link.kind == "bridge"}
    for link in links:
        if link.name in wanted_names or link.is_ours or not link.name.startswith(TAP_PREFIX):
            continue
        if link.is_plugged or link.bridge_index in own_bridges:
            with ledger.guarding(link.name):
                links.release_member(link)


def release_unwanted(
    links: LinkTable, wanted_names: Collection[str], ledger: Ledger, groups: Collection[int] = OWN_GROUPS
) -> None:
    """Remove what is ours, of these groups, and not wanted: tunnels and veths, then bridges."""
    ours = [link for link in links if link.group in groups and link.name not in wanted_names]
    for link in sorted(ours, key=lambda link: link.kind == "bridge"):
        with ledger.guarding(link.name):
            links.release(link.name)
