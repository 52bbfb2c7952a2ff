"""Every list of every service is read, cut and linked by the kit's listing, so that the next one is, too."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kilonova.kit.http.lists import Listing
from kilonova.kit.http.routes import Route
from tools.stages import ROOT

SERVICES = ("identity", "image", "placement", "compute", "network", "block_storage")
PAGED_BY = {"limit", "marker", "offset", "page_reverse", "sort", "sort_key", "sort_dir"}
NO_LISTS = {"/allocation_candidates": "an answer to a claim, made anew for each: it has no order to go on in"}
OF_THEIR_OWN = {
    "kilonova/image/api/queries.py": "its dialect refuses an empty limit and a long marker before they are read",
    "kilonova/placement/api/queries.py": "candidates are limited, and are no list",
}


def listings(service: str) -> Iterator[Listing]:
    """What the modules of a service declare, by themselves or for a resource."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"kilonova.{service}."):
            for value in vars(module).values():
                declared = getattr(value, "listing", value)
                if isinstance(declared, Listing):
                    yield declared


def routes(service: str) -> list[Route]:
    app = importlib.import_module(f"kilonova.{service}.app")
    found = [each for value in vars(app).values() if isinstance(value, list) for each in value]
    return [each for each in found if isinstance(each, Route) and each.method == "GET"]


def is_list(route: Route) -> bool:
    """Whether a route answers a list that can be asked for something, or for a part of it."""
    name = getattr(route.handler, "__name__", "")
    return bool(PAGED_BY & set(route.query)) or (name.startswith("list_") and bool(route.query))


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_of_a_list_has_the_parameters_of_a_listing(service: str) -> None:
    paths = {route.path for route in routes(service) if is_list(route) and route.path not in NO_LISTS}
    assert paths
    known = [listing.query for listing in listings(service)]
    lacking = [route.path for route in routes(service) if route.path in paths and dict(route.query) not in known]
    assert lacking == []


def test_what_is_no_list_is_a_route() -> None:
    assert set(NO_LISTS) <= {route.path for service in SERVICES for route in routes(service) if is_list(route)}


def paging(source: str) -> Iterator[str]:
    """Parameters of pages that are read, links that are made, and markers that are compared in the source."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="get" | "getlist"), args=[ast.Constant(value=str() as name), *_]):
                if name in PAGED_BY:
                    yield f"reads {name}"
            case ast.Subscript(value=ast.Attribute(attr="query"), slice=ast.Constant(value=str() as name)):
                if name in PAGED_BY:
                    yield f"reads {name}"
            case ast.ImportFrom(names=names):
                yield from (f"uses {each.name}" for each in names if each.name in ("after_marker", "ordered"))
            case ast.Tuple(elts=[ast.Constant(value="marker"), second]) if not isinstance(second, ast.Constant):
                yield "makes a link"
            case ast.JoinedStr(values=values):
                texts = [each.value for each in values if isinstance(each, ast.Constant)]
                yield from ("makes a link" for each in texts if "marker=" in str(each))
            case ast.Call(func=ast.Attribute(attr="offset")):
                yield "skips rows"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('request.query.get("limit", "0")', ["reads limit"]),
        ('query.getlist("marker")', ["reads marker"]),
        ('request.query["page_reverse"]', ["reads page_reverse"]),
        ("urlencode([*kept, ('marker', rows[-1].id)])", ["makes a link"]),
        ("f'{url}?limit={limit}&marker={marker}'", ["makes a link"]),
        ("from kilonova.kit.db.selections import after_marker, paged", ["uses after_marker"]),
        ("statement.limit(1).offset(2)", ["skips rows"]),
        ('request.query.get("name")', []),
    ],
)
def test_a_page_made_by_hand_is_found(source: str, found: list[str]) -> None:
    assert list(paging(source)) == found


def makers() -> dict[str, list[str]]:
    """File of a service → what it does by hand. Sort keys are spelled by dialects, in functions that the kit calls."""
    found: dict[str, list[str]] = {}
    for service in SERVICES:
        for path in sorted(Path(ROOT, "kilonova", service).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            by_hand = [each for each in paging(path.read_text()) if each not in ("reads sort_key", "reads sort_dir")]
            if by_hand and "/agent/" not in name:
                found[name] = by_hand
    return found


def test_nobody_but_the_kit_reads_pages_and_makes_links() -> None:
    assert {name: by_hand for name, by_hand in makers().items() if name not in OF_THEIR_OWN} == {}


def test_the_exceptions_are_needed() -> None:
    assert set(OF_THEIR_OWN) <= makers().keys()
