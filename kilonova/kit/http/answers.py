"""Checks other services' answers: each has a type, and is about the thing that was asked for.

One that is not counts as none: it is a service that cannot be understood, as one that cannot be reached.
"""

from functools import cache
from typing import Any

import msgspec

from kilonova.kit.http.client import RemoteUnavailable


@cache
def holding(key: str, kind: Any) -> type[msgspec.Struct]:
    """The type of an answer that has a `kind` under `key`, whatever else it has."""
    return msgspec.defstruct(f"Answer_{key}", [(key, kind)])


def check_id(service: str, wanted: str, found: str) -> None:
    """Raises RemoteUnavailable when an answer tells of another thing than the one whose id was asked for."""
    if found.lower() != wanted.lower():
        raise RemoteUnavailable(service, 502, f"was asked for {wanted}, and answered with {found}")
