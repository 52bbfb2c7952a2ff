"""Puts the compiled rules on the host: looks with one `*-save` each, applies only what differs, one batch per tool.

Order matters. Sets come before the rules that name them and go after; frames are guarded before addresses; flows are
cut last, when the rules that refuse them stand. A failure leaves the former rules standing: a batch is applied whole.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kilonova.network.agent import flows
from kilonova.network.agent.commands import run
from kilonova.network.agent.ledger import HostProblem, Ledger
from kilonova.network.agent.rulesets import Plan, SavedTables, after_restore, parse_saved, plan_restore
from kilonova.network.agent.security_rules import (
    CompiledFirewall,
    Family,
    GuardedNetwork,
    render_firewall,
    render_set_members,
    set_name,
)
from kilonova.network.wanted import WantedPort, WantedSecurityGroup

BRIDGE_SYSCTLS = Path("/proc/sys/net/bridge")
LAST_ZONE = 65535

_NARROWING_CHAINS = ("kn-gi-", "kn-ge-", "kn-i-", "kn-e-", "kn-s-")


Members = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Group → port → addresses that it counts as the group's."""


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


@dataclass(slots=True)
class _Made:
    """What the host has, as far as this process has made it."""

    ipv4: SavedTables
    ipv6: SavedTables
    ethernet: SavedTables
    guarded: list[GuardedNetwork]
    sets: dict[str, Counter[str]]
    """ipset name → member → how many ports have it: two may, and the member goes with the last."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the rules are made of. Of groups only the rules count; `whole_groups` gives them with their members."""

    networks: list[NetworkBridge]
    ports: list[WantedPort]
    groups: list[WantedSecurityGroup]
    members: Members
    whole_groups: Callable[[], list[WantedSecurityGroup]]


@dataclass(frozen=True, slots=True)
class Changed:
    rules: bool
    """Whether networks, ports or groups of the host have changed."""
    members: list[tuple[str, tuple[str, ...], tuple[str, ...]]]
    """(group, addresses that one of its ports had, and that it has)"""


class Firewall:
    """The host's rules. What was made is remembered, so that a change costs what changes: `converge` looks at the host,
    `change` trusts that nobody else has touched it. Both raise HostProblem when it cannot be done: then no port that
    wants to be guarded may be plugged."""

    def __init__(self) -> None:
        self._made: _Made | None = None

    @property
    def is_known(self) -> bool:
        return self._made is not None

    def is_made_for(self, networks: Iterable[NetworkBridge]) -> bool:
        """Whether the rules are those of just these networks."""
        made = self._made.guarded if self._made is not None else ()
        return {(each.id, each.bridge) for each in made} == {(each.id, each.bridge) for each in networks}

    def converge(self, wanted: Wanted, ledger: Ledger) -> None:
        """Makes the host's rules those that are wanted, whatever it has."""
        self._made = None
        saved4, saved6 = parse_saved(run(["iptables-save"])), parse_saved(run(["ip6tables-save"]))
        frames, present = parse_saved(run(["ebtables-save"])), parse_sets(run(["ipset", "save"]))
        compiled, guarded = _compile(wanted, saved4, ledger)
        sets = {name: count_members(wanted.members, family, group) for name, (family, group) in compiled.sets.items()}
        lines, stale, members_go = plan_sets(present, {name: frozenset(found) for name, found in sets.items()})
        plans = _plan(_Made(saved4, saved6, frames, guarded, {}), compiled)
        _put(compiled, plans, (lines, stale), ledger)
        self._made = _applied(_Made(saved4, saved6, frames, guarded, sets), compiled)
        if members_go or _narrows(plans.ipv4) or _narrows(plans.ipv6):
            released = flows.released_addresses(saved4, plans.ipv4.removed)
            cut_refused_flows(wanted.ports, guarded, wanted.whole_groups(), released, ledger)

    def change(self, wanted: Wanted, changed: Changed, ledger: Ledger) -> None:
        """Makes what has changed since the last call."""
        made, self._made = self._made, None
        if made is None:
            raise HostProblem("The host's rules have not been looked at yet.")
        lines, gone = _change_members(made.sets, changed.members)
        if not changed.rules:
            _restore_sets(lines, ledger)
            self._made = made
            if gone:
                cut_refused_flows(wanted.ports, made.guarded, wanted.whole_groups(), set(), ledger, ends=gone)
            return
        compiled, guarded = _compile(wanted, made.ipv4, ledger)
        sets = {name: made.sets[name] for name in compiled.sets if name in made.sets}
        new = {name: key for name, key in compiled.sets.items() if name not in sets}
        sets |= {name: count_members(wanted.members, family, group) for name, (family, group) in new.items()}
        present: dict[str, set[str]] = {name: set() for name in made.sets}
        more, stale, _ = plan_sets(
            present, {name: frozenset(sets[name]) if name in new else frozenset() for name in sets}
        )
        plans = _plan(made, compiled)
        _put(compiled, plans, ([*lines, *more], stale), ledger)
        released = flows.released_addresses(made.ipv4, plans.ipv4.removed)
        made.guarded, made.sets = guarded, sets
        self._made = _applied(made, compiled)
        if gone or _narrows(plans.ipv4) or _narrows(plans.ipv6):
            cut_refused_flows(wanted.ports, guarded, wanted.whole_groups(), released, ledger)


def _compile(wanted: Wanted, saved4: SavedTables, ledger: Ledger) -> tuple[CompiledFirewall, list[GuardedNetwork]]:
    zones = pick_zones(wanted.networks, _zones_in_use(saved4))
    guarded = [GuardedNetwork(network.id, network.bridge, zones.get(network.bridge)) for network in wanted.networks]
    return render_firewall(guarded, wanted.ports, wanted.groups, ledger), guarded


@dataclass(slots=True)
class _Plans:
    ipv4: Plan
    ipv6: Plan
    ethernet: Plan


def _plan(made: _Made, compiled: CompiledFirewall) -> _Plans:
    return _Plans(
        plan_restore(made.ipv4, compiled.ipv4),
        plan_restore(made.ipv6, compiled.ipv6),
        plan_restore(made.ethernet, compiled.ethernet, dialect="eth"),
    )


def _put(compiled: CompiledFirewall, plans: _Plans, sets: tuple[list[str], list[str]], ledger: Ledger) -> None:
    if compiled.ipv4:
        _ensure_bridge_filtering()
    _restore("ebtables-restore", plans.ethernet, ledger)
    _restore_sets(sets[0], ledger)
    _restore("iptables-restore", plans.ipv4, ledger)
    _restore("ip6tables-restore", plans.ipv6, ledger)
    _restore_sets(sets[1], ledger)


def _applied(made: _Made, compiled: CompiledFirewall) -> _Made:
    return _Made(
        after_restore(made.ipv4, compiled.ipv4),
        after_restore(made.ipv6, compiled.ipv6),
        after_restore(made.ethernet, compiled.ethernet),
        made.guarded,
        made.sets,
    )


def count_members(members: Members, family: Family, group_id: str) -> Counter[str]:
    """How many ports of the group have each member of its set."""
    held = members.get(group_id, {}).values()
    return Counter(each for addresses in held for each in render_set_members(addresses, family))


def _change_members(
    sets: dict[str, Counter[str]], changed: Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]
) -> tuple[list[str], set[str]]:
    """(lines for ipset, members that went), by element; the counts follow."""
    differs: dict[tuple[str, str], bool] = {}
    for group_id, before, after in changed:
        families: tuple[Family, ...] = (4, 6)
        for family in families:
            name = set_name(family, group_id)
            if name not in sets:
                continue
            counts = sets[name]
            had, has = render_set_members(before, family), render_set_members(after, family)
            for each in had - has:
                differs.setdefault((name, each), counts[each] > 0)
                counts[each] -= 1
            for each in has - had:
                differs.setdefault((name, each), counts[each] > 0)
                counts[each] += 1
    lines: list[str] = []
    gone: set[str] = set()
    for (name, each), was_there in sorted(differs.items()):
        is_there = sets[name][each] > 0
        if not is_there:
            del sets[name][each]
        if is_there != was_there:
            lines.append(f"{'add' if is_there else 'del'} {name} {each}")
            gone.update(() if is_there else (each,))
    return lines, gone


def _restore(tool: str, plan: Plan, ledger: Ledger) -> None:
    if plan.text:
        run([tool, "--noflush"], stdin=plan.text)
        ledger.changed_chains(tool.removesuffix("-restore"), plan.changed)


def _restore_sets(lines: list[str], ledger: Ledger) -> None:
    if lines:
        run(["ipset", "restore", "-exist"], stdin="\n".join(lines) + "\n")
        ledger.changed("ipset: %d lines", len(lines))


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
    *,
    ends: set[str] | None = None,
) -> None:
    """Delete the conntrack entries of flows that today's rules refuse; with `ends`, only of those that begin or end
    there."""
    seen = flows.parse_flows(run(["conntrack", "-L", "-f", "ipv4"]) + run(["conntrack", "-L", "-f", "ipv6"]))
    if ends is not None and not any("/" in each for each in ends):
        seen = [each for each in seen if each.source in ends or each.destination in ends]
    refused = flows.pick_refused_flows(seen, ports, networks, groups, released)
    if refused:
        run(["conntrack", "-R", "-"], stdin="".join(flows.render_delete(flow) + "\n" for flow in refused))
        ledger.changed("cut %d flows", len(refused))


def observed_groups(saved: SavedTables) -> list[str]:
    """First characters of the ids of the groups that are compiled on this host."""
    return sorted(chain.removeprefix("kn-gi-") for chain in saved.get("filter", {}) if chain.startswith("kn-gi-"))
