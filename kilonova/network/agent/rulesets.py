"""iptables and ebtables rule sets as data: parse what is there, compare with what should be, plan one batch. Pure.

The rule: only chains that start with `kn-` are ours, and the rules that hook them into the built-in chains. A plan
never mentions anything else, so other people's rules stay as they are. Rules are
compared in the form `iptables-save` prints.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

OWN_PREFIX = "kn-"

Chains = dict[str, tuple[str, ...]]
"""Chain → its rules, each without the leading `-A CHAIN`."""

PROTOCOL_NUMBERS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "ipencap": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41,
    "ipv6-encap": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58,
    "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ospf": 89, "pgm": 113, "vrrp": 112, "sctp": 132, "udplite": 136,
}  # fmt: skip
"""Names the network API takes or iptables prints → IANA numbers."""

_HOOK = re.compile(rf"-j {OWN_PREFIX}\S+")
_PROTOCOL = re.compile(r"(?<=-p )(\S+)")
_MAC = re.compile(r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b")


@dataclass(frozen=True, slots=True)
class Hook:
    """The jump from a built-in chain into one of ours, as its first or its last rule."""

    chain: str
    target: str
    place: Literal["first", "last"] = "first"


@dataclass(slots=True)
class Table:
    chains: Chains = field(default_factory=dict)
    hooks: tuple[Hook, ...] = ()


Tables = dict[str, Table]
"""Table name (`raw`, `mangle`, `filter`, `nat`) → what of ours is in it."""

SavedTables = dict[str, dict[str, Sequence[str]]]
"""Table → chain → rules, of everybody, as `iptables-save` or `ebtables-save` printed them."""


@dataclass(slots=True)
class Plan:
    """What one batch does. `text` is empty when nothing differs."""

    text: str = ""
    changed: list[str] = field(default_factory=list)
    """The chains that differ, built-in ones by what hooks ours into them."""
    added: dict[str, list[str]] = field(default_factory=dict)
    """Chain → rules that were not there."""
    removed: dict[str, list[str]] = field(default_factory=dict)
    """Chain → rules that go, in the form the host printed them."""


@functools.lru_cache(maxsize=1 << 16)
def canonical(rule: str) -> str:
    """A rule with protocols as numbers and lower-case addresses: names and cases differ between versions."""

    def number(match: re.Match[str]) -> str:
        return str(PROTOCOL_NUMBERS.get(match.group(1), match.group(1)))

    return _MAC.sub(lambda match: match.group(0).lower(), _PROTOCOL.sub(number, rule.strip()))


def parse_saved(text: str) -> SavedTables:
    """Parse the output of `iptables-save`, `ip6tables-save` or `ebtables-save`."""
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            chains.setdefault(line[1:].split(" ", 1)[0], [])
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            chains.setdefault(chain, []).append(rule.strip())
    return {name: dict(found) for name, found in tables.items()}


def plan_restore(saved: SavedTables, wanted: Mapping[str, Table], *, dialect: Literal["ip", "eth"] = "ip") -> Plan:
    """The batch for `iptables-restore --noflush` (or `ebtables-restore --noflush`) that closes the difference.

    A chain that differs is rewritten as a whole inside the batch, which the kernel applies at one stroke.
    """
    plan = Plan()
    lines: list[str] = []
    for name in sorted(set(saved) | set(wanted)):
        body = _plan_table(saved.get(name, {}), wanted.get(name, Table()), plan, dialect)
        if body:
            lines += [f"*{name}", *body]
            if dialect == "ip":
                lines.append("COMMIT")
    plan.text = "\n".join(lines) + "\n" if lines else ""
    return plan


def after_restore(saved: SavedTables, wanted: Mapping[str, Table]) -> SavedTables:
    """The tables after what `plan_restore` planned: ours as they are wanted, other people's as they were."""
    tables: SavedTables = {}
    for name in saved.keys() | wanted.keys():
        table = wanted.get(name, Table())
        chains: dict[str, Sequence[str]] = {
            chain: [rule for rule in rules if not _HOOK.fullmatch(rule)]
            for chain, rules in saved.get(name, {}).items()
            if not chain.startswith(OWN_PREFIX)
        }
        for hook in table.hooks:
            chains[hook.chain] = [*chains.get(hook.chain, ()), f"-j {hook.target}"]
        tables[name] = {**chains, **table.chains}
    return tables


def _plan_table(saved: Mapping[str, Sequence[str]], wanted: Table, plan: Plan, dialect: str) -> list[str]:
    stale = sorted(chain for chain in saved if chain.startswith(OWN_PREFIX) and chain not in wanted.chains)
    declare: list[str] = []
    fill: list[str] = []
    for chain in sorted(wanted.chains):
        rules = wanted.chains[chain]
        if chain in saved and _are_same(saved[chain], rules):
            continue
        plan.changed.append(chain)
        declare.append(f":{chain} - [0:0]" if dialect == "ip" else f":{chain} RETURN")
        fill += [f"-A {chain} {rule}" for rule in rules]
        _note_difference(plan, chain, saved.get(chain, []), rules)
    for chain in stale:
        plan.changed.append(chain)
        _note_difference(plan, chain, saved[chain], ())
    hooks, unhooks = _plan_hooks(saved, wanted, plan)
    flush = [f"-F {chain}" for chain in stale]
    delete = [f"-X {chain}" for chain in stale]
    return [*declare, *unhooks, *fill, *flush, *delete, *hooks]


def _are_same(saved: Sequence[str], wanted: tuple[str, ...]) -> bool:
    # What this process has put there itself is the same object.
    return saved is wanted or [canonical(rule) for rule in saved] == [canonical(rule) for rule in wanted]


def _note_difference(plan: Plan, chain: str, saved: Sequence[str], wanted: tuple[str, ...]) -> None:
    before = {canonical(rule): rule for rule in saved}
    after = {canonical(rule): rule for rule in wanted}
    plan.removed[chain] = [rule for key, rule in before.items() if key not in after]
    plan.added[chain] = [rule for key, rule in after.items() if key not in before]


def _plan_hooks(saved: Mapping[str, Sequence[str]], wanted: Table, plan: Plan) -> tuple[list[str], list[str]]:
    """Commands that add missing hooks, and ones that delete stale or doubled hooks."""
    target = {(hook.chain, f"-j {hook.target}"): hook for hook in wanted.hooks}
    add: list[str] = []
    delete: list[str] = []
    present: set[tuple[str, str]] = set()
    for chain, rules in saved.items():
        if chain.startswith(OWN_PREFIX):
            continue
        for rule in rules:
            key = (chain, rule)
            if not _HOOK.fullmatch(rule):
                continue
            if key in target and key not in present:
                present.add(key)
            else:
                delete.append(f"-D {chain} {rule}")
                plan.changed.append(f"{chain} {rule}")
    for key, hook in target.items():
        if key not in present:
            add.append(f"-{'I' if hook.place == 'first' else 'A'} {hook.chain} -j {hook.target}")
            plan.changed.append(f"{hook.chain} -j {hook.target}")
    return add, delete
