"""Reading `limit`, `marker` and sort parameters, and the link to the next page.

Source: the API guidelines on pagination; each service says how it spells sorting (`sort_key`/`sort_dir`, or `sort`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT64
from kilonova.kit.http.queries import whole_number

Direction = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that a request asks for. `sorts` always ends in a unique key."""

    limit: int
    marker: str | None
    sorts: tuple[tuple[str, Direction], ...]


@dataclass(frozen=True, slots=True)
class Paging:
    """How one resource may be paged and sorted. `keys` maps the API's names to columns' names."""

    keys: Mapping[str, str]
    default: tuple[tuple[str, Direction], ...]
    unique_key: str = "id"
    maximum: int = 1000

    def parse(self, query: QueryParams) -> Page:
        """Raises BadRequest naming the parameter and what it may be."""
        limit = self._limit(query.get("limit"))
        sorts = self._sorts(query)
        if self.unique_key not in [key for key, _ in sorts]:
            sorts.append((self.unique_key, sorts[0][1] if sorts else "asc"))
        return Page(limit, query.get("marker") or None, tuple(sorts))

    def _limit(self, text: str | None) -> int:
        if text is None or text == "":
            return self.maximum
        return min(whole_number("limit", text, most=MAX_INT64) or self.maximum, self.maximum)

    def _sorts(self, query: QueryParams) -> list[tuple[str, Direction]]:
        keys = query.getlist("sort_key")
        directions = query.getlist("sort_dir")
        for part in ",".join(query.getlist("sort")).split(","):
            key, _, direction = part.strip().partition(":")
            if key:
                keys.append(key)
                directions.append(direction or "asc")
        if not keys:
            return list(self.default)
        sorts: list[tuple[str, Direction]] = []
        for position, key in enumerate(keys):
            direction = directions[position] if position < len(directions) else "asc"
            if key not in self.keys:
                raise BadRequest(f"Cannot sort by {key!r}; possible keys are {', '.join(sorted(self.keys))}.")
            if direction not in ("asc", "desc"):
                raise BadRequest(f"The sort direction must be asc or desc, got {direction!r}.")
            # A key that comes again sorts nothing, and each one costs the database a comparison more for each row.
            if self.keys[key] not in [column for column, _ in sorts]:
                sorts.append((self.keys[key], "desc" if direction == "desc" else "asc"))
        return sorts


def next_link(url: str, query: QueryParams, marker: str) -> str:
    """The same request from `marker` on."""
    kept = [(name, value) for name, value in query.multi_items() if name != "marker"]
    return f"{url}?{urlencode([*kept, ('marker', marker)])}"


def split_page(rows: Sequence[object], limit: int) -> bool:
    """Whether there is more than one page: callers read one row beyond the limit."""
    return len(rows) > limit
