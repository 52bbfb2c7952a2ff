"""Answers to lists: a page's views with the fields asked for, and links to the neighbouring pages."""

from typing import Any

from kilonova.kit.http.lists import Cut, Listing, cut_among
from kilonova.network.api.bodies import Body, NetworkRequest, only_fields

FIELDS: dict[str, str | None] = {"fields": None}
"""The query parameters of a single resource."""


def list_views(request: NetworkRequest, listing: Listing, plural: str, views: list[Body], key: str = "id") -> Body:
    """A list of what is no table (agents, addresses in use), from the views of all of it."""
    found = cut_among(views, listing.read(request), lambda view: str(view[key]))
    return answer(plural, found, found.rows)


def answer(plural: str, cut: Cut[Any], views: list[Body]) -> Body:
    fields, name = set(cut.page.query.getlist("fields")), plural.replace("-", "_")
    return {name: [only_fields(view, fields) for view in views], **cut.links(name)}
