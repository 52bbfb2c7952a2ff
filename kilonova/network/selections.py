"""What a list may be asked for: filters, order and page of each resource, turned into SQL.

A page costs what is on it. Source: Networking API v2.0, "Filtering", "Pagination" and "Sorting".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from sqlalchemy import Boolean, Column, ColumnElement, Integer, Table, and_, false, or_

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.queries import FALSE, TRUE, moment, tags_of
from kilonova.network import records
from kilonova.network.records import Direction, Selection

Query = Mapping[str, Sequence[str]]
"""Parameter → its values, in the order given."""
Condition = Callable[[Sequence[str]], ColumnElement[bool]]

RESERVED = ("fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir")
STANDARD = {
    "id": "id",
    "name": "name",
    "description": "description",
    "project_id": "project_id",
    "tenant_id": "project_id",
    "revision_number": "revision_number",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
NAMELESS = {attribute: column for attribute, column in STANDARD.items() if attribute != "name"}
TIMES = ("created_at", "updated_at")
MOST_DIGITS = 18
MOST_VALUES = 1000
"""Of one query parameter, repeated. Each is a part of the statement, for every row to be compared with."""
LARGEST = 0x7FFFFFFF
"""Numbers beyond that are in no column."""


@dataclass(frozen=True, slots=True)
class Listing:
    """How a resource is listed: by which attributes, and what they are in the table."""

    table: Table
    columns: Mapping[str, str]
    """Attribute → column."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Attributes that are the same for every row."""
    special: Mapping[str, Condition] = field(default_factory=dict)
    """Attribute → what its values mean, where that is no column."""
    is_tagged: bool = True
    shown_by: Mapping[str, str] = field(default_factory=dict)
    """Attribute → the rule of those who are shown it: nobody else may narrow a list by it, or sort it."""

    @property
    def filters(self) -> list[str]:
        tags = _TAG_FILTERS if self.is_tagged else ()
        return sorted({*self.columns, *self.constants, *self.special, *tags, "changed_since"} - set(TIMES))

    @property
    def query(self) -> dict[str, str | None]:
        """The query parameters of a list."""
        return dict.fromkeys((*self.filters, *RESERVED))

    def selection(self, query: Query) -> Selection:
        """What the query asks for. Raises BadRequest naming the parameter and what is possible."""
        refuse_excess(query)
        page = parse_page(query)
        return Selection(
            conditions=tuple(self._condition(name, query[name]) for name in query if name not in RESERVED),
            sorts=self._sorts(query),
            limit=page.limit,
            marker=page.marker,
            backwards=page.backwards,
        )

    def _condition(self, name: str, values: Sequence[str]) -> ColumnElement[bool]:
        if name in self.special:
            return self.special[name](values)
        if name in self.constants:
            return false() if self.constants[name] not in values else and_(True)
        if self.is_tagged and name in _TAG_FILTERS:
            return _TAG_FILTERS[name](self.table, tags_of(name, values))
        if name == "changed_since":
            return self.table.c.updated_at >= moment("changed_since", values[-1])
        if name not in self.columns or name in TIMES:
            known = ", ".join(self.filters)
            raise BadRequest(f"[{name!r}] is invalid attribute for filtering; possible are {known}.")
        column = self.table.c[self.columns[name]]
        wanted = [_value(column, name, text) for text in values]
        # A number no column can hold is nobody's, and no engine takes it as a parameter.
        matches = column.in_([each for each in wanted if not isinstance(each, int) or abs(each) <= LARGEST])
        return or_(matches, column.is_(None)) if "" in values and column.nullable else matches

    def _sorts(self, query: Query) -> tuple[tuple[str, Direction], ...]:
        sorts: dict[str, Direction] = {}
        for name, direction in parse_sorts(query):
            if name not in self.columns and name not in self.constants:
                raise BadRequest(f"[{name!r}] is invalid attribute for sort_keys.")
            if name in self.columns:
                sorts.setdefault(self.columns[name], direction)
        return tuple(sorts.items())


_TAG_FILTERS: Mapping[str, Callable[[Table, Sequence[str]], ColumnElement[bool]]] = {
    "tags": lambda table, tags: records.tagged(table, every=tags),
    "tags-any": lambda table, tags: records.tagged(table, any_of=tags),
    "not-tags": lambda table, tags: records.untagged(records.tagged(table, every=tags)),
    "not-tags-any": lambda table, tags: records.untagged(records.tagged(table, any_of=tags)),
}


def refuse_excess(query: Query) -> None:
    """Raises BadRequest for a parameter that is repeated too often."""
    for name, values in query.items():
        if len(values) > MOST_VALUES:
            raise BadRequest(f"{name} is given {len(values)} times; {MOST_VALUES} times are possible.")


def _value(column: Column[Any], name: str, text: str) -> Any:
    if isinstance(column.type, Boolean):
        if text.lower() not in TRUE + FALSE:
            raise BadRequest(f"Invalid input for {name}: {text!r} cannot be converted to boolean.")
        return text.lower() in TRUE
    if isinstance(column.type, Integer):
        if not text.removeprefix("-").isdecimal() or len(text) > MOST_DIGITS:
            raise BadRequest(f"Invalid input for {name}: {text!r} is not an integer.")
        return int(text)
    return text


class Page(Struct, frozen=True):
    limit: int | None
    """None: no limit, which is also what 0 asks for."""
    marker: str | None
    backwards: bool


def parse_page(query: Query) -> Page:
    """Raises BadRequest for a limit that is no number."""
    limit, marker, backwards = (_last(query, name) for name in ("limit", "marker", "page_reverse"))
    if limit and (not limit.isdecimal() or len(limit) > MOST_DIGITS):
        raise BadRequest(f"Invalid input for limit: {limit!r} must be an integer that is not negative.")
    return Page(int(limit or 0) or None, marker or None, backwards.lower() in TRUE)


def _last(query: Query, name: str) -> str:
    return query[name][-1] if query.get(name) else ""


def parse_sorts(query: Query) -> list[tuple[str, Direction]]:
    """Attribute and direction, in the order of the sort keys: what is sorted by an attribute already does not change
    by that attribute again. Raises BadRequest for another direction."""
    directions = query.get("sort_dir", ())
    found: dict[str, Direction] = {}
    for place, key in enumerate(query.get("sort_key", ())):
        direction = directions[place] if place < len(directions) else "asc"
        if direction not in ("asc", "desc"):
            raise BadRequest(f"[{direction!r}] is invalid value for sort_dirs, valid value is 'asc' and 'desc'.")
        found.setdefault(key, "desc" if direction == "desc" else "asc")
    return list(found.items())
