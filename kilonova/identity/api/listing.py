"""How lists of identity are spelled. Source: Identity API v3, "Filtering and pagination"."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from kilonova.identity.api.bodies import IdentityRequest
from kilonova.kit.db.selections import NOTHING, Operator, Sorts
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.lists import Cut, Dialect, Listing, Page, Reader, cut, flag, tag_filters, text
from kilonova.kit.http.queries import short

RowT = TypeVar("RowT")

COMPARISONS: Mapping[str, Operator] = {
    "contains": "contains",
    "icontains": "contains",
    "startswith": "startswith",
    "istartswith": "startswith",
    "endswith": "endswith",
    "iendswith": "endswith",
}
TAG_FILTERS = tag_filters(skips_empty=True)
MOST_SORTS = 16
"""Values of a parameter that may be given more than once."""


def _refuse(request: IdentityRequest, listing: Listing) -> None:
    """Raises BadRequest for a parameter that would not be obeyed: an unknown one, the second of one that counts once,
    or a value that is longer than what it is compared with; lists of tags have a bound of their own.

    Upstream ignores unknown ones. Whoever sends one means a part of the list, and would take the whole for it: delete
    every user, because there is no filter for their email. Clients send only those that the API's reference names.
    """
    known = listing.query
    for name, value in request.query.items():
        if name not in known:
            shown = ", ".join(each for each in known if "__" not in each)
            raise BadRequest(f"This list cannot be asked for {name[:64]!r}; it can be for {shown}.")
        count, most = len(request.query.getlist(name)), MOST_SORTS if name in ("sort_key", "sort_dir") else 1
        if count > most:
            raise BadRequest(
                f"{name} may be given {most} times here, not {count}." if most > 1 else f"{name} is given twice."
            )
        if name not in TAG_FILTERS:
            short(name, value)


def _links(_plural: str, cut: Cut[Any]) -> dict[str, Any]:
    return {"links": {"self": cut.page.own, "previous": None, "next": cut.next}}


DIALECT = Dialect(
    largest_limit=1000,
    refuse=_refuse,
    links=_links,
    lost_marker=lambda marker: BadRequest(f"The marker {marker!r} is the id of nothing in this list."),
)
UNPAGED = replace(DIALECT, names=())
_WHOLE = Listing(dialect=Dialect(names=(), links=_links))


def listing(
    texts: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    sorts: Sequence[str] = (),
    *,
    strange: Sequence[str] = (),
    readers: Mapping[str, Reader] | None = None,
    others: Sequence[str] = (),
    order: Sorts = (("id", "asc"),),
) -> Listing:
    """How a kind of record is listed. `texts`: parameter → column, where `PARAMETER__contains` and its like work, too;
    `strange`: what the API can filter by and no record here has, so that what is asked for so is not there; `others`:
    what the handler reads itself."""
    texts = texts or {}
    return Listing(
        dialect=DIALECT,
        filters={
            **{name: text(column) for name, column in texts.items()},
            **{
                f"{name}__{spelling}": text(column, comparison)
                for name, column in texts.items()
                for spelling, comparison in COMPARISONS.items()
            },
            **{name: flag(name) for name in flags},
            **dict.fromkeys(strange, lambda _name, _texts: NOTHING),
            **(readers or {}),
        },
        others=dict.fromkeys(others),
        sorts={name: name for name in ("id", *sorts)},
        order=order,
    )


def paged(
    request: IdentityRequest, plural: str, page: Page, rows: Sequence[RowT], view: Callable[[RowT, str], dict[str, Any]]
) -> dict[str, Any]:
    """`{"users": [...], "links": {"self", "previous", "next"}}`, out of what the page's selection has read."""
    found = cut(rows, page)
    return {plural: [view(each, request.base_url) for each in found.rows], **found.links(plural)}


def whole(request: IdentityRequest, plural: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """The same of a list that comes in one page, whatever it is asked for."""
    return {plural: items, **cut(items, _WHOLE.read(request)).links(plural)}
