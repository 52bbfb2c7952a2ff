"""The decision: from all hosts to an ordered list of those that will do, with the account of the rest.

Pure. The answer is a plan; the claim in placement is what makes it true, and a conflict there takes the next host.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial

from msgspec import Struct

from kilonova.compute.scheduling import weighers
from kilonova.compute.scheduling.filters import REQUESTED_HOST, Filter, chosen_for, requested_host_filter
from kilonova.compute.scheduling.hosts import HostState, Wanted
from kilonova.compute.scheduling.requirements import Group

PLACEMENT = "placement"
"""The first stage of all but those that ask for a host."""


class Stage(Struct, dict=True):
    """One step of the account: how many hosts were left after it, and why the others were not."""

    name: str
    left: int
    lost: int
    """How many hosts it refused."""
    tell: Callable[[], dict[str, str]]

    @cached_property
    def refused(self) -> dict[str, str]:
        """Host → reason; of hosts without room, the one that is short of the least comes first."""
        return self.tell()


class Plan(Struct):
    hosts: list[HostState]
    """The best first; empty when no host will do."""
    stages: list[Stage]


def make_plan(hosts: Sequence[HostState], candidates: Collection[str], wanted: Wanted) -> Plan:
    """`candidates`: ids of the providers placement found room on."""
    stages: list[Stage] = []
    if wanted.requested_host is not None:
        # Placement is asked for the one host alone: what it says of the others is nothing.
        hosts = _ask(list(hosts), REQUESTED_HOST, requested_host_filter, wanted, stages)
    left = [host for host in hosts if host.id in candidates]
    without_room = [] if len(left) == len(hosts) else [host for host in hosts if host.id not in candidates]
    # Why they have no room is asked only when no host will do, and takes longer than all the rest.
    stages.append(Stage(PLACEMENT, len(left), len(without_room), partial(_shortages, without_room, wanted)))
    for name, check in chosen_for(wanted):
        left = _ask(left, name, check, wanted, stages)
    return Plan(weighers.order(left, wanted), stages)


def _ask(hosts: list[HostState], name: str, check: Filter, wanted: Wanted, stages: list[Stage]) -> list[HostState]:
    """The hosts that the filter lets through; a stage for it, where it refuses some."""
    refused = {host.host: reason for host in hosts if (reason := check(host, wanted)) is not None}
    if not refused:
        return hosts
    left = [host for host in hosts if host.host not in refused]
    stages.append(Stage(name, len(left), len(refused), partial(dict, refused)))
    return left


def _shortages(hosts: Sequence[HostState], wanted: Wanted) -> dict[str, str]:
    nearest_first = sorted(hosts, key=lambda host: _distance(host, wanted))
    return {host.host: _shortage(host, wanted) for host in nearest_first}


def _distance(host: HostState, wanted: Wanted) -> tuple[int, float, str]:
    """How far a host is from having room: the resources it is short of, then what share of the amounts is missing."""
    missing = [(amount - free) / amount for _resource, amount, free in lacking(host, wanted)]
    return len(missing), sum(missing), host.host


def lacking(host: HostState, wanted: Wanted) -> list[tuple[str, int, int]]:
    """(resource class, how much is wanted, how much is free) of what the host has too little of."""
    return [
        (resource, amount, max(host.free(resource), 0))
        for resource, amount in sorted(wanted.resources.items())
        if amount > host.free(resource)
    ]


def _shortage(host: HostState, wanted: Wanted) -> str:
    """Says what the host lacks: the amounts wanted and free, or else the traits."""
    short = [f"{amount} {resource} wanted, {free} free" for resource, amount, free in lacking(host, wanted)]
    if short:
        return "; ".join(short)
    if wanted.groups:
        return f"has no providers for the groups asked for ({'; '.join(map(_group_said, wanted.groups))})"
    traits = [f"{name} required" for name in wanted.required_traits]
    traits += [f"{name} forbidden" for name in wanted.forbidden_traits]
    if traits:
        return f"does not have the traits asked for ({', '.join(traits)})"
    return "was not offered by placement (its inventory limits a single server's share)"


def summary(plan: Plan, total: int) -> str:
    """The account of a choice that was made: `5 hosts considered, placement left 3, ComputeFilter left 2`."""
    narrowed = [f"{stage.name} left {stage.left}" for stage in plan.stages if stage.lost]
    return ", ".join([f"{count_hosts(total)} considered", *narrowed])


def account(plan: Plan, total: int, wanted: Wanted, *, with_hosts: bool) -> str:
    """Why no host was left, in one sentence a stage. With `with_hosts` the hosts are named (for administrators)."""
    asked = ", ".join(
        [
            _asked(wanted.resources, wanted.required_traits, wanted.forbidden_traits),
            *map(_group_said, wanted.groups),
        ]
    )
    if total == 0:
        return f"No valid host was found. No compute host has registered yet (wanted: {asked})."
    sentences = [f"No valid host was found. {count_hosts(total)} considered for {asked}."]
    for stage in plan.stages:
        if not stage.lost:
            continue
        sentences.append(f"{stage.name} left {stage.left}: {_reasons(stage, with_hosts)}.")
    return " ".join(sentences)


def _asked(resources: Mapping[str, int], required: Iterable[str], forbidden: Iterable[str]) -> str:
    amounts = (f"{amount} {resource}" for resource, amount in sorted(resources.items()))
    return ", ".join([*amounts, *(f"trait {name}" for name in required), *(f"no trait {name}" for name in forbidden)])


def _group_said(group: Group) -> str:
    return f"group {group.suffix} of {_asked(group.resources, group.required, group.forbidden)}"


def _reasons(stage: Stage, with_hosts: bool) -> str:
    if with_hosts:
        return "; ".join(f"{host} {reason}" for host, reason in sorted(stage.refused.items()))
    if stage.name == PLACEMENT:
        # The nearest miss tells most; the others' numbers would drown it.
        return f"{count_hosts(stage.lost)} without room, the nearest: {next(iter(stage.refused.values()))}"
    alike: dict[str, list[str]] = {}
    for reason in stage.refused.values():
        alike.setdefault(_NUMBER.sub("", reason), []).append(reason)
    return "; ".join(_said_of(alike[kind]) for kind in sorted(alike))


_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
PLURALS = {"does": "do", "has": "have", "holds": "hold", "is": "are", "runs": "run"}
"""The verbs reasons begin with."""


def _said_of(reasons: list[str]) -> str:
    """What is said of hosts whose reasons differ in numbers alone: `2 hosts have not answered for 61 to 75 s`."""
    numbers = [sorted(column) for column in zip(*(map(int, _NUMBER.findall(each)) for each in reasons), strict=True)]
    spans = iter(f"{each[0]}" if each[0] == each[-1] else f"{each[0]} to {each[-1]}" for each in numbers)
    verb, _, rest = _NUMBER.sub(lambda _match: next(spans), reasons[0]).partition(" ")
    return f"{count_hosts(len(reasons))} {verb if len(reasons) == 1 else PLURALS.get(verb, verb)} {rest}"


def count_hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
