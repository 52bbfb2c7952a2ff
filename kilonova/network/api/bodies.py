"""What network's handlers share: the request type, owners, and lists with filters, fields, sorting and paging.

Source: Networking API v2.0, "Filtering", "Pagination" and "Sorting".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Struct

from kilonova.kit.errors import Fault, Forbidden
from kilonova.kit.http.paging import next_link
from kilonova.kit.http.routes import Request
from kilonova.network.errors import InvalidInput
from kilonova.network.service import NetworkService

NetworkRequest = Request[NetworkService]
Body = dict[str, Any]

RESERVED = ("fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir")
STANDARD_FILTERS = {
    "id": "id",
    "name": "name",
    "description": "description",
    "project_id": "project_id",
    "tenant_id": "project_id",
    "revision_number": "revision_number",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """How a resource is listed: `columns` maps the API's attributes to columns; `other` are compared in the view."""

    plural: str
    columns: Mapping[str, str]
    other: tuple[str, ...] = ()
    booleans: tuple[str, ...] = ()
    integers: tuple[str, ...] = ("revision_number",)

    def filters(self, request: NetworkRequest) -> dict[str, list[Any]]:
        """Column → values asked for. Raises InvalidInput for an attribute that cannot be filtered by."""
        found: dict[str, list[Any]] = {}
        for name in request.query:
            if name in RESERVED or name in self.other:
                continue
            column = self.columns.get(name)
            if column is None:
                known = ", ".join(sorted({*self.columns, *self.other}))
                raise InvalidInput(f"{name!r} is no attribute to filter {self.plural} by; possible are {known}.")
            found.setdefault(column, []).extend(self._value(column, text) for text in request.query.getlist(name))
        return found

    def _value(self, column: str, text: str) -> Any:
        if column in self.booleans:
            return text.lower() in ("1", "true", "yes", "on", "t")
        if column in self.integers:
            if not text.lstrip("-").isdecimal():
                raise InvalidInput(f"{column} is a number, got {text!r}.")
            return int(text)
        return text

    def answer(self, request: NetworkRequest, views: list[Body]) -> Body:
        """The page asked for, sorted, with only the fields asked for, and links to its neighbours."""
        for name in self.other:
            wanted = request.query.getlist(name)
            if wanted:
                views = [view for view in views if _holds(view.get(name), wanted)]
        ordered = _sorted(request, views)
        page, links = _page(request, ordered)
        fields = request.query.getlist("fields")
        key = self.plural.replace("-", "_")
        body: Body = {key: [only_fields(view, fields) for view in page]}
        if links:
            body[f"{key}_links"] = links
        return body


def only_fields(view: Body, fields: Sequence[str]) -> Body:
    return {name: value for name, value in view.items() if name in fields} if fields else view


def _holds(value: Any, wanted: Sequence[str]) -> bool:
    """Whether an attribute matches any of the wanted texts: equal, in a list, or `key=value` of its entries."""
    for text in wanted:
        if isinstance(value, list):
            key, separator, content = text.partition("=")
            if text in value or any(
                separator and isinstance(each, dict) and each.get(key) == content for each in value
            ):
                return True
        elif str(value) == text or (value is None and text == ""):
            return True
    return False


def _sorted(request: NetworkRequest, views: list[Body]) -> list[Body]:
    keys, directions = request.query.getlist("sort_key"), request.query.getlist("sort_dir")
    for place in reversed(range(len(keys))):
        key = keys[place]
        if views and key not in views[0]:
            raise InvalidInput(f"{key!r} is no attribute to sort by.")
        direction = directions[place] if place < len(directions) else "asc"
        if direction not in ("asc", "desc"):
            raise InvalidInput(f"sort_dir must be asc or desc, got {direction!r}.")
        views = sorted(views, key=lambda view: _sort_value(view[key]), reverse=direction == "desc")
    return views


def _sort_value(value: Any) -> tuple[bool, Any]:
    """None before everything; numbers among themselves, all else as text."""
    return (value is not None, value if isinstance(value, int | float) else str(value))


def _page(request: NetworkRequest, views: list[Body]) -> tuple[list[Body], list[Body]]:
    text = request.query.get("limit")
    if text is not None and not text.isdecimal():
        raise InvalidInput(f"limit must be a whole number that is not negative, got {text!r}.")
    limit = int(text) if text and int(text) else None
    backwards = request.query.get("page_reverse", "").lower() in ("1", "true")
    marker = request.query.get("marker")
    if marker is not None:
        places = [place for place, view in enumerate(views) if view["id"] == marker]
        if not places:
            raise InvalidInput(f"The marker {marker!r} is not in the list.")
        views = views[: places[0]] if backwards else views[places[0] + 1 :]
    if limit is None:
        return views, []
    page = views[-limit:] if backwards else views[:limit]
    links = []
    url = request.base_url + request.url_path
    if len(views) > limit and page:
        links.append({"rel": "next", "href": next_link(url, request.query, page[-1]["id"])})
    return page, links


def given(fields: Struct, *, without: tuple[str, ...] = ()) -> Body:
    """The fields that were in the body, by our names."""
    values = {name: getattr(fields, name) for name in fields.__struct_fields__ if name not in without}
    return {name: value for name, value in values.items() if value is not UNSET}


def owner(request: NetworkRequest, fields: Any) -> str:
    """The project a new resource is for: the caller's, or another one if the caller may say so."""
    wanted = fields.project_id if fields.project_id is not UNSET else fields.tenant_id
    own = request.ctx.project_id or ""
    if wanted is UNSET or wanted in (None, own):
        request.authorize({"project_id": own})
        return own
    request.authorize({"project_id": own}, rule="create_network:project_id")
    return str(wanted)


def require(request: NetworkRequest, rule: str, target: Mapping[str, Any], attribute: str) -> None:
    """Raises Forbidden naming the attribute the caller may not set."""
    if not request.may(target, rule=rule):
        raise Forbidden(f"rule:{rule} disallows to set {attribute}")


def seen(request: NetworkRequest) -> dict[str, Any]:
    """Whose view a list is narrowed to; administrators see everything."""
    return {"seen_by": request.ctx.project_id, "sees_all": request.ctx.is_admin}


def authorize_found(request: NetworkRequest, target: Mapping[str, Any], visible: bool, missing: Fault) -> None:
    """Lookup and authorization in one: what the caller cannot see could not be found; what he may not change is 403."""
    if not (visible or request.ctx.is_admin):
        raise missing
    request.authorize(target)
