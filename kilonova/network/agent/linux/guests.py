"""Guests' ports: their rules, which stand before a tap is plugged, and their taps."""

import shutil
from collections.abc import Mapping

from kilonova.network import parts
from kilonova.network.agent import bridges
from kilonova.network.agent.commands import run
from kilonova.network.agent.firewall import Changed, Firewall, NetworkBridge, Wanted, observed_groups
from kilonova.network.agent.ledger import HostProblem
from kilonova.network.agent.links import LinkTable
from kilonova.network.agent.linux.part import Setting, Work, owned, sections
from kilonova.network.agent.rulesets import parse_saved
from kilonova.network.state import Touched
from kilonova.network.wanted import TAP_PREFIX, WantedState, device_name

FIREWALL = "firewall"
"""The resource id of problems that concern every guarded port of the host."""


class Guests:
    def __init__(self, setting: Setting) -> None:
        self._is_played = parts.BRIDGE in setting.played
        self._has_firewall = setting.options.firewall_enabled
        self._firewall = Firewall()

    def devices(self, wanted: WantedState) -> set[str]:
        return {device_name(TAP_PREFIX, port.id) for port in wanted.ports}

    def release(self, work: Work) -> None:
        """Unplugs taps; their rules go when the others' are put in place."""
        if self._is_played:
            bridges.release_taps(work.table, work.devices, work.ledger)

    def converge(self, work: Work) -> None:
        if not self._is_played:
            return
        if work.touched is None:
            # Where rules cannot stand, a port that wants to be guarded is not plugged.
            is_guarded = False
            with work.ledger.guarding(FIREWALL):
                self._guard(work)
                is_guarded = True
            self._plug(work, is_guarded=is_guarded)
        else:
            self._change_guard(work, work.touched)
            self._plug(work, is_guarded=True)

    def _guard(self, work: Work) -> None:
        is_wanted = self._has_firewall and bool(work.networks)
        if is_wanted or shutil.which("iptables-save") is not None:
            self._firewall.converge(self._wanted_rules(work), work.ledger)

    def _change_guard(self, work: Work, touched: Touched) -> None:
        if not self._has_firewall:
            return
        if not self._firewall.is_known:
            raise HostProblem("What rules stand has to be read first.")
        members = [
            (owner, before or (), work.state.get("members", owner, key) or ())
            for owner, key, before in touched.of("members")
        ]
        wanted = self._wanted_rules(work)
        has_rules = bool(sections(touched) & {"networks", "ports", "groups"}) or "members" in owned(touched)
        # A network may have become ready only now: its ports are not plugged before their rules stand.
        has_rules = has_rules or not self._firewall.is_made_for(wanted.networks)
        if has_rules or members:
            self._firewall.change(wanted, Changed(has_rules, members), work.ledger)

    def _wanted_rules(self, work: Work) -> Wanted:
        is_wanted = self._has_firewall and bool(work.networks)
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

    def _plug(self, work: Work, *, is_guarded: bool) -> None:
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

    def observe(self, table: LinkTable) -> Mapping[str, tuple[str, ...]]:
        plugged = [link.name.removeprefix(TAP_PREFIX) for link in table if link.is_plugged and link.bridge_index]
        has_iptables = shutil.which("iptables-save") is not None
        groups = observed_groups(parse_saved(run(["iptables-save"]))) if has_iptables else []
        return {"ports": tuple(sorted(plugged)), "groups": tuple(groups)}
