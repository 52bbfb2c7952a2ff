"""What allocation candidates are asked for, and how what serves each group is put together. Pure.

A group asks for resources with conditions on who gives them. The group without a name may be served by several
providers of one tree together with providers that share with that tree; a named group is served by one provider. All
groups of a candidate are served around one anchor: the root of the tree that uses what it and its sharers give.

Source: Placement API reference, `GET /allocation_candidates`; its behaviour guide on granular requests.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, product

from msgspec import Struct

from kilonova.placement.errors import TooManyWays

MOST_TRIED = 500_000
"""Ways of putting several groups together that one request looks at: seconds of a thread."""

Key = tuple[str, str]
"""(provider id, resource class)"""


class Group(Struct, frozen=True):
    """One group of a request. `required` and `member_of` hold sets of which one has to be there each."""

    suffix: str
    resources: dict[str, int]
    required: tuple[frozenset[str], ...] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: tuple[frozenset[str], ...] = ()
    forbidden_aggregates: frozenset[str] = frozenset()
    in_tree: str | None = None


class Wanted(Struct, frozen=True):
    """A whole request."""

    groups: tuple[Group, ...]
    limit: int | None = None
    isolate: bool = False
    """No provider serves two named groups."""
    root_required: frozenset[str] = frozenset()
    root_forbidden: frozenset[str] = frozenset()
    same_subtrees: tuple[frozenset[str], ...] = ()
    """Sets of suffixes; one of the providers that serve a set's groups is above the others."""
    nested: bool = True
    """Whether the caller knows of trees. If not, a candidate takes from one provider of a tree only."""


class Part(Struct, frozen=True):
    """One way to serve one group around one anchor."""

    suffix: str
    anchor: str
    amounts: tuple[tuple[str, str, int], ...]
    """(provider id, resource class, amount)"""
    providers: frozenset[str]


class Candidate(Struct, frozen=True):
    allocations: dict[str, dict[str, int]]
    """Provider id → resource class → amount: what to claim."""
    mappings: dict[str, list[str]]
    """Group's suffix → ids of the providers that serve it."""


class Supply(Struct):
    """What is known of the providers in play."""

    free: Mapping[Key, tuple[int, int]] = {}
    """What is left, and the largest piece; only needed when several groups may meet at one provider."""
    roots: Mapping[str, str] = {}
    """Provider id → id of its tree's root."""
    parents: Mapping[str, str | None] = {}
    has_trees: bool = False


def parts_of_tree(
    group: Group,
    givers: Mapping[str, Iterable[str]],
    anchor: str,
    traits: Mapping[str, frozenset[str]],
) -> Iterator[Part]:
    """Every way to serve the group around `anchor` with `givers`: resource class → providers that have it.

    Together the providers have every required trait; none of them has a forbidden one.
    """
    choices = [
        [giver for giver in givers[name] if not group.forbidden & traits.get(giver, frozenset())]
        for name in group.resources
    ]
    for chosen in product(*choices):
        have = frozenset[str]().union(*(traits.get(giver, frozenset()) for giver in chosen))
        if all(names & have for names in group.required):
            amounts = tuple(
                (giver, name, amount) for giver, (name, amount) in zip(chosen, group.resources.items(), strict=True)
            )
            yield Part(group.suffix, anchor, amounts, frozenset(chosen))


def combine(wanted: Wanted, parts: Mapping[str, Sequence[Part]], supply: Supply) -> Iterator[Candidate]:
    """Candidates from `parts`: suffix → ways to serve that group. Anchor by anchor, each candidate once.

    Raises TooManyWays.
    """
    by_anchor: dict[str, dict[str, list[Part]]] = {}
    for suffix, found in parts.items():
        for part in found:
            by_anchor.setdefault(part.anchor, {}).setdefault(suffix, []).append(part)
    seen: set[object] = set()
    tries = count(1)
    for of_anchor in by_anchor.values():
        if len(of_anchor) < len(wanted.groups):
            continue
        for chosen in _products([of_anchor[group.suffix] for group in wanted.groups], supply, tries):
            if not _is_allowed(wanted, chosen, supply):
                continue
            candidate, key = _merge(chosen)
            if key not in seen:
                seen.add(key)
                yield candidate


def _products(choices: Sequence[Sequence[Part]], supply: Supply, tries: Iterator[int]) -> Iterator[tuple[Part, ...]]:
    """One of each, left out as soon as the first few already take more than a provider has. `tries` counts."""

    if len(choices) == 1:
        # What serves one group alone was found because it is there.
        yield from ((part,) for part in choices[0])
        return

    def extend(chosen: tuple[Part, ...], taken: Counter[Key]) -> Iterator[tuple[Part, ...]]:
        if len(chosen) == len(choices):
            yield chosen
            return
        for part in choices[len(chosen)]:
            if next(tries) > MOST_TRIED:
                raise TooManyWays(MOST_TRIED)
            together = taken + Counter({(giver, name): amount for giver, name, amount in part.amounts})
            if not chosen or _is_there(together, supply):
                yield from extend((*chosen, part), together)

    yield from extend((), Counter())


def _is_there(taken: Counter[Key], supply: Supply) -> bool:
    return all(amount <= min(supply.free[key]) for key, amount in taken.items())


def _is_allowed(wanted: Wanted, chosen: Sequence[Part], supply: Supply) -> bool:
    if wanted.isolate:
        named = [part for part in chosen if part.suffix]
        if len(frozenset[str]().union(*(part.providers for part in named))) < len(named):
            return False
    if not wanted.nested and supply.has_trees:
        used = {giver for part in chosen for giver, _, _ in part.amounts}
        if len({supply.roots[giver] for giver in used}) < len(used):
            return False
    for suffixes in wanted.same_subtrees:
        serving = frozenset[str]().union(*(part.providers for part in chosen if part.suffix in suffixes))
        if not _is_one_subtree(serving, supply.parents):
            return False
    return True


def _is_one_subtree(serving: frozenset[str], parents: Mapping[str, str | None]) -> bool:
    """Whether one of the providers is above all others."""
    return bool(serving.intersection(*(_line(provider, parents) for provider in serving)))


def _line(provider: str, parents: Mapping[str, str | None]) -> set[str]:
    """The provider and everything above it."""
    above = set()
    current: str | None = provider
    while current is not None:
        above.add(current)
        current = parents.get(current)
    return above


def _merge(chosen: Sequence[Part]) -> tuple[Candidate, object]:
    allocations: dict[str, dict[str, int]] = {}
    for part in chosen:
        for giver, name, amount in part.amounts:
            resources = allocations.setdefault(giver, {})
            resources[name] = resources.get(name, 0) + amount
    mappings = {part.suffix: sorted(part.providers) for part in chosen}
    if len(chosen) == 1:
        return Candidate(allocations, mappings), chosen[0].amounts
    key = (
        frozenset((giver, name, amount) for giver, each in allocations.items() for name, amount in each.items()),
        frozenset((suffix, tuple(providers)) for suffix, providers in mappings.items()),
    )
    return Candidate(allocations, mappings), key
