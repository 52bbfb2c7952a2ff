"""What a list of servers may be narrowed to."""

from datetime import datetime

from msgspec import Struct


class Filters(Struct, frozen=True, kw_only=True):
    """What every server of the list has to match. None and empty ask for nothing."""

    project_id: str | None = None
    equal: dict[str, str | int | bool] = {}
    """Column → value."""
    patterns: dict[str, str] = {}
    """Column → regular expression found anywhere in it."""
    flavor_id: str | None = None
    image_id: str | None = None
    statuses: tuple[str, ...] | None = None
    task_states: tuple[str, ...] = ()
    addresses: dict[int, str] = {}
    """4 or 6 → regular expression from the start of an address of that version."""
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_not_all: tuple[str, ...] = ()
    tags_not_any: tuple[str, ...] = ()
    changed_since: datetime | None = None
    changed_before: datetime | None = None
    with_live: bool = True
    with_deleted: bool = False
