"""Networks: bridges, their ways out of the host, and where other hosts' ports are."""

from collections.abc import Iterable, Mapping

from kilonova.network import parts
from kilonova.network.agent import bridges, links
from kilonova.network.agent.links import LinkTable
from kilonova.network.agent.linux.part import Setting, Work, changed_in, release_devices
from kilonova.network.state import HostState, Station, Touched
from kilonova.network.wanted import BRIDGE_PREFIX, RemotePort, WantedState


class Networks:
    def __init__(self, setting: Setting) -> None:
        self._options = setting.options
        self._is_played = parts.BRIDGE in setting.played
        self._ready: frozenset[str] = frozenset()
        """Networks that the last pass found to be as wanted."""

    def devices(self, wanted: WantedState) -> set[str]:
        return {name for network in wanted.networks for name in bridges.wanted_devices(network, self._options)}

    def release(self, work: Work) -> None:
        if self._is_played:
            release_devices(work, links.OWNER_GROUP)

    def converge(self, work: Work) -> None:
        if not self._is_played:
            self._find(work)
        elif work.touched is None:
            self._make(work)
        else:
            self._change(work, work.touched)
        self._ready = frozenset(work.networks)

    def _find(self, work: Work) -> None:
        """Bridges that another process makes."""
        for network in work.wanted.networks:
            bridge = bridges.existing_bridge(network, work.table)
            if bridge is not None:
                work.networks[network.id] = (network, bridge)

    def _make(self, work: Work) -> None:
        for network in work.wanted.networks:
            with work.ledger.guarding(network.id):
                bridge = bridges.ensure_network(network, work.table, self._options)
                work.networks[network.id] = (network, bridge)

    def _change(self, work: Work, touched: Touched) -> None:
        """Bridges of the networks that were touched; of what is elsewhere only the entries that differ."""
        changed = changed_in(touched, "networks")
        for network in work.wanted.networks:
            bridge = bridges.existing_bridge(network, work.table)
            if network.id in self._ready - changed and bridge is not None:
                work.networks[network.id] = (network, bridge)
                continue
            changed.add(network.id)
            with work.ledger.guarding(network.id):
                whole = work.state.whole_network(network)
                work.networks[network.id] = (network, bridges.ensure_network(whole, work.table, self._options))
        for network_id in changed_in(touched, "peers", "stations") - changed:
            self._change_elsewhere(work, network_id, touched)

    def _change_elsewhere(self, work: Work, network_id: str, touched: Touched) -> None:
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

    def observe(self, table: LinkTable) -> Mapping[str, tuple[str, ...]]:
        own = [link.name for link in table if link.is_ours and link.name.startswith(BRIDGE_PREFIX)]
        return {"networks": tuple(sorted(name.removeprefix(BRIDGE_PREFIX) for name in own))}


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
