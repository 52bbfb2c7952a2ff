"""JsonFilter: a query of the caller's own, as JSON, given as the hint `query`. Pure.

`[">=", "$free_ram_mb", 1024]`; `and`, `or` and `not` take other queries. Source: compute admin guide, "Compute
scheduler".
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kilonova.compute.scheduling.capabilities import look_up
from kilonova.compute.scheduling.hosts import HostState, Wanted

HINT = "query"
DEEPEST = 10
LONGEST = 1000
"""Characters of a query: each host is asked all of it."""
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "in": lambda one, other: bool(one in other if isinstance(other, list | str) else one == other),
}
_CONNECTIVES: Mapping[str, Callable[[list[bool]], bool]] = {
    "and": all,
    "or": any,
    "not": lambda results: not any(results),
}


class BadQuery(Exception):
    """The message says what is wrong, as the rest of a sentence about the query."""


def parse(text: object) -> Any:
    """Raises BadQuery."""
    if not isinstance(text, str):
        raise BadQuery("is a text that holds JSON")
    if len(text) > LONGEST:
        raise BadQuery(f"has {LONGEST} characters at most")
    try:
        query = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadQuery(f"is no JSON: {error}") from error
    _check(query, 0)
    return query


def _check(query: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise BadQuery(f"goes deeper than {DEEPEST} lists")
    if not isinstance(query, list) or not query or not isinstance(query[0], str):
        raise BadQuery("is a list that begins with an operator")
    word, *parts = query
    if word in _CONNECTIVES:
        if not parts:
            raise BadQuery(f"gives {word} nothing to go by")
        for each in parts:
            _check(each, depth + 1)
    elif word not in _COMPARISONS:
        raise BadQuery(f"knows {', '.join([*_COMPARISONS, *_CONNECTIVES])}, not {word!r}")
    elif len(parts) < 2 or any(isinstance(each, list | dict) for each in parts):
        raise BadQuery(f"compares two values or more with {word}")


def json_filter(host: HostState, wanted: Wanted) -> str | None:
    """JsonFilter: the host is what the caller's query asks for."""
    try:
        query = parse(wanted.scheduler_hints[HINT])
    except BadQuery as error:
        return f"is asked a query that {error}"
    return None if _holds(query, host) else "is not what the hint query asks for"


def _holds(query: list[Any], host: HostState) -> bool:
    word, *parts = query
    if word in _CONNECTIVES:
        return _CONNECTIVES[word]([_holds(each, host) for each in parts])
    first, *others = (_value(each, host) for each in parts)
    if word == "in":
        return any(_COMPARISONS[word](first, each) for each in others)
    try:
        return all(_COMPARISONS[word](first, each) for each in others)
    except TypeError:
        # Nothing that the host has, or a text beside a number.
        return False


def _value(part: Any, host: HostState) -> Any:
    if not isinstance(part, str) or not part.startswith("$"):
        return part
    return look_up(host, part[1:].replace(".", ":"))
