"""An agent's copy of its host's wanted state: sections of small objects, changed one by one as the server tells.

An object lies in a section under an owner and an id: a member of a group under the group and the port's id, a network
under its own id twice. A host is told of owners: all objects that an owner has, and from then on what changes of them.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.network.wanted import (
    DhcpHost,
    RemotePort,
    WantedFloatingIp,
    WantedNetwork,
    WantedPort,
    WantedRouter,
    WantedSecurityGroup,
    WantedState,
)


class Station(Struct, frozen=True):
    """A port of a vxlan network, and where it is."""

    host: str
    tunnel_ip: str
    """Underlay address of its host; empty where that has none."""
    mac_address: str
    ip_addresses: tuple[str, ...]
    has_others: bool = False
    """Whether its guest may have more addresses than these."""


class Objects(Struct):
    """(owner, id, object) of each section. Networks come without what other sections have of them: the DHCP's hosts,
    peers, remote ports; groups without members, routers without floating IPs."""

    networks: list[tuple[str, str, WantedNetwork]] = []
    ports: list[tuple[str, str, WantedPort]] = []
    """Guests' ports on the host, which is their owner."""
    groups: list[tuple[str, str, WantedSecurityGroup]] = []
    """Groups of guests on the host."""
    members: list[tuple[str, str, tuple[str, ...]]] = []
    """Group, port: the port's addresses, and its allowed address pairs."""
    leases: list[tuple[str, str, tuple[DhcpHost, ...]]] = []
    """Network, port; of the networks whose DHCP the host serves."""
    stations: list[tuple[str, str, Station]] = []
    """Network, port; for hosts that want to know where single ports are."""
    peers: list[tuple[str, str, str]] = []
    """Network, host: underlay address of a host that carries the vxlan network."""
    routers: list[tuple[str, str, WantedRouter]] = []
    floating_ips: list[tuple[str, str, WantedFloatingIp]] = []
    """Router, floating IP."""


SECTIONS = Objects.__struct_fields__


class Delta(Struct):
    """The changes for a host until `revision`."""

    revision: int
    is_whole: bool = False
    """Nothing of what was known before holds."""
    left: list[tuple[str, str]] = []
    """(section, owner) of which the host is told no more."""
    entered: list[tuple[str, str]] = []
    """(section, owner) of which everything is told anew, from here on."""
    objects: Objects = msgspec.field(default_factory=Objects)
    gone: list[tuple[str, str, str]] = []
    """(section, owner, id)"""


Key = tuple[str, str, str]
"""(section, owner, id)"""


class Touched:
    """The objects that have changed since a state was looked at last, and their former values."""

    def __init__(self) -> None:
        self.before: dict[Key, Any] = {}
        """None: there was none."""
        self.owners: set[tuple[str, str]] = set()
        """(section, owner) that the host is told of only now, or no more."""

    def __bool__(self) -> bool:
        return bool(self.before or self.owners)

    def note(self, key: Key, before: Any) -> None:
        self.before.setdefault(key, before)

    def of(self, section: str) -> Iterator[tuple[str, str, Any]]:
        """(owner, id, what was there before) of a section."""
        for (name, owner, object_id), before in self.before.items():
            if name == section:
                yield owner, object_id, before


Entries = dict[str, dict[str, Any]]
"""Owner → id → object."""


NOTHING_YET = -1


class HostState:
    def __init__(self, host: str) -> None:
        self.host = host
        self.revision = NOTHING_YET
        self.sections: dict[str, Entries] = {name: {} for name in SECTIONS}

    def get(self, section: str, owner: str, object_id: str) -> Any:
        return self.sections[section].get(owner, {}).get(object_id)

    def of(self, section: str, owner: str) -> Mapping[str, Any]:
        return self.sections[section].get(owner, {})

    @property
    def ports(self) -> Mapping[str, WantedPort]:
        return self.of("ports", self.host)

    def network(self, network_id: str) -> WantedNetwork | None:
        found: WantedNetwork | None = self.get("networks", network_id, network_id)
        return found

    def router(self, router_id: str) -> WantedRouter | None:
        found: WantedRouter | None = self.get("routers", router_id, router_id)
        return found

    def owners(self) -> dict[str, list[str]]:
        """Section → the owners that the host is told of."""
        return {name: list(entries) for name, entries in self.sections.items()}

    def apply(self, delta: Delta, touched: Touched) -> None:
        """Takes in what the server has told; costs what has changed. `touched` notes what was there before."""
        for name, owner in (*delta.left, *delta.entered):
            for object_id, before in self.sections[name].pop(owner, {}).items():
                touched.note((name, owner, object_id), before)
            touched.owners.add((name, owner))
        for name, owner in delta.entered:
            self.sections[name][owner] = {}
        for name, owner, object_id in delta.gone:
            touched.note((name, owner, object_id), self.sections[name].get(owner, {}).pop(object_id, None))
        for name in SECTIONS:
            entries = self.sections[name]
            for owner, object_id, changed in getattr(delta.objects, name):
                mine = entries.setdefault(sys.intern(owner), {})
                touched.note((name, owner, object_id), mine.get(object_id))
                # A process may play many hosts: they have most ids in common.
                mine[sys.intern(object_id)] = changed
        self.revision = delta.revision

    def document(self) -> WantedState:
        """The whole of it, as one document."""
        return WantedState(
            revision=self.revision,
            networks=tuple(self.whole_network(each) for each in self.each("networks")),
            ports=tuple(self.each("ports")),
            security_groups=tuple(self.whole_groups()),
            routers=tuple(self.whole_router(each) for each in self.each("routers")),
        )

    def local(self) -> WantedState:
        """What lies on the host itself, as a document: without what other hosts and leases add to it."""
        groups = self.sections["groups"]
        known = {each: groups.get(each, {}).get(each) for each in sorted(self.sections["members"])}
        return WantedState(
            revision=self.revision,
            networks=tuple(self.each("networks")),
            ports=tuple(self.each("ports")),
            security_groups=tuple(found or WantedSecurityGroup(each, (), ()) for each, found in known.items()),
            routers=tuple(self.whole_router(each) for each in self.each("routers")),
        )

    def whole_groups(self) -> list[WantedSecurityGroup]:
        """The groups with their members."""
        groups = self.sections["groups"]
        return [self._whole_group(each, groups.get(each, {}).get(each)) for each in sorted(self.sections["members"])]

    def each(self, section: str) -> list[Any]:
        """The objects of a section, by their ids."""
        found = {key: each for entries in self.sections[section].values() for key, each in entries.items()}
        return [found[key] for key in sorted(found)]

    def whole_network(self, network: WantedNetwork) -> WantedNetwork:
        """The network with its DHCP's hosts, its peers, and what is known of ports elsewhere."""
        stations = self.sections["stations"].get(network.id)
        remote = [each for _, each in sorted((stations or {}).items()) if self.is_remote(each)]
        dhcp = network.dhcp and msgspec.structs.replace(network.dhcp, hosts=self.leases(network.id))
        return msgspec.structs.replace(
            network,
            dhcp=dhcp,
            peer_tunnel_ips=tuple(sorted(self.peers(network.id))),
            remote_ports=tuple(RemotePort(each.mac_address, each.tunnel_ip, each.ip_addresses) for each in remote),
            are_addresses_known=self.are_addresses_known(network.id),
        )

    def leases(self, network_id: str) -> tuple[DhcpHost, ...]:
        """The hosts of the network's DHCP, by their ports' ids."""
        found = self.of("leases", network_id)
        return tuple(each for port_id in sorted(found) for each in found[port_id])

    def peers(self, network_id: str) -> set[str]:
        """Underlay addresses of the network's other hosts."""
        return {tunnel_ip for host, tunnel_ip in self.of("peers", network_id).items() if host != self.host}

    def is_remote(self, station: Station) -> bool:
        """Whether it is on another host, and can be reached there."""
        return station.host != self.host and bool(station.tunnel_ip)

    def are_addresses_known(self, network_id: str) -> bool:
        """Whether the stations of the network have no other addresses than those that are told."""
        stations = self.sections["stations"].get(network_id)
        return stations is not None and not any(each.has_others for each in stations.values())

    def whole_router(self, router: WantedRouter) -> WantedRouter:
        floating = self.of("floating_ips", router.id)
        return msgspec.structs.replace(router, floating_ips=tuple(floating[each] for each in sorted(floating)))

    def _whole_group(self, group_id: str, group: WantedSecurityGroup | None) -> WantedSecurityGroup:
        members = {address for held in self.of("members", group_id).values() for address in held}
        rules = () if group is None else group.rules
        return WantedSecurityGroup(group_id, rules, tuple(sorted(members)))
