"""Query strings of lists of images: filters, order, page. Source: Image API v2 reference, "List images".

Every property is a filter, so an unknown parameter is one. What may be given once is refused when it comes twice: the
caller means something by each. Nobody gains by more filters than an image can match.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from starlette.datastructures import QueryParams

from kilonova.image.images import MAX_PROPERTIES, MAX_TAGS, Condition, ImageFilters, Listing
from kilonova.image.tables import MemberStatus, Visibility
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32, MAX_INT64
from kilonova.kit.http.queries import MAX_SHOWN, different, moment, short, whole_number, yes_or_no

DEFAULT_LIMIT, MAX_LIMIT = 25, 1000
MOST_LISTED = 1000
"""Values of one `in:`: as many as a page has images."""
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
LISTS = ("id", "name", "status", "container_format", "disk_format")
"""Columns that may be asked for as `in:a,b`."""

PLAIN = {"owner": "owner", "checksum": "checksum", "os_hash_value": "hash_value", "os_hash_algo": "hash_algorithm"}
NUMBERS = {
    "size": "size_bytes",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "virtual_size": "virtual_size_bytes",
}
FLAGS = {"protected": "protected", "os_hidden": "hidden"}
TIMES = ("created_at", "updated_at")
NOT_FILTERS = ("limit", "marker", "sort", "sort_key", "sort_dir", "tag", "member_status", "visibility")
QUERY: dict[str, str | None] = dict.fromkeys(
    (
        *NOT_FILTERS,
        *LISTS,
        *PLAIN,
        *FLAGS,
        *TIMES,
        *NUMBERS,
        *(f"{name}_{end}" for name in NUMBERS for end in ("min", "max")),
    )
)
"""Besides these, every property is a filter."""

Direction = Literal["asc", "desc"]


def read_listing(query: QueryParams) -> Listing:
    """Raises BadRequest."""
    limit, marker = query.get("limit"), query.get("marker")
    sorts = _read_sorts(query)
    if "id" not in [name for name, _ in sorts]:
        # Ties are broken as upstream does: by time of creation, then by id.
        direction = sorts[0][1]
        if "created_at" not in [name for name, _ in sorts]:
            sorts.append(("created_at", direction))
        sorts.append(("id", direction))
    count = DEFAULT_LIMIT if limit is None else min(whole_number("limit", limit, most=MAX_INT64), MAX_LIMIT)
    return Listing(count, None if marker is None else short("marker", marker), tuple(sorts))


def _read_sorts(query: QueryParams) -> list[tuple[str, Direction]]:
    keys = query.getlist("sort_key")
    directions = query.getlist("sort_dir")
    if "sort" in query:
        if keys or directions:
            raise BadRequest("Sort either with sort, or with sort_key and sort_dir.")
        for part in query["sort"].split(","):
            key, _, direction = part.strip().partition(":")
            keys.append(key)
            directions.append(direction or "desc")
    keys = keys or ["created_at"]
    if len(directions) == 1:
        directions *= len(keys)
    directions = directions or ["desc"] * len(keys)
    if len(directions) != len(keys):
        raise BadRequest(f"There are {len(keys)} sort keys, but {len(directions)} directions.")
    sorts: dict[str, Direction] = {}
    for key, direction in zip(keys, directions, strict=True):
        column, read = _read_sort(key.strip(), direction.strip())
        # A key that comes again sorts nothing, and each one costs the database a comparison more for each row.
        sorts.setdefault(column, read)
    return list(sorts.items())


def _read_sort(key: str, direction: str) -> tuple[str, Direction]:
    if key not in SORT_KEYS:
        raise BadRequest(f"Invalid sort key {key[:MAX_SHOWN]!r}; allowed are {', '.join(SORT_KEYS)}.")
    if direction == "asc":
        return SORT_KEYS[key], "asc"
    if direction == "desc":
        return SORT_KEYS[key], "desc"
    raise BadRequest(f"Invalid sort direction {direction[:MAX_SHOWN]!r}; allowed are asc, desc.")


def read_filters(query: QueryParams) -> ImageFilters:
    """Raises BadRequest. A parameter that is nothing else is a property."""
    _refuse_repeated(query)
    visibility = _one_word("visibility", query.get("visibility"), (*get_args(Visibility), "all"))
    member_status = _one_word("member_status", query.get("member_status"), (*get_args(MemberStatus), "all"))
    tags = different("tag", (short("tag", tag.strip()) for tag in query.getlist("tag")), MAX_TAGS, of="tags")
    filters = ImageFilters([], {}, tags, visibility, member_status or "accepted")
    given: Mapping[str, str] = {"os_hidden": "false", **query}
    for name, text in given.items():
        if name not in NOT_FILTERS:
            _add_filter(filters, name, text)
    if len(filters.properties) > MAX_PROPERTIES:
        raise BadRequest(
            f"A list takes {MAX_PROPERTIES} properties as filters at most, got {len(filters.properties)}: no image has "
            "more."
        )
    return filters


def _one_word(name: str, word: str | None, allowed: Sequence[str]) -> str | None:
    if word is not None and word not in allowed:
        raise BadRequest(f"Invalid {name} {word[:MAX_SHOWN]!r}; allowed are {', '.join(allowed)}.")
    return word


def _refuse_repeated(query: QueryParams) -> None:
    counts = Counter(name for name, _ in query.multi_items())
    for name, count in counts.items():
        if count > 1 and name not in REPEATED:
            raise BadRequest(f"{name[:MAX_SHOWN]} may be given once here, not {count} times.")


def _add_filter(filters: ImageFilters, name: str, text: str) -> None:
    base = name.removesuffix("_min").removesuffix("_max")
    if name == "changes-since":
        raise BadRequest("The filter changes-since belongs to an older API; use updated_at=gte:TIME.")
    if name in LISTS:
        filters.conditions.append(_one_of(name, text))
    elif name in TIMES:
        filters.conditions.append(_time(name, text))
    elif name in FLAGS:
        filters.conditions.append(Condition(FLAGS[name], "eq", yes_or_no(name, text)))
    elif name in PLAIN:
        filters.conditions.append(Condition(PLAIN[name], "eq", short(name, text)))
    elif base in NUMBERS:
        number = whole_number(name, text, most=MAX_INT64 if NUMBERS[base].endswith("_bytes") else MAX_INT32)
        comparison: dict[str, Literal["eq", "gte", "lte"]] = {base: "eq", f"{base}_min": "gte", f"{base}_max": "lte"}
        filters.conditions.append(Condition(NUMBERS[base], comparison[name], number))
    else:
        filters.properties[short("The name of a property", name)] = text


def _one_of(name: str, text: str) -> Condition:
    operator, colon, value = text.partition(":")
    if colon and operator == "in":
        try:
            (values,) = csv.reader([value], strict=True)
        except (csv.Error, ValueError) as error:
            raise BadRequest(f"{name}: cannot read the list {value[:MAX_SHOWN]!r}.") from error
        wanted = different(name, (short(name, each) for each in values), MOST_LISTED)
        return Condition(name, "in", wanted)
    if colon and operator == "eq":
        return Condition(name, "eq", short(name, value))
    if colon and operator in ("neq", "gt", "gte", "lt", "lte"):
        raise BadRequest(f"{name} can be compared with eq and in, not with {operator}.")
    return Condition(name, "eq", short(name, text))


def _time(name: str, text: str) -> Condition:
    operator, colon, value = text.partition(":")
    comparison: Any = operator if colon and operator in ("eq", "neq", "gt", "gte", "lt", "lte") else "eq"
    return Condition(name, comparison, moment(name, value if comparison == operator else text))
