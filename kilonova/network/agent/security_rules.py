"""Security groups and ports compiled to iptables, ebtables and ipset. Pure: a document in, tables and sets out.

The rule: a group's rules are compiled once, into one chain per group and direction, whoever uses it; who is a member
is an ipset. A port adds only its own few rules and a jump per group.

Where it happens on the host (all through br_netfilter):
- raw PREROUTING gives each tenant network a conntrack zone of its own, so that equal addresses never share an entry.
- mangle PREROUTING judges what a guest sends (`kn-e-PORT`), once, wherever the packet goes: over the bridge, to the
  host, or routed by the host.
- filter FORWARD judges what a guest receives (`kn-i-PORT`); for a bridge of the operator's, where the host itself may
  have an address, OUTPUT and routed packets too.
- ebtables nat PREROUTING drops frames with somebody else's MAC address or ARP sender, before the bridge learns them.
"""

import functools
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.rulesets import PROTOCOL_NUMBERS, Chains, Hook, Table, Tables
from kilonova.network.wanted import NAME_ID_LENGTH, TAP_PREFIX, WantedPort, WantedRule, WantedSecurityGroup, device_name

Family = Literal[4, 6]

ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 33, 58, 132, 136

_PORT_MATCHES = {TCP: "tcp", UDP: "udp", DCCP: "dccp", SCTP: "sctp"}

_KNOWN = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
_INVALID = "-m conntrack --ctstate INVALID -j DROP"
_MIDSTREAM = "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP"
"""A connection starts with SYN or not at all. So deleting a conntrack entry cuts its flow, and the host's own
`nf_conntrack_tcp_loose` need not be touched."""

PORTS_RENDERED = 4096
"""Chains of ports that are kept: most ports are as they were the last time."""

_NEIGHBOUR_TYPES_OUT = (131, 132, 133, 135, 136, 143)
_NEIGHBOUR_TYPES_IN = (130, 131, 132, 134, 135, 136)


class UnknownProtocol(ValueError):
    """A rule names a protocol that has no number here."""


@dataclass(frozen=True, slots=True)
class GuardedNetwork:
    """What the compiler has to know of a network on this host."""

    id: str
    bridge: str
    zone: int | None
    """None on a bridge the host itself may have an address on: its own connections have no zone either."""


@dataclass(slots=True)
class CompiledFirewall:
    ipv4: Tables = field(default_factory=dict)
    ipv6: Tables = field(default_factory=dict)
    ethernet: Tables = field(default_factory=dict)
    sets: dict[str, tuple[Family, str]] = field(default_factory=dict)
    """ipset name → the IP version and the group whose members it has."""


def set_name(family: Family, group_id: str) -> str:
    return f"kn-{family}-{group_id[:NAME_ID_LENGTH]}"


def chain_name(kind: str, resource_id: str) -> str:
    return f"kn-{kind}-{resource_id[:NAME_ID_LENGTH]}"


def protocol_number(protocol: str | None) -> int | None:
    """A rule's protocol as a number, None for any. Raises UnknownProtocol."""
    if protocol is None or protocol.lower() in ("any", "0", ""):
        return None
    if protocol.isdigit() and int(protocol) <= 255:
        return int(protocol)
    try:
        return PROTOCOL_NUMBERS[protocol.lower()]
    except KeyError:
        raise UnknownProtocol(protocol) from None


def rule_protocol(rule: WantedRule) -> int | None:
    """Like `protocol_number`, where `icmp` in an IPv6 rule means ICMPv6."""
    number = protocol_number(rule.protocol)
    return ICMPV6 if number == ICMP and rule.ethertype == "IPv6" else number


def render_set_members(addresses: Iterable[str], family: Family) -> frozenset[str]:
    """Members of a `hash:net` set as `ipset save` prints them; the net of length 0 becomes its two halves."""
    members: set[str] = set()
    for address in addresses:
        network = ipaddress.ip_network(address, strict=False)
        if network.version != family:
            continue
        halves = network.subnets() if network.prefixlen == 0 else (network,)
        for half in halves:
            is_single = half.prefixlen == half.max_prefixlen
            members.add(str(half.network_address) if is_single else str(half))
    return frozenset(members)


def _render_ports(rule: WantedRule, number: int) -> str:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return ""
    if number in (ICMP, ICMPV6):
        kind = f"{low}" if high is None else f"{low}/{high}"
        return f"-m icmp --icmp-type {kind} " if number == ICMP else f"-m icmp6 --icmpv6-type {kind} "
    low = low if low is not None else 1
    high = high if high is not None else 65535
    ports = f"{low}" if low == high else f"{low}:{high}"
    if number in _PORT_MATCHES:
        return f"-m {_PORT_MATCHES[number]} --dport {ports} "
    return f"-m multiport --dports {ports} " if number == UDPLITE else ""


def render_rule(rule: WantedRule) -> str:
    """One rule in the form `iptables-save` prints. Raises UnknownProtocol, and ValueError for a bad prefix."""
    family: Family = 4 if rule.ethertype == "IPv4" else 6
    is_ingress = rule.direction == "ingress"
    text = ""
    if rule.remote_ip_prefix is not None:
        remote = ipaddress.ip_network(rule.remote_ip_prefix, strict=False)
        if remote.prefixlen > 0:
            text += f"{'-s' if is_ingress else '-d'} {remote} "
    number = rule_protocol(rule)
    if number is not None:
        text += f"-p {number} "
    if rule.remote_group_id is not None:
        text += f"-m set --match-set {set_name(family, rule.remote_group_id)} {'src' if is_ingress else 'dst'} "
    if number is not None:
        text += _render_ports(rule, number)
    return text + "-j ACCEPT"


def address_pairs(port: WantedPort) -> list[tuple[str, str]]:
    """(address or CIDR, MAC address) that the port may send from."""
    own = [(fixed.ip_address, port.mac_address) for fixed in port.fixed_ips]
    extra = [(pair.ip_address, pair.mac_address or port.mac_address) for pair in port.allowed_address_pairs]
    return sorted({(address, mac.lower()) for address, mac in own + extra})


def link_local(mac_address: str) -> str:
    """The IPv6 link-local address that RFC 4291 derives from a MAC address."""
    octets = [int(part, 16) for part in mac_address.split(":")]
    octets[0] ^= 2
    words = (*octets[:3], 0xFF, 0xFE, *octets[3:])
    return str(ipaddress.IPv6Address(bytes([0xFE, 0x80, 0, 0, 0, 0, 0, 0, *words])))


def _source(address: str, family: Family) -> str | None:
    """`-s …` for one family; empty text for all addresses, None when it is the other family's."""
    network = ipaddress.ip_network(address, strict=False)
    if network.version != family:
        return None
    return f"-s {network} " if network.prefixlen else ""


@functools.lru_cache(PORTS_RENDERED)
def render_spoof_chain(port: WantedPort, family: Family) -> tuple[str, ...]:
    """Return for the port's own addresses with their MAC, drop everything else."""
    pairs = address_pairs(port)
    if family == 6:
        pairs = sorted(
            {
                *pairs,
                *((link_local(mac), mac) for _, mac in pairs),
                (link_local(port.mac_address), port.mac_address.lower()),
            }
        )
    rules = []
    for address, mac in pairs:
        source = _source(address, family)
        if source is not None:
            rules.append(f"{source}-m mac --mac-source {mac} -j RETURN")
    return (*dict.fromkeys(rules), "-j DROP")


def _beginnings(port: WantedPort) -> tuple[str, ...]:
    """None for a guest that moves: here nobody has seen how the connections began that it brings along."""
    return () if port.is_moving else (_MIDSTREAM,)


@functools.lru_cache(PORTS_RENDERED)
def render_egress_chain(port: WantedPort, family: Family) -> tuple[str, ...]:
    """What a guest sends: its DHCP questions, its own addresses only, no DHCP answers, then state, then its groups."""
    spoof = f"-j {chain_name('s', port.id)}"
    groups = tuple(f"-j {chain_name('ge', group)}" for group in sorted(port.security_group_ids))
    if family == 4:
        discover = (
            "-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp "
            f"-m mac --mac-source {port.mac_address.lower()} -m udp --sport 68 --dport 67 -j ACCEPT"
        )
        basics: tuple[str, ...] = (
            discover,
            spoof,
            "-p udp -m udp --sport 67 --dport 68 -j DROP",
            "-p udp -m udp --sport 68 --dport 67 -j ACCEPT",
        )
    else:
        unspecified = tuple(
            f"-s ::/128 -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT" for kind in (131, 135, 143)
        )
        basics = (
            *unspecified,
            spoof,
            "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -j DROP",
            *(f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT" for kind in _NEIGHBOUR_TYPES_OUT),
            "-p udp -m udp --sport 547 --dport 546 -j DROP",
            "-p udp -m udp --sport 546 --dport 547 -j ACCEPT",
        )
    return (*basics, _INVALID, _KNOWN, *_beginnings(port), *groups, "-j DROP")


@functools.lru_cache(PORTS_RENDERED)
def render_ingress_chain(port: WantedPort, family: Family) -> tuple[str, ...]:
    """What a guest receives: DHCP answers and neighbour discovery, then state, then its groups."""
    groups = tuple(f"-j {chain_name('gi', group)}" for group in sorted(port.security_group_ids))
    basics: tuple[str, ...] = ("-p udp -m udp --sport 67 --dport 68 -j ACCEPT",)
    if family == 6:
        basics = (
            *(f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j ACCEPT" for kind in _NEIGHBOUR_TYPES_IN),
            "-s fe80::/10 -p udp -m udp --sport 547 --dport 546 -j ACCEPT",
        )
    return (*basics, _INVALID, _KNOWN, *_beginnings(port), *groups, "-j DROP")


@functools.lru_cache(PORTS_RENDERED)
def render_frame_chain(port: WantedPort) -> tuple[str, ...]:
    """Frames a guest may send at all: its own MAC addresses, its own ARP sender, IPv4, IPv6, and RARP, with which the
    hypervisor announces a guest that has moved. Tagged and unknown frames would pass iptables by: they are dropped."""
    pairs = address_pairs(port)
    macs = sorted({port.mac_address.lower(), *(mac for _, mac in pairs)})
    rules: list[str] = []
    for mac in macs:
        rules += [f"-p {kind} -s {mac} -j RETURN" for kind in ("IPv4", "IPv6", "RARP")]
        rules.append(f"-p ARP -s {mac} --arp-ip-src 0.0.0.0 --arp-mac-src {mac} -j RETURN")
    for address, mac in pairs:
        network = ipaddress.ip_network(address, strict=False)
        if network.version == 4:
            sender = str(network.network_address) if network.prefixlen == 32 else str(network)
            source = f"--arp-ip-src {sender} " if network.prefixlen else ""
            rules.append(f"-p ARP -s {mac} {source}--arp-mac-src {mac} -j RETURN")
    return (*rules, "-j DROP")


def render_group_chains(groups: Iterable[WantedSecurityGroup], family: Family, ledger: Ledger) -> tuple[Chains, Chains]:
    """(ingress chains, egress chains). A rule that cannot be compiled allows nothing and is a problem of its group."""
    ingress: Chains = {}
    egress: Chains = {}
    ethertype = "IPv4" if family == 4 else "IPv6"
    for group in groups:
        texts: dict[str, set[str]] = {"ingress": set(), "egress": set()}
        for rule in group.rules:
            if rule.ethertype != ethertype:
                continue
            try:
                texts[rule.direction].add(render_rule(rule))
            except UnknownProtocol as error:
                ledger.problem(group.id, f"A rule names the protocol {error}, which is not known; it allows nothing.")
            except ValueError as error:
                ledger.problem(group.id, f"A rule has a remote prefix that is no network ({error}); it allows nothing.")
        ingress[chain_name("gi", group.id)] = tuple(sorted(texts["ingress"]))
        egress[chain_name("ge", group.id)] = tuple(sorted(texts["egress"]))
    return ingress, egress


def named_sets(
    used: Iterable[WantedSecurityGroup], known: Mapping[str, WantedSecurityGroup], ledger: Ledger
) -> dict[str, tuple[Family, str]]:
    """The sets that the used groups' rules name; one of a group that the host is not told of is empty."""
    sets: dict[str, tuple[Family, str]] = {}
    for group in used:
        for rule in group.rules:
            remote = rule.remote_group_id
            if remote is None:
                continue
            if remote not in known:
                ledger.problem(group.id, f"A rule names the remote group {remote}, which is not known on this host.")
            sets[set_name(4, remote)] = (4, remote)
            sets[set_name(6, remote)] = (6, remote)
    return sets


def _render_tables(
    family: Family,
    networks: list[GuardedNetwork],
    ports: list[WantedPort],
    groups: tuple[Chains, Chains],
) -> Tables:
    """The raw, mangle and filter tables of one IP version."""
    ingress, egress = groups
    zones: list[str] = []
    forward: list[str] = []
    output: list[str] = []
    send: list[str] = []
    for network in networks:
        mine = [port for port in ports if port.network_id == network.id]
        if network.zone is not None:
            zones.append(f"-i {network.bridge} -j CT --zone {network.zone}")
        if mine:
            send.append(f"-i {network.bridge} -j {chain_name('from', network.id)}")
            taps = [(device_name(TAP_PREFIX, port.id), port) for port in mine]
            egress[chain_name("from", network.id)] = tuple(
                f"-m physdev --physdev-in {tap} -j {chain_name('e', port.id)}" for tap, port in taps
            )
            ingress[chain_name("to", network.id)] = tuple(
                f"-m physdev --physdev-out {tap} --physdev-is-bridged -j {chain_name('i', port.id)}"
                for tap, port in taps
            )
            forward.append(f"-i {network.bridge} -j {chain_name('to', network.id)}")
        if mine and network.zone is None:
            ingress[chain_name("host", network.id)] = tuple(
                f"-d {ipaddress.ip_network(fixed.ip_address)} -j {chain_name('i', port.id)}"
                for port in mine
                for fixed in port.fixed_ips
                if ipaddress.ip_address(fixed.ip_address).version == family
            )
            routed = f"-o {network.bridge} -m physdev ! --physdev-is-bridged -j {chain_name('host', network.id)}"
            forward.append(routed)
            output.append(f"-o {network.bridge} -j {chain_name('host', network.id)}")
        forward.append(f"-i {network.bridge} -m physdev --physdev-is-bridged -j ACCEPT")
    for port in ports:
        egress[chain_name("e", port.id)] = render_egress_chain(port, family)
        egress[chain_name("s", port.id)] = render_spoof_chain(port, family)
        ingress[chain_name("i", port.id)] = render_ingress_chain(port, family)
    filter_table = Table({**ingress, "kn-forward": tuple(forward)}, (Hook("FORWARD", "kn-forward"),))
    if output:
        filter_table.chains["kn-output"] = tuple(output)
        filter_table.hooks = (*filter_table.hooks, Hook("OUTPUT", "kn-output"))
    tables = {"filter": filter_table}
    if send:
        tables["mangle"] = Table({**egress, "kn-egress": tuple(send)}, (Hook("PREROUTING", "kn-egress", "last"),))
    if zones:
        tables["raw"] = Table({"kn-zones": tuple(zones)}, (Hook("PREROUTING", "kn-zones"),))
    return tables


def render_frame_tables(ports: list[WantedPort]) -> Tables:
    """The ebtables part."""
    if not ports:
        return {}
    taps = [(device_name(TAP_PREFIX, port.id), port) for port in ports]
    chains: Chains = {"kn-guard": tuple(f"-i {tap} -j {chain_name('a', port.id)}" for tap, port in taps)}
    for port in ports:
        chains[chain_name("a", port.id)] = render_frame_chain(port)
    return {"nat": Table(chains, (Hook("PREROUTING", "kn-guard"),))}


def render_firewall(
    networks: Iterable[GuardedNetwork],
    ports: Iterable[WantedPort],
    groups: Iterable[WantedSecurityGroup],
    ledger: Ledger,
) -> CompiledFirewall:
    """Compile everything of this host. Without networks there is nothing, not even an empty chain."""
    sorted_networks = sorted(networks, key=lambda network: network.id)
    if not sorted_networks:
        return CompiledFirewall()
    present = {network.id for network in sorted_networks}
    guarded = sorted(
        (port for port in ports if port.port_security_enabled and port.network_id in present), key=lambda p: p.id
    )
    known = {group.id: group for group in groups}
    used: dict[str, WantedSecurityGroup] = {}
    for port in guarded:
        for group_id in port.security_group_ids:
            if group_id not in known:
                ledger.problem(port.id, f"Its security group {group_id} is not known on this host; it allows nothing.")
            used[group_id] = known.get(group_id, WantedSecurityGroup(id=group_id, rules=(), member_ips=()))
    in_use = [used[group_id] for group_id in sorted(used)]
    return CompiledFirewall(
        ipv4=_render_tables(4, sorted_networks, guarded, render_group_chains(in_use, 4, ledger)),
        ipv6=_render_tables(6, sorted_networks, guarded, render_group_chains(in_use, 6, ledger)),
        ethernet=render_frame_tables(guarded),
        sets=named_sets(in_use, known, ledger),
    )
