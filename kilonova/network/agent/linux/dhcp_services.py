"""DHCP services: a namespace for each network that this host serves, with its servers inside."""

from collections.abc import Mapping
from pathlib import Path

from kilonova.network import parts
from kilonova.network.agent import dhcp, dhcpv6, links, namespaces
from kilonova.network.agent.dhcp_subnets import is_served, served_subnets
from kilonova.network.agent.links import LinkTable
from kilonova.network.agent.linux.part import Setting, Work, changed_in, entries, is_plugged, release_devices
from kilonova.network.agent.linux.verified import Foreign, Verified
from kilonova.network.state import Touched
from kilonova.network.wanted import TAP_PREFIX, WantedNetwork, WantedState, device_name


class DhcpServices:
    def __init__(self, setting: Setting) -> None:
        self._options = setting.options
        self._is_played = parts.DHCP in setting.played
        self._makes_bridges = parts.BRIDGE in setting.played
        self._verified, self._foreign = Verified(setting.options.verify_seconds), Foreign()
        self._up: frozenset[str] = frozenset()
        """Networks whose DHCP the last pass found up."""

    def _directory(self, network_id: str) -> Path:
        return self._options.state_dir / "dhcp" / network_id

    def _directory_v6(self, network_id: str) -> Path:
        return self._options.state_dir / "dhcpv6" / network_id

    def devices(self, wanted: WantedState) -> set[str]:
        served = (each.dhcp for each in wanted.networks if each.dhcp is not None and is_served(each))
        return {device_name(TAP_PREFIX, each.port_id) for each in served}

    def _served(self, wanted: WantedState) -> list[WantedNetwork]:
        return [network for network in wanted.networks if is_served(network)]

    def release(self, work: Work) -> None:
        """Services that are not wanted, and files of services that are gone."""
        if not self._is_played:
            return
        release_devices(work, links.DHCP_GROUP)
        served = {network.id for network in self._served(work.wanted)}
        for network_id in sorted(entries(self._options.state_dir / "dhcpv6") - served):
            with work.ledger.guarding(network_id):
                dhcpv6.release(network_id, self._directory_v6(network_id), work.ledger)
        namespaces.release_debris(dhcp.NAMESPACE_PREFIX)
        known = entries(self._options.state_dir / "dhcp")
        named = {name.removeprefix(dhcp.NAMESPACE_PREFIX) for name in namespaces.names(dhcp.NAMESPACE_PREFIX)}
        for network_id in sorted((known | named) - served):
            if network_id in known or self._foreign.is_ours(dhcp.namespace_name(network_id), work.ledger):
                with work.ledger.guarding(network_id):
                    dhcp.release_dhcp(network_id, self._directory(network_id), work.ledger)

    def converge(self, work: Work) -> None:
        if not self._is_played:
            return
        served = self._served(work.wanted)
        as_before = self._as_before(work.touched)
        for network in served:
            if network.id in as_before:
                work.dhcp_up.append(network.id)
            else:
                self._ensure(work, network if work.touched is None else work.state.whole_network(network))
        self._verified.forget_others([dhcp.namespace_name(each.id) for each in served])
        self._up = frozenset(work.dhcp_up)

    def _as_before(self, touched: Touched | None) -> frozenset[str]:
        """Networks whose DHCP is up, and of which nothing was touched that it hangs on: the network, its leases, or
        routers beside it."""
        if touched is None or (changed_in(touched, "routers", "floating_ips") and not self._options.force_metadata):
            return frozenset()
        return self._up - changed_in(touched, "networks", "leases")

    def _ensure(self, work: Work, network: WantedNetwork) -> None:
        if network.dhcp is None:
            return
        if network.id not in work.networks:
            # Where this process makes the bridge too, its problem is told already.
            if not self._makes_bridges:
                work.ledger.wait(network.id, f"Its bridge is not there yet: {parts.BRIDGE} makes it.")
            return
        _, bridge = work.networks[network.id]
        subnets = self._metadata_subnets(work.wanted, network)
        inputs, name = (network, bridge.name, tuple(subnets)), dhcp.namespace_name(network.id)
        directory, own = self._directory(network.id), self._directory_v6(network.id)
        with work.ledger.guarding(network.id):
            is_joined = is_plugged(work.table, device_name(TAP_PREFIX, network.dhcp.port_id), bridge)
            is_answered = dhcpv6.is_running(own) or not served_subnets(network, 6)
            is_running = is_answered and dhcp.running_pid(directory) is not None
            if not (is_joined and is_running and self._verified.holds(name, inputs)):
                dhcp.ensure_dhcp(network, bridge, work.table, directory, subnets, work.ledger)
                dhcpv6.ensure(network, own, work.ledger)
                self._verified.note(name, inputs)
            work.dhcp_up.append(network.id)

    def _metadata_subnets(self, wanted: WantedState, network: WantedNetwork) -> list[str]:
        """Subnets whose guests are sent to the DHCP port for metadata."""
        subnets = [subnet.id for subnet in served_subnets(network)]
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

    def observe(self, table: LinkTable) -> Mapping[str, tuple[str, ...]]:
        known = entries(self._options.state_dir / "dhcp")
        return {"dhcp": tuple(sorted(each for each in known if dhcp.running_pid(self._directory(each)) is not None))}
