"""Query strings of identity's lists, and their answers. Source: Identity API v3, "Filtering and pagination"."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from kilonova.identity.api.bodies import IdentityRequest
from kilonova.identity.lists import Comparison, Filter, Listing, Page
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.paging import Paging, next_link
from kilonova.kit.http.queries import short, yes_or_no

RowT = TypeVar("RowT", bound=Struct)

COMPARISONS: Mapping[str, Comparison] = {
    f"{case}{comparison}": comparison for case in ("", "i") for comparison in ("contains", "startswith", "endswith")
}
TAG_PARAMETERS = ("tags", "tags-any", "not-tags", "not-tags-any")
PAGING = ("limit", "marker", "sort_key", "sort_dir")
MOST_SORTS = 16
"""Values of a parameter that may be given more than once."""


class Lists(Struct, frozen=True):
    """What a list can be asked for.

    A parameter that is none of it is refused with 400, where upstream ignores it. Whoever sends one means a part of the
    list, and would take the whole for it: delete every user, because there is no filter for their email. Clients send
    only those that the API's reference names.
    """

    texts: Mapping[str, str] = {}
    """Parameter → column; `PARAMETER__contains` and its like work too."""
    flags: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()
    """What the API can filter by and no record here has: what is asked for so is not there."""
    others: tuple[str, ...] = ()
    """What the handler reads itself."""

    @property
    def query(self) -> dict[str, str | None]:
        """The route's query parameters."""
        inexact = [f"{name}__{comparison}" for name in self.texts for comparison in COMPARISONS]
        return dict.fromkeys((*self.texts, *inexact, *self.flags, *self.strange, *self.others, *PAGING))

    def read(self, request: IdentityRequest) -> Listing:
        """Raises BadRequest."""
        refuse_unknown(request, self.query)
        query = request.query
        keys = {"id": "id", **{name: name for name in self.sorts}}
        asked = Paging(keys, (("id", "asc"),)).parse(query)
        limit = asked.limit if query.get("limit") not in (None, "", "0") else None
        filters = [Filter(column, "equals", query[name]) for name, column in self.texts.items() if name in query]
        filters += [Filter(name, "equals", yes_or_no(name, query[name])) for name in self.flags if name in query]
        for name, column in self.texts.items():
            for spelling, comparison in COMPARISONS.items():
                if (text := query.get(f"{name}__{spelling}")) is not None:
                    filters.append(Filter(column, comparison, text))
        is_empty = any(name in query for name in self.strange)
        return Listing(filters, asked.sorts, limit, asked.marker, is_empty)


def refuse_unknown(request: IdentityRequest, known: Mapping[str, str | None]) -> None:
    """Raises BadRequest for a parameter that would not be obeyed: an unknown one, the second of one that counts once,
    or a value that is longer than what it is compared with; lists of tags have a bound of their own."""
    for name, text in request.query.items():
        if name not in known:
            shown = ", ".join(each for each in known if "__" not in each)
            raise BadRequest(f"This list cannot be asked for {name[:64]!r}; it can be for {shown}.")
        count, most = len(request.query.getlist(name)), MOST_SORTS if name in ("sort_key", "sort_dir") else 1
        if count > most:
            raise BadRequest(
                f"{name} may be given {most} times here, not {count}." if most > 1 else f"{name} is given twice."
            )
        if name not in TAG_PARAMETERS:
            short(name, text)


def paged(
    request: IdentityRequest, plural: str, page: Page[RowT], view: Callable[[RowT, str], dict[str, Any]]
) -> dict[str, Any]:
    """`{"users": [...], "links": {"self", "previous", "next"}}`."""
    url = f"{request.base_url}{request.url_path}"
    own = f"{url}?{request.query}" if str(request.query) else url
    following = next_link(url, request.query, page.next_marker) if page.next_marker is not None else None
    shown = [view(each, request.base_url) for each in page.rows]
    return {plural: shown, "links": {"self": own, "previous": None, "next": following}}
