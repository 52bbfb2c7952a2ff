"""How lists of the network service are spelled, and what a table can be listed by.

A page costs what is on it. Source: Networking API v2.0, "Filtering", "Pagination" and "Sorting".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, FromClause, Integer

from kilonova.kit.db.selections import NOTHING, Filter
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Dialect, Listing, Reader, since, tag_filters
from kilonova.kit.http.queries import FALSE, TRUE
from kilonova.kit.http.routes import Request
from kilonova.network.errors import InvalidInput

Condition = Callable[[Sequence[str]], ColumnElement[bool]]

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


def _refuse(request: Request[Any], listing: Listing) -> None:
    """Raises BadRequest for a parameter that is repeated too often, and for one that is no attribute to filter by."""
    possible = listing.query
    for name in request.query:
        count = len(request.query.getlist(name))
        if count > MOST_VALUES:
            raise BadRequest(f"{name} is given {count} times; {MOST_VALUES} times are possible.")
        if name not in possible:
            known = ", ".join(sorted(listing.filters))
            raise BadRequest(f"[{name!r}] is invalid attribute for filtering; possible are {known}.")


DIALECT = Dialect(
    names=("fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"),
    # As upstream, a full page links on: whether more follows was not looked at.
    looks_ahead=False,
    refuse=_refuse,
    lost_marker=lambda marker: InvalidInput(f"the marker {marker!r} is not in the list."),
    bad_limit="Invalid input for limit: {limit!r} must be an integer that is not negative.",
    bad_sort_key="[{key!r}] is invalid attribute for sort_keys.",
    bad_sort_dir="[{direction!r}] is invalid value for sort_dirs, valid value is 'asc' and 'desc'.",
)


def listing(
    table: FromClause,
    columns: Mapping[str, str],
    *,
    constants: Mapping[str, str] | None = None,
    special: Mapping[str, Condition] | None = None,
    is_tagged: bool = True,
    shown_by: Mapping[str, str] | None = None,
) -> Listing:
    """How a table is listed. `columns`: attribute → column; `constants`: attributes that are the same for every row;
    `special`: attribute → what its values mean, where that is no column; `shown_by`: attribute → the rule of those who
    are shown it."""
    constants = constants or {}
    return Listing(
        dialect=DIALECT,
        filters={
            **{name: _any_of(table.c[column]) for name, column in columns.items() if name not in TIMES},
            **(tag_filters() if is_tagged else {}),
            **{name: _constant(value) for name, value in constants.items()},
            **{name: _special(condition) for name, condition in (special or {}).items()},
            "changed_since": since("updated_at"),
        },
        sorts={**columns, **dict.fromkeys(constants, "")},
        order=(("created_at", "asc"), ("id", "asc")),
        rules=shown_by or {},
    )


def listing_of_views(filters: Sequence[str], sorts: Sequence[str] = (), others: Sequence[str] = ()) -> Listing:
    """How what is no table is listed: by the fields of its views. It can be sorted by its filters, too."""
    return Listing(
        dialect=DIALECT,
        filters=dict.fromkeys(filters, lambda name, texts: Filter(name, "in", {text.lower() for text in texts})),
        sorts={name: name for name in (*filters, *sorts)},
        others=dict.fromkeys(others),
    )


def _special(condition: Condition) -> Reader:
    return lambda _name, texts: condition(texts)


def _constant(value: str) -> Reader:
    return lambda _name, texts: None if value in texts else NOTHING


def _any_of(column: ColumnElement[Any]) -> Reader:
    """An empty text stands for NULL, too."""

    def read(name: str, texts: Sequence[str]) -> Filter:
        wanted = [_value(column, name, text) for text in texts]
        # A number no column can hold is nobody's, and no engine takes it as a parameter.
        held = [each for each in wanted if not isinstance(each, int) or abs(each) <= LARGEST]
        return Filter(column.name, "in", [*held, None] if "" in texts and column.nullable else held)

    return read


def _value(column: ColumnElement[Any], name: str, text: str) -> Any:
    if isinstance(column.type, Boolean):
        if text.lower() not in TRUE + FALSE:
            raise BadRequest(f"Invalid input for {name}: {text!r} cannot be converted to boolean.")
        return text.lower() in TRUE
    if isinstance(column.type, Integer):
        if not text.removeprefix("-").isdecimal() or len(text) > MOST_DIGITS:
            raise BadRequest(f"Invalid input for {name}: {text!r} is not an integer.")
        return int(text)
    return text
