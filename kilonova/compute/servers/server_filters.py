"""What a list of servers may be narrowed to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from kilonova.compute.servers import patterns
from kilonova.kit.db.selections import Filter


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
    tags: tuple[Filter, ...] = ()
    changed_since: datetime | None = None
    changed_before: datetime | None = None
    with_live: bool = True
    with_deleted: bool = False
    with_soft_deleted: bool = False


def fits_addresses(filters: Filters, ports: Sequence[dict[str, Any]]) -> bool:
    """Whether a server with these ports has an address that begins as each address filter says."""
    addresses = [each for port in ports for each in (*port.get("fixed_ips", ()), *port.get("floating_ips", ()))]
    return all(
        any(patterns.begins(pattern, each) for each in addresses if (":" in each) == (version == 6))
        for version, pattern in filters.addresses.items()
    )
