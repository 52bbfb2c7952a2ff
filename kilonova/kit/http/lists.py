"""Lists: what a request asks of one, and its answer a page at a time, in each service's own spelling.

A `Listing` says what a resource is listed by, a `Dialect` how a service spells that. `Listing.read` makes a `Page` of a
request. The domain reads the page's selection from its tables, or `among` takes it from rows in memory, and `cut` makes
the rows and links of the answer. Source: the API guidelines on filtering, sorting and pagination.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from kilonova.kit.db.selections import Condition, Direction, Filter, Operator, Selection, Sorts, among, marker_not_found
from kilonova.kit.errors import BadRequest, Fault, Forbidden
from kilonova.kit.http.bounds import MAX_INT32, MAX_INT64
from kilonova.kit.http.queries import MAX_SHOWN, TRUE, different, moment, short, tags_of, whole_number, yes_or_no
from kilonova.kit.http.routes import Request

ItemT = TypeVar("ItemT")

Reader = Callable[[str, Sequence[str]], Condition | None]
"""Makes a condition of a parameter's name and its values, in the order given; None: it asks for nothing."""
SortPairs = list[tuple[str, str]]
"""Sort keys and directions, as they were given."""

MOST_LISTED = 1000
"""Values of one `in:`: as many as a page has rows."""


# --- what is asked ---------------------------------------------------------------------------------------------------


def by_position(request: Request[Any]) -> SortPairs:
    """The n-th `sort_dir` belongs to the n-th `sort_key`; what has none is ascending."""
    keys, directions = request.query.getlist("sort_key"), request.query.getlist("sort_dir")
    return [(key, directions[place] if place < len(directions) else "asc") for place, key in enumerate(keys)]


def _ignore(_request: Request[Any], _listing: "Listing") -> None:
    """Unknown parameters ask for nothing."""


def related_links(plural: str, cut: "Cut[Any]") -> dict[str, Any]:
    """`{"networks_links": [{"rel": "next", "href": …}]}`, where there are any."""
    found = [{"rel": rel, "href": href} for rel, href in (("next", cut.next), ("previous", cut.previous)) if href]
    return {f"{plural}_links": found} if found else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a service spells its lists. Its sentences are formatted with what was given, and what is `known`."""

    names: tuple[str, ...] = ("limit", "marker", "sort_key", "sort_dir")
    """Of the parameters that all its lists have; those of sorting belong to lists that can be sorted."""
    default_limit: int | None = None
    """Rows of a page when nothing is said; None: all there are."""
    largest_limit: int | None = None
    counts_zero: bool = False
    """Whether `limit=0` asks for no rows, and not for as many as when nothing is said."""
    looks_ahead: bool = True
    """Whether a page links on only if there is a row beyond it; otherwise every full page does."""
    links_are_paths: bool = False
    """Whether links leave out scheme and host."""
    refuse: Callable[[Request[Any], "Listing"], None] = _ignore
    """Raises BadRequest for parameters that the service does not ignore: unknown, repeated, or too long ones."""
    sort_pairs: Callable[[Request[Any]], SortPairs] = by_position
    links: Callable[[str, "Cut[Any]"], dict[str, Any]] = related_links
    """Returns the fields of an answer that link to other pages; its arguments are the list's name and the page."""
    lost_marker: Callable[[str], Fault] = marker_not_found
    bad_limit: str | None = None
    """None: the sentence for any number that is none."""
    bad_sort_key: str = "Cannot sort by {key!r}; possible keys are {known}."
    bad_sort_dir: str = "The sort direction must be asc or desc, got {direction!r}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a resource can be listed by."""

    dialect: Dialect
    filters: Mapping[str, Reader] = field(default_factory=dict)
    others: Mapping[str, str | None] = field(default_factory=dict)
    """Parameters that the handler reads itself, and the changes they came with."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Filter → its value where none is given."""
    sorts: Mapping[str, str] = field(default_factory=dict)
    """Sort key → column; an empty one is the same for every row."""
    order: Sorts = ()
    """Where no other is asked for; empty: as the rows come."""
    ties: tuple[str, ...] = ("id",)
    """Columns that a table is sorted by after the others; the last one is unique."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """Parameter or sort key → policy rule of those who may use it: which rows are left, and their order, tell it."""
    since: str | None = None
    """The change that brought pages; before it the whole list is shown."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """Filter → the change it came with; before it, it is a parameter that nobody knows."""

    @property
    def query(self) -> dict[str, str | None]:
        """The route's query parameters, each with the change it came with."""
        names = [name for name in self.dialect.names if self.sorts or not name.startswith("sort")]
        filters = {name: self.changes.get(name) for name in self.filters}
        return {**filters, **self.others, **dict.fromkeys(names, self.since)}

    def read(self, request: Request[Any]) -> "Page":
        """Raises BadRequest naming the parameter and what it may be, Forbidden for one that is not the caller's."""
        dialect, query = self.dialect, request.query
        dialect.refuse(request, self)
        for name in (*query, *query.getlist("sort_key")):
            if name in self.rules and not request.may(rule=self.rules[name]):
                raise Forbidden(f"rule:{self.rules[name]} disallows to list by {name}")
        given = {name: query.getlist(name) for name in query if self._is_filter(name, request)}
        given |= {name: [value] for name, value in self.defaults.items() if name not in given}
        read = [self.filters[name](name, texts) for name, texts in given.items()]
        names = dialect.names if self.since is None or request.allows(self.since) else ()
        limit = self._limit(query.get("limit")) if "limit" in names else None
        selection = Selection(
            conditions=tuple(each for each in read if each is not None),
            sorts=self._sorts(request),
            limit=limit + 1 if limit is not None and dialect.looks_ahead else limit,
            offset=whole_number("offset", query.get("offset", "0")) if "offset" in names else 0,
            marker=query.get("marker") or None if "marker" in names else None,
            backwards="page_reverse" in names and query.get("page_reverse", "").lower() in TRUE,
            lost=dialect.lost_marker,
        )
        url = request.url_path if dialect.links_are_paths else f"{request.base_url}{request.url_path}"
        return Page(selection, limit, url, query, dialect)

    def _is_filter(self, name: str, request: Request[Any]) -> bool:
        return name in self.filters and (name not in self.changes or request.allows(self.changes[name]))

    def _limit(self, text: str | None) -> int | None:
        dialect = self.dialect
        if not text:
            return dialect.default_limit
        try:
            number = whole_number("limit", text, most=MAX_INT64)
        except BadRequest:
            if dialect.bad_limit is None:
                raise
            raise BadRequest(dialect.bad_limit.format(limit=text[:MAX_SHOWN])) from None
        if number == 0 and not dialect.counts_zero:
            return dialect.default_limit
        return number if dialect.largest_limit is None else min(number, dialect.largest_limit)

    def _sorts(self, request: Request[Any]) -> Sorts:
        found: dict[str, Direction] = {}
        for key, direction in self.dialect.sort_pairs(request) if self.sorts else ():
            if key not in self.sorts:
                known = ", ".join(sorted(self.sorts))
                raise BadRequest(self.dialect.bad_sort_key.format(key=key[:MAX_SHOWN], known=known))
            if direction not in ("asc", "desc"):
                raise BadRequest(self.dialect.bad_sort_dir.format(direction=direction[:MAX_SHOWN]))
            # A key that comes again sorts nothing, and each one costs the database a comparison more for each row.
            if self.sorts[key]:
                found.setdefault(self.sorts[key], "desc" if direction == "desc" else "asc")
        found = found or dict(self.order)
        if self.order:
            first = next(iter(found.values()))
            for column in self.ties if self.ties[-1] not in found else ():
                found.setdefault(column, first)
        return tuple(found.items())


# --- readers of filters ----------------------------------------------------------------------------------------------


def text(column: str, operator: Operator = "eq") -> Reader:
    return lambda name, texts: Filter(column, operator, short(name, texts[-1]))


def flag(column: str) -> Reader:
    return lambda name, texts: Filter(column, "eq", yes_or_no(name, texts[-1]))


def number(column: str, operator: Operator = "eq", *, most: int = MAX_INT32) -> Reader:
    return lambda name, texts: Filter(column, operator, whole_number(name, texts[-1], most=most))


def word_if_any(column: str) -> Reader:
    """An empty text asks for nothing."""
    return lambda _name, texts: Filter(column, "eq", texts[-1]) if texts[-1] else None


def since(column: str) -> Reader:
    return lambda name, texts: Filter(column, "ge", moment(name, texts[-1]))


TAG_OPERATORS: Mapping[str, Operator] = {
    "tags": "has_all",
    "tags-any": "has_any",
    "not-tags": "lacks_one",
    "not-tags-any": "lacks_all",
}
"""Source: the API guidelines on tags."""


def tag_filters(column: str = "tags", *, skips_empty: bool = False) -> dict[str, Reader]:
    def reader(operator: Operator) -> Reader:
        def read(name: str, texts: Sequence[str]) -> Condition | None:
            tags = [tag for tag in tags_of(name, texts) if tag or not skips_empty]
            return Filter(column, operator, tags) if tags else None

        return read

    return {name: reader(operator) for name, operator in TAG_OPERATORS.items()}


_COMPARISONS: Mapping[str, Operator] = {"eq": "eq", "neq": "ne", "gt": "gt", "gte": "ge", "lt": "lt", "lte": "le"}


def time(column: str) -> Reader:
    """A time, or `gte:` and one."""

    def read(name: str, texts: Sequence[str]) -> Condition:
        comparison, _, value = texts[-1].partition(":")
        if comparison not in _COMPARISONS:
            return Filter(column, "eq", moment(name, texts[-1]))
        return Filter(column, _COMPARISONS[comparison], moment(name, value))

    return read


def one_of(column: str) -> Reader:
    """A text, or `in:` and several, separated by commas."""

    def read(name: str, texts: Sequence[str]) -> Condition:
        comparison, colon, value = texts[-1].partition(":")
        if colon and comparison == "in":
            try:
                (values,) = csv.reader([value], strict=True)
            except (csv.Error, ValueError) as error:
                raise BadRequest(f"{name}: cannot read the list {value[:MAX_SHOWN]!r}.") from error
            return Filter(column, "in", different(name, (short(name, each) for each in values), MOST_LISTED))
        if colon and comparison == "eq":
            return Filter(column, "eq", short(name, value))
        if colon and comparison in _COMPARISONS:
            raise BadRequest(f"{name} can be compared with eq and in, not with {comparison}.")
        return Filter(column, "eq", short(name, texts[-1]))

    return read


# --- what is answered ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """What a request asks of a list, and what links to its other pages are made of."""

    selection: Selection
    limit: int | None
    """Most rows to show."""
    url: str
    query: QueryParams
    dialect: Dialect

    def link(self, *changed: tuple[str, str]) -> str:
        """The same request from another place on."""
        places = {"marker", "page_reverse"} & set(self.dialect.names)
        kept = [(name, value) for name, value in self.query.multi_items() if name not in places]
        return self.url + (f"?{urlencode([*kept, *changed])}" if kept or changed else "")

    @property
    def own(self) -> str:
        """The request's own URL."""
        return f"{self.url}?{self.query}" if self.query else self.url


@dataclass(frozen=True, slots=True)
class Cut(Generic[ItemT]):
    """The rows of a page that are shown, and the links to its neighbours that there are."""

    rows: list[ItemT]
    page: Page
    next: str | None
    previous: str | None

    def links(self, plural: str) -> dict[str, Any]:
        """The fields of the answer that link to other pages."""
        return self.page.dialect.links(plural, self)


def id_of(row: Any) -> str:
    return str(row.id)


def cut(rows: Sequence[ItemT], page: Page, key: Callable[[ItemT], str] = id_of, *, goes_on: bool = False) -> Cut[ItemT]:
    """The page out of what its selection has read. `goes_on`: the page ends early, and there is more."""
    limit = len(rows) + 1 if page.limit is None else page.limit
    shown, backwards = list(rows[:limit]), page.selection.backwards
    has_more = goes_on or (len(rows) > limit if page.dialect.looks_ahead else len(rows) == limit)
    following = previous = None
    if (has_more and shown) or backwards:
        following = page.link(*([("marker", key(shown[-1]))] if shown else []))
    if "page_reverse" in page.dialect.names and page.limit is not None and (has_more or not backwards):
        previous = page.link(*([("marker", key(shown[0]))] if shown else []), ("page_reverse", "True"))
    return Cut(shown, page, following if page.limit is not None else None, previous)


def cut_among(rows: Iterable[ItemT], page: Page, key: Callable[[ItemT], str] = id_of) -> Cut[ItemT]:
    """The page out of rows in memory, all of them."""
    return cut(among(rows, page.selection, key), page, key)
