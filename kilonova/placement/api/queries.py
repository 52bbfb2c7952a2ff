"""Query strings: resources, traits and aggregates that providers and candidates are found by.

Source: Placement API reference. Forms that came later are refused in older versions, by name.
"""

import re
from collections.abc import Mapping
from uuid import UUID

from kilonova.kit.db.selections import Filter
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32
from kilonova.kit.http.lists import Dialect, Listing
from kilonova.placement.api.bodies import PlacementRequest
from kilonova.placement.candidate_groups import Group, Wanted
from kilonova.placement.errors import BadQueryValue, DuplicateQueryKey, MissingQueryValue
from kilonova.placement.providers import ProviderFilters

CANDIDATE_PARAMETERS = {
    "limit": "candidates_limit",
    "group_policy": "granular_groups",
    "root_required": "root_required",
    "same_subtree": "same_subtree",
}
GROUP_PARAMETERS = {
    "resources": None,
    "required": "candidates_required",
    "member_of": "candidates_member_of",
    "in_tree": "candidates_in_tree",
}
CANDIDATES_QUERY = {**CANDIDATE_PARAMETERS, **GROUP_PARAMETERS}
"""Groups may have a suffix, so that these are not all."""
MOST_GROUPS = 32
MOST_CONDITIONS = 256
"""Of one kind in one group. Each is a part of a statement, for every provider to be compared with."""
_NUMBERED = re.compile(r"^(resources|required|member_of|in_tree)([1-9][0-9]*)?$")
_NAMED = re.compile(r"^(resources|required|member_of|in_tree)([a-zA-Z0-9_-]{1,64})?$")
_BAD = "Invalid query string: "


def check_parameters(request: PlacementRequest, allowed: Mapping[str, str | None] | None = None) -> None:
    """Raises BadRequest for a parameter that is not `allowed`, or not yet in the request's version.

    Allowed are the route's own when nothing else is said.
    """
    allowed = request.declared if allowed is None else allowed
    for name in request.query:
        if name not in allowed or not _is_in_version(request, allowed[name]):
            raise BadRequest(f"{_BAD}there is no parameter {name!r} in version {request.version}.")


def _is_in_version(request: PlacementRequest, change: str | None) -> bool:
    return change is None or request.allows(change)


DIALECT = Dialect(names=(), refuse=lambda request, listing: check_parameters(request, listing.query))
"""Placement has no pages."""
PROVIDERS = Listing(
    dialect=DIALECT,
    filters={
        "name": lambda _name, texts: Filter("name", "eq", texts[-1]),
        "uuid": lambda name, texts: Filter("id", "eq", read_uuid(name, texts[-1])),
    },
    others={
        "member_of": "providers_member_of",
        "resources": "providers_resources",
        "in_tree": "nested_providers",
        "required": "providers_required",
    },
    order=(("created_at", "asc"), ("id", "asc")),
)


def provider_filters(request: PlacementRequest) -> ProviderFilters:
    """Returns the filters that columns of the provider's row cannot answer. Raises BadRequest."""
    query, filters = request.query, ProviderFilters()
    if "in_tree" in query:
        filters.in_tree = read_uuid("in_tree", query["in_tree"])
    if "resources" in query:
        filters.resources = read_resources(query["resources"])
    filters.member_of, filters.forbidden_aggregates = _read_member_of(request, "member_of")
    filters.required, filters.forbidden = _read_required(request, "required")
    return filters


def wanted_candidates(request: PlacementRequest) -> Wanted:
    """Raises BadRequest, BadQueryValue, MissingQueryValue, DuplicateQueryKey."""
    same_subtrees = tuple(_read_suffixes(text) for text in request.query.getlist("same_subtree"))
    groups = _read_groups(request)
    if request.allows("same_subtree"):
        _check_suffixes(groups, frozenset[str]().union(*same_subtrees))
    else:
        _check_orphans(groups)
    policy = next(iter(request.query.getlist("group_policy")), None)
    if policy not in (None, "none", "isolate"):
        raise BadRequest(f"{_BAD}group_policy must be one of none, isolate; got {policy!r}.")
    if policy is None and len([suffix for suffix in groups if suffix]) > 1:
        raise BadRequest("Several suffixed groups need a group_policy: none or isolate.")
    if request.allows("forbidden_traits"):
        _check_contradictions(groups)
    root_required, root_forbidden = _read_root_required(request)
    return Wanted(
        groups=tuple(groups.values()),
        limit=_read_limit(request),
        isolate=policy == "isolate",
        root_required=root_required,
        root_forbidden=root_forbidden,
        same_subtrees=same_subtrees,
        nested=request.allows("nested_candidates"),
    )


def _read_groups(request: PlacementRequest) -> dict[str, Group]:
    pattern = _NAMED if request.allows("named_groups") else _NUMBERED
    suffixes: dict[str, None] = {}
    plain: dict[str, str | None] = dict(CANDIDATE_PARAMETERS)
    for name in request.query:
        match = None if name in CANDIDATE_PARAMETERS else pattern.match(name)
        if match is None:
            continue
        parameter, suffix = match.group(1), match.group(2) or ""
        if suffix and not request.allows("granular_groups"):
            continue
        plain[name] = GROUP_PARAMETERS[parameter]
        suffixes[suffix] = None
    if len(suffixes) > MOST_GROUPS:
        raise BadRequest(f"{_BAD}{MOST_GROUPS} groups are looked for at once at most, got {len(suffixes)}.")
    check_parameters(request, plain)
    if not request.allows("granular_groups") and "resources" not in request.query:
        raise BadRequest(f"{_BAD}the parameter resources is required.")
    return {suffix: _read_group(request, suffix) for suffix in suffixes}


def _read_group(request: PlacementRequest, suffix: str) -> Group:
    query = request.query
    required, forbidden = _read_required(request, f"required{suffix}")
    member_of, forbidden_aggregates = _read_member_of(request, f"member_of{suffix}")
    resources = query.get(f"resources{suffix}")
    in_tree = query.get(f"in_tree{suffix}")
    return Group(
        suffix=suffix,
        resources={} if resources is None else read_resources(resources),
        required=tuple(required),
        forbidden=forbidden,
        member_of=tuple(member_of),
        forbidden_aggregates=forbidden_aggregates,
        in_tree=None if in_tree is None else read_uuid("in_tree", in_tree.strip()),
    )


# --- what groups have to fulfil together -----------------------------------------------------------------------------


def _check_suffixes(groups: Mapping[str, Group], in_subtrees: frozenset[str]) -> None:
    without = [suffix for suffix, group in groups.items() if not group.resources]
    if len(without) == len(groups):
        raise MissingQueryValue("At least one group has to ask for resources.")
    if bad := [suffix for suffix in without if suffix not in in_subtrees]:
        raise BadQueryValue(f"A group without resources has to be named in same_subtree; {', '.join(bad)} is not.")
    if bad := sorted(in_subtrees - groups.keys()):
        raise BadQueryValue(f"same_subtree names groups that are not there: {', '.join(bad)}.")


def _check_orphans(groups: Mapping[str, Group]) -> None:
    for parameter in ("required", "member_of"):
        orphans = [
            f"{parameter}{suffix}"
            for suffix, group in groups.items()
            if not group.resources and (group.required if parameter == "required" else _aggregates(group))
        ]
        if orphans:
            raise BadRequest(f"Conditions without resources they hold for: {', '.join(orphans)}.")
    if not all(group.resources for group in groups.values()):
        raise BadRequest("Every group has to ask for resources.")
    if not groups:
        raise BadRequest("At least one group, resources or resources{suffix}, is required.")


def _aggregates(group: Group) -> bool:
    return bool(group.member_of or group.forbidden_aggregates)


def _check_contradictions(groups: Mapping[str, Group]) -> None:
    found = [
        f"required{suffix}: ({', '.join(sorted(names))})"
        for suffix, group in groups.items()
        for names in group.required
        if names <= group.forbidden
    ]
    if found:
        raise BadRequest(f"Traits that are required and forbidden at once: {', '.join(sorted(found))}.")


# --- single values ---------------------------------------------------------------------------------------------------


def read_uuid(name: str, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise BadRequest(f"{_BAD}{name} must be a UUID, got {text!r}.") from error


def read_resources(text: str) -> dict[str, int]:
    """`VCPU:2,MEMORY_MB:1024`. Raises BadRequest."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, colon, amount = part.partition(":")
        if not colon or ":" in amount:
            raise BadRequest(
                f"{_BAD}resources must be of the form VCPU:2,MEMORY_MB:1024, got {part.strip() or 'an empty string'}."
            )
        if not re.fullmatch(r"\s*[0-9]{1,10}\s*", amount) or not 1 <= int(amount) <= MAX_INT32:
            raise BadRequest(
                f"{_BAD}the amount of {name} must be a whole number from 1 to {MAX_INT32}, got {amount[:64]!r}."
            )
        found[name] = int(amount)
    return found


def _read_limit(request: PlacementRequest) -> int | None:
    texts = request.query.getlist("limit")
    for text in texts:
        if not re.fullmatch("[1-9][0-9]{0,18}", text):
            raise BadRequest(f"{_BAD}limit must be a whole number of at least 1; {text[:64]!r} does not match.")
    return int(texts[0]) if texts else None


def _read_suffixes(text: str) -> frozenset[str]:
    suffixes = frozenset(part.strip() for part in text.split(","))
    if "" in suffixes:
        raise BadQueryValue("same_subtree names suffixed groups only; an empty suffix is none.")
    return suffixes


def _read_root_required(request: PlacementRequest) -> tuple[frozenset[str], frozenset[str]]:
    texts = request.query.getlist("root_required")
    if not texts:
        return frozenset(), frozenset()
    if len(texts) > 1:
        raise DuplicateQueryKey("root_required may be given only once.")
    required, forbidden = _read_traits(texts[0], may_forbid=True, may_choose=False)
    names = frozenset[str]().union(*required)
    if conflicts := names & forbidden:
        raise BadQueryValue(f"root_required requires and forbids at once: {', '.join(sorted(conflicts))}.")
    return names, forbidden


def _read_required(request: PlacementRequest, name: str) -> tuple[list[frozenset[str]], frozenset[str]]:
    texts = request.query.getlist(name)
    may_choose = request.allows("any_traits")
    if not may_choose:
        # What is repeated before 1.39 counts once, the last time.
        texts = texts[-1:]
    required: list[frozenset[str]] = []
    forbidden: frozenset[str] = frozenset()
    for text in texts:
        more, never = _read_traits(text, may_forbid=request.allows("forbidden_traits"), may_choose=may_choose)
        required += more
        forbidden |= never
    return _different(name, required), forbidden


def _different(name: str, conditions: list[frozenset[str]]) -> list[frozenset[str]]:
    """Each once. Raises BadRequest for more than MOST_CONDITIONS."""
    found = list(dict.fromkeys(conditions))
    if len(found) > MOST_CONDITIONS:
        raise BadRequest(f"{_BAD}{name} may say {MOST_CONDITIONS} things at most, got {len(found)}.")
    return found


def _read_traits(text: str, *, may_forbid: bool, may_choose: bool) -> tuple[list[frozenset[str]], frozenset[str]]:
    if text.startswith("in:"):
        return [_read_choice(text, may_choose)], frozenset()
    names = [part.strip() for part in text.split(",")]
    forbidden = frozenset(name.lstrip("!") for name in names if name.startswith("!"))
    form = "HW_CPU_X86_VMX,!CUSTOM_MAGIC" if may_forbid else "HW_CPU_X86_VMX,CUSTOM_MAGIC"
    if not all(names) or not all(forbidden):
        raise BadRequest(f"{_BAD}traits must be of the form {form}; there is an empty one in {text!r}.")
    if forbidden and not may_forbid:
        raise BadRequest(f"{_BAD}traits must be of the form {form}, got {text!r}.")
    return [frozenset((name,)) for name in names if not name.startswith("!")], forbidden


def _read_choice(text: str, may_choose: bool) -> frozenset[str]:
    form = "in:HW_CPU_X86_VMX,CUSTOM_MAGIC"
    if not may_choose:
        raise BadRequest(f"{_BAD}the form {form} came with version 1.39; got {text!r}.")
    names = frozenset(part.strip() for part in text[3:].split(","))
    if not all(names):
        raise BadRequest(f"{_BAD}traits must be of the form {form}; there is an empty one in {text!r}.")
    if any(name.startswith("!") for name in names):
        raise BadRequest(f"{_BAD}a trait cannot be forbidden in the form {form}; got {text!r}.")
    return names


def _read_member_of(request: PlacementRequest, name: str) -> tuple[list[frozenset[str]], frozenset[str]]:
    texts = request.query.getlist(name)
    if len(texts) > 1 and not request.allows("repeated_member_of"):
        raise BadRequest(f"{_BAD}{name} may be repeated from version 1.24 on.")
    required: list[frozenset[str]] = []
    forbidden: frozenset[str] = frozenset()
    for text in texts:
        value = text.removeprefix("!")
        is_forbidden = value != text
        if "," in value and not value.startswith("in:"):
            raise BadRequest(f"{_BAD}several aggregates in {name} need in: or !in: before them; got {text!r}.")
        members = frozenset(_read_member(part) for part in value.removeprefix("in:").split(","))
        if not is_forbidden:
            required.append(members)
        elif request.allows("forbidden_aggregates"):
            forbidden |= members
        else:
            raise BadRequest(f"{_BAD}{name} may forbid aggregates from version 1.32 on.")
    return _different(name, required), forbidden


def _read_member(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        raise BadRequest(f"{_BAD}member_of must name aggregates by UUID, got {text!r}.") from error
