"""Put the compiled rules on the host: see with one `*-save` each, apply only what differs, one batch per tool.

Order matters. Sets come before the rules that name them and go after; frames are guarded before addresses; flows are
cut last, when the rules that refuse them stand. A failure leaves the former rules standing: a batch is applied whole.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kilonova.network.agent import flows
from kilonova.network.agent.commands import run
from kilonova.network.agent.ledger import HostProblem, Ledger
from kilonova.network.agent.rulesets import Plan, SavedTables, Tables, parse_saved, plan_restore
from kilonova.network.agent.security_rules import GuardedNetwork, render_firewall
from kilonova.network.wanted import WantedPort, WantedSecurityGroup

BRIDGE_SYSCTLS = Path("/proc/sys/net/bridge")
LAST_ZONE = 65535

_NARROWING_CHAINS = ("kn-gi-", "kn-ge-", "kn-i-", "kn-e-", "kn-s-")


@dataclass(frozen=True, slots=True)
class NetworkBridge:
    """A network of this host, and whether its bridge is the agent's own or the operator's."""

    id: str
    bridge: str
    has_zone: bool


def pick_zones(networks: Iterable[NetworkBridge], taken: dict[str, int]) -> dict[str, int]:
    """Bridge → conntrack zone. One that a bridge has already stays, for changing it would cut every flow."""
    zones = {network.bridge: taken[network.bridge] for network in networks if network.bridge in taken}
    used = set(zones.values())
    for network in sorted(networks, key=lambda network: network.id):
        if network.bridge in zones or not network.has_zone:
            continue
        zone = zlib.crc32(network.id.encode()) % LAST_ZONE + 1
        while zone in used:
            zone = zone % LAST_ZONE + 1
        zones[network.bridge] = zone
        used.add(zone)
    return zones


def _zones_in_use(saved: SavedTables) -> dict[str, int]:
    zones = {}
    for rule in saved.get("raw", {}).get("kn-zones", []):
        words = rule.split()
        zones[words[words.index("-i") + 1]] = int(words[words.index("--zone") + 1])
    return zones


def parse_sets(text: str) -> dict[str, set[str]]:
    """Our sets in the output of `ipset save`: name → members."""
    sets: dict[str, set[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1].startswith("kn-"):
            if words[0] == "create":
                sets.setdefault(words[1], set())
            elif words[0] == "add":
                sets.setdefault(words[1], set()).add(words[2])
    return sets


def plan_sets(saved: dict[str, set[str]], wanted: dict[str, frozenset[str]]) -> tuple[list[str], list[str], bool]:
    """(lines before the rules, lines after them, whether a member goes): only the members that differ are named."""
    before: list[str] = []
    narrows = False
    for name in sorted(wanted):
        if name not in saved:
            family = "inet" if name.startswith("kn-4-") else "inet6"
            before.append(f"create {name} hash:net family {family} maxelem 1048576")
        present = saved.get(name, set())
        before += [f"add {name} {member}" for member in sorted(wanted[name] - present)]
        before += [f"del {name} {member}" for member in sorted(present - wanted[name])]
        narrows = narrows or bool(present - wanted[name])
    return before, [f"destroy {name}" for name in sorted(set(saved) - set(wanted))], narrows


def _ensure_bridge_filtering() -> None:
    for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        path = BRIDGE_SYSCTLS / name
        if not path.exists():
            raise HostProblem(
                "Packets on bridges do not reach iptables here: load the module br_netfilter (modprobe br_netfilter)."
            )
        if path.read_text().strip() != "1":
            path.write_text("1")


def converge_firewall(
    networks: list[NetworkBridge],
    ports: Iterable[WantedPort],
    groups: Iterable[WantedSecurityGroup],
    ledger: Ledger,
) -> None:
    """Make the host's rules those of the document. Raises HostProblem when that cannot be done: then no port that
    wants to be guarded may be plugged."""
    ports, groups = list(ports), list(groups)
    saved4 = parse_saved(run(["iptables-save"]))
    saved6 = parse_saved(run(["ip6tables-save"]))
    zones = pick_zones(networks, _zones_in_use(saved4))
    guarded = [GuardedNetwork(network.id, network.bridge, zones.get(network.bridge)) for network in networks]
    compiled = render_firewall(guarded, ports, groups, ledger)
    if compiled.ipv4:
        _ensure_bridge_filtering()
    _converge_frames(compiled.ethernet, ledger)
    sets_before, sets_after, members_go = plan_sets(parse_sets(run(["ipset", "save"])), compiled.sets)
    _restore_sets(sets_before, ledger)
    plan4, plan6 = plan_restore(saved4, compiled.ipv4), plan_restore(saved6, compiled.ipv6)
    for tool, plan in (("iptables-restore", plan4), ("ip6tables-restore", plan6)):
        _restore(tool, plan, ledger)
    _restore_sets(sets_after, ledger)
    if members_go or _narrows(plan4) or _narrows(plan6):
        released = flows.released_addresses(saved4, plan4.removed)
        cut_refused_flows(ports, guarded, groups, released, ledger)


def _restore(tool: str, plan: Plan, ledger: Ledger) -> None:
    if plan.text:
        run([tool, "--noflush"], stdin=plan.text)
        ledger.changed_chains(tool.removesuffix("-restore"), plan.changed)


def _restore_sets(lines: list[str], ledger: Ledger) -> None:
    if lines:
        run(["ipset", "restore", "-exist"], stdin="\n".join(lines) + "\n")
        ledger.changed("ipset: %d lines", len(lines))


def _converge_frames(wanted: Tables, ledger: Ledger) -> None:
    plan = plan_restore(parse_saved(run(["ebtables-save"])), wanted, dialect="eth")
    _restore("ebtables-restore", plan, ledger)


def _narrows(plan: Plan) -> bool:
    """Whether something that was allowed may now be refused: a rule went, or a port was not guarded before."""
    if any(rules for chain, rules in plan.removed.items() if chain.startswith(_NARROWING_CHAINS)):
        return True
    return any(chain.startswith("kn-i-") and rules for chain, rules in plan.added.items())


def cut_refused_flows(
    ports: list[WantedPort],
    networks: list[GuardedNetwork],
    groups: list[WantedSecurityGroup],
    released: set[tuple[int, str]],
    ledger: Ledger,
) -> None:
    """Delete the conntrack entries of flows that today's rules refuse."""
    seen = flows.parse_flows(run(["conntrack", "-L", "-f", "ipv4"]) + run(["conntrack", "-L", "-f", "ipv6"]))
    refused = flows.pick_refused_flows(seen, ports, networks, groups, released)
    if refused:
        run(["conntrack", "-R", "-"], stdin="".join(flows.render_delete(flow) + "\n" for flow in refused))
        ledger.changed("cut %d flows", len(refused))


def observed_groups(saved: SavedTables) -> list[str]:
    """First characters of the ids of the groups that are compiled on this host."""
    return sorted(chain.removeprefix("kn-gi-") for chain in saved.get("filter", {}) if chain.startswith("kn-gi-"))
