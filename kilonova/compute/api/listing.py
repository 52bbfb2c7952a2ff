"""How lists of compute are spelled. Source: Compute API reference, the parameters `limit`, `marker` and `offset`."""

from collections.abc import Callable
from dataclasses import replace

from kilonova.compute.api.bodies import ComputeRequest, refuse_unknown_queries
from kilonova.kit.http.lists import Dialect, Listing


def strict_from(change: str) -> Callable[[ComputeRequest, Listing], None]:
    """Refuses parameters that the route does not name, from the version of `change` on."""
    return lambda request, _listing: refuse_unknown_queries(request, change)


DIALECT = Dialect(default_limit=1000, largest_limit=1000, refuse=strict_from("strict_queries"))
OFFSETS = replace(DIALECT, names=("limit", "offset"), looks_ahead=False)
"""The dialect of lists that are paged by offset: they have no markers, and their pages no links."""
UNPAGED = replace(DIALECT, names=())
