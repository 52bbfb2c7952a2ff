"""Query strings of lists of images: filters, order, page. Source: Image API v2 reference, "List images".

Every property is a filter, so an unknown parameter is one. What may be given once is refused when it comes twice: the
caller means something by each. Nobody gains by more filters than an image can match.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from starlette.datastructures import QueryParams

from kilonova.image.images import MAX_PROPERTIES, MAX_TAGS, ImageFilters
from kilonova.image.tables import MemberStatus, Visibility
from kilonova.kit.errors import BadRequest
from kilonova.kit.http import lists
from kilonova.kit.http.bounds import MAX_INT32, MAX_INT64
from kilonova.kit.http.lists import Cut, Dialect, Listing, Reader, SortPairs
from kilonova.kit.http.queries import MAX_SHOWN, different, short, whole_number
from kilonova.kit.http.routes import Request

REPEATED = ("sort_key", "sort_dir", "tag")
SORT_KEYS = {
    "name": "name",
    "status": "status",
    "container_format": "container_format",
    "disk_format": "disk_format",
    "size": "size_bytes",
    "id": "id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
PLAIN = {"owner": "owner", "checksum": "checksum", "os_hash_value": "hash_value", "os_hash_algo": "hash_algorithm"}
NUMBERS = {
    "size": "size_bytes",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "virtual_size": "virtual_size_bytes",
}


def _refuse(request: Request[Any], _listing: Listing) -> None:
    query = request.query
    for name, count in Counter(name for name, _ in query.multi_items()).items():
        if count > 1 and name not in REPEATED:
            raise BadRequest(f"{name[:MAX_SHOWN]} may be given once here, not {count} times.")
    if "changes-since" in query:
        raise BadRequest("The filter changes-since belongs to an older API; use updated_at=gte:TIME.")
    whole_number("limit", query.get("limit", "0"), most=MAX_INT64)
    short("marker", query.get("marker", ""))


def _sort_pairs(request: Request[Any]) -> SortPairs:
    query = request.query
    keys, directions = query.getlist("sort_key"), query.getlist("sort_dir")
    if "sort" in query:
        if keys or directions:
            raise BadRequest("Sort either with sort, or with sort_key and sort_dir.")
        for part in query["sort"].split(","):
            key, _, direction = part.strip().partition(":")
            keys.append(key)
            directions.append(direction or "desc")
    keys = keys or ["created_at"]
    directions = directions or ["desc"]
    if len(directions) == 1:
        directions *= len(keys)
    if len(directions) != len(keys):
        raise BadRequest(f"There are {len(keys)} sort keys, but {len(directions)} directions.")
    return [(key.strip(), direction.strip()) for key, direction in zip(keys, directions, strict=True)]


def _links(_plural: str, cut: Cut[Any]) -> dict[str, Any]:
    following = {} if cut.next is None else {"next": cut.next}
    return {"first": cut.page.link(), **following}


DIALECT = Dialect(
    names=("limit", "marker", "sort", "sort_key", "sort_dir"),
    default_limit=25,
    largest_limit=1000,
    counts_zero=True,
    looks_ahead=False,
    links_are_paths=True,
    refuse=_refuse,
    sort_pairs=_sort_pairs,
    links=_links,
    lost_marker=lambda marker: BadRequest(f"The marker {marker} is no image."),
    bad_sort_key="Invalid sort key {key!r}; allowed are {known}.",
    bad_sort_dir="Invalid sort direction {direction!r}; allowed are asc, desc.",
)


def _number_filters(name: str, column: str) -> dict[str, Reader]:
    most = MAX_INT64 if column.endswith("_bytes") else MAX_INT32
    return {
        name: lists.number(column, most=most),
        f"{name}_min": lists.number(column, "ge", most=most),
        f"{name}_max": lists.number(column, "le", most=most),
    }


LISTING = Listing(
    dialect=DIALECT,
    filters={
        **{name: lists.one_of(name) for name in ("id", "name", "status", "container_format", "disk_format")},
        **{name: lists.text(column) for name, column in PLAIN.items()},
        **{name: lists.time(name) for name in ("created_at", "updated_at")},
        "protected": lists.flag("protected"),
        "os_hidden": lists.flag("hidden"),
        **{key: reader for name, column in NUMBERS.items() for key, reader in _number_filters(name, column).items()},
    },
    others=dict.fromkeys(("tag", "member_status", "visibility")),
    defaults={"os_hidden": "false"},
    sorts=SORT_KEYS,
    order=(("created_at", "desc"), ("id", "desc")),
    # As upstream: by time of creation, then by id.
    ties=("created_at", "id"),
)
QUERY = LISTING.query
"""Besides these, every property is a filter."""


def read_filters(query: QueryParams) -> ImageFilters:
    """Returns the filters that columns of the image's row cannot answer; an unknown parameter filters by a property.

    Raises BadRequest.
    """
    visibility = _one_word("visibility", query.get("visibility"), (*get_args(Visibility), "all"))
    member_status = _one_word("member_status", query.get("member_status"), (*get_args(MemberStatus), "all"))
    tags = different("tag", (short("tag", tag.strip()) for tag in query.getlist("tag")), MAX_TAGS, of="tags")
    properties = {short("The name of a property", name): value for name, value in query.items() if name not in QUERY}
    if len(properties) > MAX_PROPERTIES:
        raise BadRequest(
            f"A list takes {MAX_PROPERTIES} properties as filters at most, got {len(properties)}: no image has more."
        )
    return ImageFilters(properties, tags, visibility, member_status or "accepted")


def _one_word(name: str, word: str | None, allowed: Sequence[str]) -> str | None:
    if word is not None and word not in allowed:
        raise BadRequest(f"Invalid {name} {word[:MAX_SHOWN]!r}; allowed are {', '.join(allowed)}.")
    return word
