"""Facts that the objects of several sections are made of, read once however many hosts ask.

A fact is kept with the revision at which it was read, and holds until a later revision is about it (`News.changed_at`):
nothing has to be thrown away in time.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct
from sqlalchemy import BindParameter, bindparam, select

from kilonova.kit.db import Tx
from kilonova.kit.db.statements import rows_among
from kilonova.network import agents, concerns, records
from kilonova.network.news import News
from kilonova.network.tables import ACTIVE, addresses, networks, port_bindings, port_security_groups, ports, subnets
from kilonova.network.wanted import FixedIp

FACTS_KEPT = 20_000


class PortFacts(Struct):
    """What of a port objects are made of. The first fields are columns, in their order."""

    id: str
    network_id: str
    mac_address: str
    device_id: str
    device_owner: str
    project_id: str
    admin_state_up: bool
    port_security_enabled: bool
    allowed_address_pairs: list[dict[str, str]]
    dns_name: str
    extra_dhcp_opts: list[dict[str, Any]]
    host: str = ""
    """Of its ACTIVE binding."""
    hosts: list[str] = []
    """Of all its bindings."""
    fixed_ips: list[FixedIp] = []
    """In the order in which the port has them."""
    group_ids: list[str] = []

    @property
    def is_internal(self) -> bool:
        return self.device_owner.startswith("network:")


_COLUMNS = [ports.c[name] for name in PortFacts.__struct_fields__ if name in ports.c]


class Agents(Struct):
    """What the hosts' bridge agents have told of themselves."""

    revision: int
    configurations: Mapping[str, Mapping[str, Any]]
    tunnel_ips: Mapping[str, str]
    """Host → its underlay address."""

    def wants_stations(self, host: str) -> bool:
        return bool(self.configurations.get(host, {}).get("l2_population")) and host in self.tunnel_ips


class Facts:
    def __init__(self, news: News, dns_domain: str) -> None:
        self._news = news
        self.dns_domain = dns_domain
        self._agents = Agents(-1, {}, {})
        self._ports: OrderedDict[str, tuple[int, PortFacts | None]] = OrderedDict()
        """Port id → (revision at which it was read, its facts or None when it was gone)."""
        self._peers: OrderedDict[tuple[str, str], tuple[int, bool]] = OrderedDict()
        """(network id, host) → (revision at which it was read, whether the host carries the network)."""

    async def agents(self, tx: Tx, revision: int) -> Agents:
        known = self._agents
        if not self._news.knows(known.revision) or self._news.has_changed((concerns.AGENTS,), known.revision):
            found = await agents.of_type(tx, agents.BRIDGE_AGENT)
            told = {each.host: each.configurations for each in found}
            self._agents = Agents(revision, told, agents.tunnel_ips(found))
        return self._agents

    async def ports(self, tx: Tx, revision: int, port_ids: Collection[str]) -> dict[str, PortFacts]:
        """Port id → its facts, for those that are there; only what has changed meanwhile is read, by a transaction
        that sees this revision."""
        known = {each: self._ports[each][1] for each in port_ids if self._holds(each)}
        for piece in records.chunks([each for each in port_ids if each not in known]):
            found = await _read_ports(tx, piece)
            for port_id in piece:
                known[port_id] = found.get(port_id)
                _keep(self._ports, port_id, (revision, known[port_id]))
        return {port_id: each for port_id, each in known.items() if each is not None}

    def _holds(self, port_id: str) -> bool:
        if port_id not in self._ports:
            return False
        revision, found = self._ports[port_id]
        # One that is gone does not come back.
        return found is None or self._news.changed_at(concerns.ports_of(found.network_id), port_id) <= revision

    async def carrying(self, tx: Tx, revision: int, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (network id, host) belong together: the host has ports of the network, or serves it."""
        asked = set(pairs)
        known = {each: self._peers[each][1] for each in asked if self._holds_peer(each)}
        for piece in records.chunks([each for each in asked if each not in known], PAIRS_AT_ONCE):
            found = await _read_carrying(tx, piece)
            for pair in piece:
                known[pair] = pair in found
                _keep(self._peers, pair, (revision, known[pair]))
        return {pair for pair, is_carrying in known.items() if is_carrying}

    def _holds_peer(self, pair: tuple[str, str]) -> bool:
        network_id, host = pair
        known = self._peers.get(pair)
        return known is not None and self._news.changed_at(concerns.peers_of(network_id), host) <= known[0]


PAIRS_AT_ONCE = 200


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Beyond the last `FACTS_KEPT`, what was read longest ago goes."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > FACTS_KEPT:
        kept.popitem(last=False)


_IDS: BindParameter[list[str]] = bindparam("ids", expanding=True)
_BOUND = (
    select(port_bindings.c.host, port_bindings.c.status, *_COLUMNS)
    .join(port_bindings, port_bindings.c.port_id == ports.c.id)
    .where(ports.c.id.in_(_IDS))
)
_HELD = (
    select(addresses.c.port_id, addresses.c.ip_address, subnets.c.id, subnets.c.cidr)
    .join(subnets, subnets.c.id == addresses.c.subnet_id)
    .where(addresses.c.port_id.in_(_IDS))
    .order_by(addresses.c.position)
)


async def _read_ports(tx: Tx, port_ids: Collection[str]) -> dict[str, PortFacts]:
    """In three queries, however many there are."""
    found: dict[str, PortFacts] = {}
    ids = list(port_ids)
    for host, status, *row in await tx.tuples(_BOUND, ids=ids):
        port = found.setdefault(row[0], PortFacts(*row))
        port.hosts.append(host)
        if status == ACTIVE:
            port.host = host
    for port_id, ip_address, subnet_id, cidr in await tx.tuples(_HELD, ids=ids):
        if port_id in found:
            length = int(cidr.rpartition("/")[2])
            found[port_id].fixed_ips.append(FixedIp(ip_address, subnet_id, length))
    memberships = rows_among(port_security_groups, "port_id", order="security_group_id")
    for port_id, group_id in await tx.tuples(memberships, port_id=ids):
        if port_id in found:
            found[port_id].group_ids.append(group_id)
    return found


_CARRYING = (
    select(ports.c.network_id, port_bindings.c.host)
    .join(port_bindings, port_bindings.c.port_id == ports.c.id)
    .where(port_bindings.c.host.in_(_IDS))
    .distinct()
)
_SERVING = select(networks.c.id, networks.c.dhcp_host).where(networks.c.id.in_(_IDS))


async def _read_carrying(tx: Tx, pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """These, and others of the same hosts. Looked for by host: a network may have ports without number."""
    asked_networks, asked_hosts = ({pair[place] for pair in pairs} for place in (0, 1))
    found = await tx.tuples(_CARRYING, ids=list(asked_hosts))
    found += await tx.tuples(_SERVING, ids=list(asked_networks))
    return {(network_id, host) for network_id, host in found}
