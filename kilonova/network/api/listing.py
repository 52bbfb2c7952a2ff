"""Answers to lists: pages with the fields asked for, and links to the neighbouring pages.

Lists that are no table (agents, addresses in use) are filtered, sorted and cut here, alike by `list_views`.
Source: Networking API v2.0, "Filtering", "Pagination" and "Sorting".
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from kilonova.kit.errors import BadRequest, Forbidden
from kilonova.network.api.bodies import Body, NetworkRequest, only_fields
from kilonova.network.records import Selection
from kilonova.network.selections import RESERVED, Listing, Query, parse_page, parse_sorts, refuse_excess

FIELDS: dict[str, str | None] = {"fields": None}
"""The query parameters of a single resource."""


def query_of_list(filters: Sequence[str]) -> dict[str, str | None]:
    """The query parameters of a list that `list_views` makes."""
    return dict.fromkeys((*filters, *RESERVED))


def query_of(request: NetworkRequest) -> Query:
    found: dict[str, list[str]] = {}
    for name, value in request.query.multi_items():
        found.setdefault(name, []).append(value)
    return found


def selection_of(request: NetworkRequest, listing: Listing) -> Selection:
    """What the request asks of the list. Raises BadRequest, and Forbidden for an attribute that its caller is not
    shown: which rows are left, and in which order, would tell it."""
    query = query_of(request)
    for name in (*query, *query.get("sort_key", ())):
        rule = listing.shown_by.get(name)
        if rule is not None and not request.may(rule=rule):
            raise Forbidden(f"rule:{rule} disallows to list by {name}")
    return listing.selection(query)


def list_views(
    request: NetworkRequest,
    plural: str,
    views: list[Body],
    filterable: Sequence[str],
    *,
    key: str = "id",
    apart: Sequence[str] = (),
) -> Body:
    """A list from views. `apart`: filters that the caller has applied himself."""
    query, page = query_of(request), parse_page(query_of(request))
    refuse_excess(query)
    for name in query:
        if name in (*RESERVED, *apart):
            continue
        if name not in filterable:
            known = ", ".join(sorted(filterable))
            raise BadRequest(f"[{name!r}] is invalid attribute for filtering; possible are {known}.")
        wanted = {text.lower() for text in query[name]}
        views = [view for view in views if str(view[name]).lower() in wanted]
    for name, direction in reversed(parse_sorts(query)):
        if any(name not in view for view in views):
            raise BadRequest(f"[{name!r}] is invalid attribute for sort_keys.")
        views = sorted(views, key=lambda view: str(view[name]), reverse=direction == "desc")
    if page.marker:
        places = [place for place, view in enumerate(views) if view[key] == page.marker]
        if not places:
            raise BadRequest(f"The marker {page.marker!r} is not in the list.")
        views = views[: places[0]] if page.backwards else views[places[0] + 1 :]
    if page.limit:
        views = views[-page.limit :] if page.backwards else views[: page.limit]
    return answer(request, plural, views, key)


def answer(request: NetworkRequest, plural: str, views: list[Body], key: str = "id") -> Body:
    """A page that holds these views. As upstream, a full page links on: whether more follows was not looked at."""
    fields, page = set(request.query.getlist("fields")), parse_page(query_of(request))
    name = plural.replace("-", "_")
    body: Body = {name: [only_fields(view, fields) for view in views]}
    if page.limit:
        is_short = len(views) < page.limit
        links = []
        if not is_short or page.backwards:
            links.append({"rel": "next", "href": _link(request, views[-1][key] if views else None)})
        if not (is_short and page.backwards):
            links.append({"rel": "previous", "href": _link(request, views[0][key] if views else None, backwards=True)})
        body[f"{name}_links"] = links
    return body


def _link(request: NetworkRequest, marker: str | None, *, backwards: bool = False) -> str:
    query = [(name, value) for name, value in request.query.multi_items() if name not in ("marker", "page_reverse")]
    query += [("marker", marker)] if marker else []
    query += [("page_reverse", "True")] if backwards else []
    return f"{request.base_url}{request.url_path}?{urlencode(query)}"
