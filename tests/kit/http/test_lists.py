"""Lists: what a query asks for, what a table and rows in memory answer, and how pages link to each other."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec import Struct
from sqlalchemy import JSON, Column, Integer, MetaData, String, Table
from starlette.datastructures import Headers, QueryParams

from kilonova.kit.auth import Policy, RequestContext, Rule
from kilonova.kit.db import Database, UtcDateTime
from kilonova.kit.db.selections import NOTHING, Filter, Selection, among, fits_texts, select_rows
from kilonova.kit.errors import BadRequest, Forbidden, NotFound
from kilonova.kit.http import lists
from kilonova.kit.http.lists import Dialect, Listing, Page, cut, cut_among
from kilonova.kit.http.routes import Request
from kilonova.kit.http.versions import Change, Version, VersionEdge
from tests.databases import Databases

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(40)),
    Column("size", Integer, nullable=False),
    Column("owner", String(40), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)


class Thing(Struct):
    id: str
    name: str | None
    size: int = 0
    owner: str = "me"
    tags: list[str] = []
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


THINGS = [
    Thing("a", "Alpha red", 1, tags=["x"]),
    Thing("b", None, 3, tags=["x", "y"]),
    Thing("c", "blue", 2, created_at=datetime(2026, 3, 1, tzinfo=UTC)),
    Thing("d", "cold Red", 3, tags=["y", "100%"]),
    Thing("e", None, 2),
    Thing("f", "Alpha red", 3, owner="another"),
]
DIALECT = Dialect(default_limit=100, largest_limit=1000)
LISTING = Listing(
    dialect=DIALECT,
    filters={
        "name": lists.one_of("name"),
        "name_part": lists.text("name", "contains"),
        "size": lists.number("size"),
        "size_min": lists.number("size", "ge"),
        "created_at": lists.time("created_at"),
        "since": lists.since("created_at"),
        "nothing": lambda _name, _texts: NOTHING,
        "maybe": lists.word_if_any("owner"),
        **lists.tag_filters(),
    },
    sorts={"name": "name", "size": "size", "id": "id", "kind": ""},
    order=(("size", "desc"), ("id", "desc")),
    rules={"size": "see_size"},
)
BACK_AND_FORTH = replace(
    DIALECT, names=("limit", "marker", "page_reverse", "sort_key", "sort_dir"), default_limit=None, looks_ahead=False
)
VERSIONS = VersionEdge("thing", "1.0", "1.5", [Change("1.0", "first", "All."), Change("1.5", "pages", "Pages.")])


def request(query: str = "", *, role: str = "admin", version: str = "1.5") -> Request[Any]:
    now = datetime.now(UTC)
    caller = RequestContext(
        user_id="u", user_name="u", user_domain_id="d", roles=frozenset({role}), issued_at=now, expires_at=now
    )
    return Request(
        service=None,
        method="GET",
        url_path="/things",
        path={},
        query=QueryParams(query),
        headers=Headers(),
        base_url="http://cloud",
        client_address="",
        request_id="",
        stream=lambda: _nothing(),
        policy=Policy([Rule("see_size", "role:admin")]),
        rule="list",
        context=caller,
        version=Version.parse(version),
        versions=VERSIONS,
    )


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


@pytest.fixture
async def database(databases: Databases, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(databases.engine.create("lists", tmp_path), metadata)
    database.run_alone(metadata.create_all)
    async with database.transaction() as tx:
        for thing in THINGS:
            await tx.insert(things, thing)
    yield database
    await database.close()


async def ids(database: Database, query: str, listing: Listing = LISTING) -> str:
    async with database.reading() as tx:
        page = listing.read(request(query))
        return "".join(each.id for each in cut(await select_rows(tx, things, Thing, page.selection), page).rows)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "fdbeca"),
        ("name=blue", "c"),
        ("name=eq:blue", "c"),
        ("name=in:blue,%22cold Red%22", "dc"),
        ("name_part=RED", "fda"),
        ("name_part=%25", ""),
        ("size=3", "fdb"),
        ("size_min=2&name_part=red", "fd"),
        ("created_at=gte:2026-02-01T00:00:00Z", "c"),
        ("created_at=neq:2026-01-01T00:00:00Z", "c"),
        ("created_at=2026-03-01T00:00:00Z", "c"),
        ("since=2026-02-01", "c"),
        ("nothing=at+all", ""),
        ("maybe=", "fdbeca"),
        ("maybe=another", "f"),
        ("tags=x,y", "b"),
        ("tags-any=x&tags-any=y", "dba"),
        ("not-tags=x,y", "fdeca"),
        ("not-tags-any=x,y", "fec"),
        ("tags=100%25", "d"),
        ("sort_key=name", "beafcd"),
        ("sort_key=name&sort_dir=desc", "dcfaeb"),
        ("sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc", "befacd"),
        ("sort_key=size&sort_key=id&sort_dir=asc&sort_dir=desc&sort_key=size&sort_dir=desc", "aecfdb"),
        ("sort_key=kind", "fdbeca"),
        ("limit=2", "fd"),
        ("limit=0", "fdbeca"),
        ("limit=", "fdbeca"),
        ("limit=2&marker=d", "be"),
        ("marker=a", ""),
        ("sort_key=name&marker=e", "afcd"),
    ],
)
async def test_a_table_answers_what_the_query_asks(database: Database, query: str, expected: str) -> None:
    assert await ids(database, query) == expected


async def test_an_offset_is_for_lists_that_have_one(database: Database) -> None:
    listing = replace(LISTING, dialect=replace(DIALECT, names=("limit", "offset")))
    assert await ids(database, "offset=2&limit=2", listing) == "be"
    assert await ids(database, "offset=2&limit=2") == "fd"
    assert among("abcdef", replace(listing, order=()).read(request("offset=4")).selection, str) == ["e", "f"]


async def test_a_marker_that_is_not_seen_is_lost(database: Database) -> None:
    async with database.reading() as tx:
        for marker in ("f", "none"):
            with pytest.raises(BadRequest, match=rf"marker \[{marker}\] not found"):
                await select_rows(
                    tx, things, Thing, LISTING.read(request(f"marker={marker}")).selection, [things.c.owner == "me"]
                )
        lost = replace(LISTING, dialect=replace(DIALECT, lost_marker=NotFound)).read(request("marker=none"))
        with pytest.raises(NotFound, match="none"):
            await select_rows(tx, things, Thing, lost.selection)


async def test_a_filter_may_mean_something_of_its_own(database: Database) -> None:
    meanings = {"name": lambda wanted: things.c.name.is_(None) & (things.c.size > len(wanted.value))}
    selection = Selection((Filter("name", "eq", "xx"), things.c.owner == "me"), sorts=(("id", "asc"),))
    async with database.reading() as tx:
        assert [each.id for each in await select_rows(tx, things, Thing, selection, meanings=meanings)] == ["b"]
        named = Selection((Filter("name", "in", ("blue", None)),), sorts=(("id", "asc"),))
        assert [each.id for each in await select_rows(tx, things, Thing, named)] == ["b", "c", "e"]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=x", "limit must be a whole number"),
        ("limit=-1", "limit must be a whole number"),
        (f"limit={'9' * 5000}", "limit must be a whole number"),
        ("sort_key=colour", "Cannot sort by 'colour'; possible keys are id, kind, name, size."),
        (f"sort_key={'x' * 5000}", f"Cannot sort by '{'x' * 64}'; possible keys are id, kind, name, size."),
        ("sort_key=name&sort_dir=up", "The sort direction must be asc or desc, got 'up'."),
        ("name=gt:blue", "name can be compared with eq and in, not with gt."),
        ("name=in:%22blue", "name: cannot read the list"),
        (f"name={'x' * 256}", "name has 255 characters at most, got 256."),
        (f"name=in:{','.join(map(str, range(1001)))}", "name takes 1000 values at most, got 1001."),
        (f"tags={','.join(map(str, range(51)))}", "tags takes 50 tags at most, got 51."),
        ("size=many", "size must be a whole number from 0 to 2147483647"),
        ("created_at=gte:soon", "created_at must be a time such as"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(query: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as refused:
        LISTING.read(request(query))
    assert refused.value.message.startswith(sentence)


def test_a_dialect_has_sentences_of_its_own() -> None:
    sentences = replace(DIALECT, bad_limit="{limit!r}?", bad_sort_key="{key}? {known}!", bad_sort_dir="{direction}?")
    for query, sentence in (
        ("limit={0}", "'{0}'?"),
        ("sort_key={0}", "{0}? id, kind, name, size!"),
        ("sort_key=id&sort_dir={0}", "{0}?"),
    ):
        with pytest.raises(BadRequest) as refused:
            replace(LISTING, dialect=sentences).read(request(query))
        assert refused.value.message == sentence


@pytest.mark.parametrize("query", ["size=1", "sort_key=size"])
def test_nobody_lists_by_what_a_rule_hides(query: str) -> None:
    LISTING.read(request(query))
    with pytest.raises(Forbidden, match="rule:see_size disallows to list by size"):
        LISTING.read(request(query, role="member"))


def test_the_dialect_refuses_what_the_service_does_not_ignore() -> None:
    def refuse(asked: Request[Any], listing: Listing) -> None:
        if unknown := set(asked.query) - set(listing.query):
            raise BadRequest(f"unknown: {unknown}")

    assert LISTING.read(request("colour=red")).selection.conditions == ()
    with pytest.raises(BadRequest, match="colour"):
        replace(LISTING, dialect=replace(DIALECT, refuse=refuse)).read(request("colour=red"))


# --- which parameters there are, and what limits mean ----------------------------------------------------------------


def test_a_filter_asks_for_something_from_its_change_on() -> None:
    listing = Listing(
        dialect=DIALECT, filters={"name": lists.text("name"), "size": lists.number("size")}, changes={"size": "pages"}
    )
    assert (listing.query["name"], listing.query["size"]) == (None, "pages")
    newer = listing.read(request("name=a&size=1")).selection.conditions
    older = listing.read(request("name=a&size=x", version="1.0")).selection.conditions
    assert newer == (Filter("name", "eq", "a"), Filter("size", "eq", 1))
    assert older == (Filter("name", "eq", "a"),)
    with pytest.raises(BadRequest, match="size"):
        listing.read(request("size=x"))


def test_a_route_has_the_parameters_of_its_listing() -> None:
    listing = Listing(dialect=DIALECT, filters={"name": lists.text("name")}, others={"deep": "first"}, since="pages")
    assert listing.query == {"name": None, "deep": "first", "limit": "pages", "marker": "pages"}
    assert set(LISTING.query) >= {"name", "tags-any", "limit", "marker", "sort_key", "sort_dir"}


def test_before_the_change_that_brought_pages_lists_are_whole() -> None:
    listing = replace(LISTING, since="pages")
    old, new = (listing.read(request("limit=2&marker=a", version=version)) for version in ("1.4", "1.5"))
    assert (old.limit, old.selection.limit, old.selection.marker) == (None, None, None)
    assert (new.limit, new.selection.limit, new.selection.marker) == (2, 3, "a")
    assert cut(THINGS, old).rows == THINGS


@pytest.mark.parametrize(
    ("changed", "query", "limit"),
    [
        ({}, "", 100),
        ({}, "limit=5000", 1000),
        ({}, "limit=0", 100),
        ({"counts_zero": True}, "limit=0", 0),
        ({"default_limit": None}, "limit=0", None),
        ({"default_limit": None, "largest_limit": None}, "limit=5000", 5000),
    ],
)
def test_a_page_is_as_long_as_its_dialect_says(changed: dict[str, Any], query: str, limit: int | None) -> None:
    page = replace(LISTING, dialect=replace(DIALECT, **changed)).read(request(query))
    assert page.limit == limit


def test_what_sort_parameters_say_is_the_dialect_s_matter() -> None:
    dialect = replace(DIALECT, sort_pairs=lambda asked: [(asked.query["by"], "desc")])
    assert replace(LISTING, dialect=dialect).read(request("by=name")).selection.sorts == (
        ("name", "desc"),
        ("id", "desc"),
    )
    tied = replace(LISTING, ties=("created_at", "id"))
    assert tied.read(request("sort_key=name")).selection.sorts == (
        ("name", "asc"),
        ("created_at", "asc"),
        ("id", "asc"),
    )
    assert tied.read(request("sort_key=id")).selection.sorts == (("id", "asc"),)


# --- pages and their links -------------------------------------------------------------------------------------------

Read = Callable[[Page], Sequence[Thing]]


def follow(listing: Listing, query: str, read: Read, rel: str = "next") -> list[str]:
    """What the pages hold that link on to each other."""
    pages: list[str] = []
    url: str | None = f"http://cloud/things?{query}"
    while url is not None:
        assert len(pages) < 10, url
        page = listing.read(request(urlsplit(url).query))
        found = cut(read(page), page)
        pages.append("".join(each.id for each in found.rows))
        url = getattr(found, rel)
    return pages


def in_memory(page: Page) -> list[Thing]:
    return among(THINGS, page.selection, lists.id_of)


def test_links_may_leave_out_the_host() -> None:
    page = Listing(dialect=replace(DIALECT, links_are_paths=True)).read(request("limit=1"))
    assert cut(THINGS, page).next == "/things?limit=1&marker=a"


async def test_a_filter_may_have_a_value_of_its_own_where_none_is_given(database: Database) -> None:
    listing = replace(LISTING, defaults={"size": "3"})
    assert await ids(database, "", listing) == "fdb"
    assert await ids(database, "size=1", listing) == "a"


@pytest.mark.parametrize("query", [f"{name}={tags}" for name in lists.TAG_OPERATORS for tags in ("x", "x,y", "y,z")])
async def test_lists_of_texts_are_compared_in_memory_as_in_a_table(database: Database, query: str) -> None:
    (wanted,) = LISTING.read(request(query)).selection.conditions
    assert isinstance(wanted, Filter)
    fitting = {thing.id for thing in THINGS if fits_texts(thing.tags, wanted)}
    assert set(await ids(database, query)) == fitting


def test_a_dialect_that_looks_ahead_links_on_only_to_more() -> None:
    listing = Listing(dialect=DIALECT)
    assert follow(listing, "limit=2", in_memory) == ["ab", "cd", "ef"]
    assert follow(listing, "limit=4", in_memory) == ["abcd", "ef"]
    assert follow(listing, "limit=6", in_memory) == ["abcdef"]
    assert follow(replace(listing, dialect=replace(DIALECT, counts_zero=True)), "limit=0", in_memory) == [""]


def test_a_dialect_that_does_not_look_ahead_links_on_from_every_full_page() -> None:
    listing = Listing(dialect=replace(DIALECT, looks_ahead=False))
    assert follow(listing, "limit=2", in_memory) == ["ab", "cd", "ef", ""]
    assert follow(listing, "limit=4", in_memory) == ["abcd", "ef"]


def test_pages_link_backwards_too() -> None:
    listing = Listing(dialect=BACK_AND_FORTH)
    assert follow(listing, "limit=2", in_memory) == ["ab", "cd", "ef", ""]
    assert follow(listing, "limit=2&marker=f&page_reverse=True", in_memory, "previous") == ["de", "bc", "a"]
    assert follow(listing, "limit=4&page_reverse=True", in_memory, "previous") == ["cdef", "ab"]
    page = listing.read(request("page_reverse=1&limit=2&marker=c"))
    found = cut(in_memory(page), page)
    assert found.links("things") == {
        "things_links": [
            {"rel": "next", "href": "http://cloud/things?limit=2&marker=b"},
            {"rel": "previous", "href": "http://cloud/things?limit=2&marker=a&page_reverse=True"},
        ]
    }
    assert cut(THINGS, listing.read(request(""))).links("things") == {}


async def test_a_table_is_read_backwards_in_the_list_s_order(database: Database) -> None:
    listing = replace(LISTING, dialect=BACK_AND_FORTH)
    assert await ids(database, "page_reverse=True&limit=2", listing) == "ca"
    assert await ids(database, "page_reverse=True&limit=2&marker=b", listing) == "fd"
    assert await ids(database, "page_reverse=True&limit=2&sort_key=name&marker=c", listing) == "af"


def test_a_link_repeats_the_query_as_it_was_but_for_the_place() -> None:
    page = Listing(dialect=DIALECT).read(request("a=1&marker=x&b=%26%20&a=2&limit=1"))
    link = cut(THINGS, page).next
    assert link is not None
    assert parse_qsl(urlsplit(link).query) == [("a", "1"), ("b", "& "), ("a", "2"), ("limit", "1"), ("marker", "a")]
    assert page.own == "http://cloud/things?a=1&marker=x&b=%26+&a=2&limit=1"
    bare = Listing(dialect=DIALECT).read(request("marker=x"))
    assert (bare.link(), bare.link(("marker", "y"))) == ("http://cloud/things", "http://cloud/things?marker=y")


def test_a_page_that_ends_early_links_on() -> None:
    page = Listing(dialect=replace(DIALECT, looks_ahead=False)).read(request("limit=5"))
    assert cut(THINGS[:2], page).next is None
    assert cut(THINGS[:2], page, goes_on=True).next == "http://cloud/things?limit=5&marker=b"


# --- rows in memory --------------------------------------------------------------------------------------------------


def test_views_are_filtered_and_sorted_like_rows() -> None:
    views: list[Mapping[str, Any]] = [
        {"id": "1", "host": "B", "up": True},
        {"id": "2", "host": "a", "up": False},
        {"id": "3", "host": "b", "up": True},
    ]
    listing = Listing(
        dialect=DIALECT,
        filters={
            "up": lambda name, texts: Filter(name, "in", {text.lower() for text in texts}),
            "host": lists.word_if_any("host"),
        },
        sorts={"host": "host", "id": "id"},
    )

    def listed(query: str) -> list[str]:
        page = listing.read(request(query))
        return [view["id"] for view in cut_among(views, page, lambda view: str(view["id"])).rows]

    assert listed("") == ["1", "2", "3"]
    assert listed("up=TRUE") == ["1", "3"]
    assert listed("host=b") == ["3"]
    assert listed("sort_key=host&sort_dir=desc") == ["3", "2", "1"]
    assert listed("sort_key=host&sort_key=id&sort_dir=asc&sort_dir=desc") == ["1", "2", "3"]
    with pytest.raises(BadRequest, match=r"marker \[4\] not found"):
        listed("marker=4")
    with pytest.raises(TypeError):
        among(views, Selection((Filter("host", "contains", "b"),)), str)
