"""Scheduler hints of a request, checked before anything is made of them."""

from collections.abc import Mapping
from typing import Any

from kilonova.compute.api.bodies import UUID
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.rules import Rules
from kilonova.compute.scheduling.unasked import refuse_unasked_hints
from kilonova.kit.errors import BadRequest

MOST_HINTED = 64
"""Servers that one scheduler hint names."""


def check_hints(hints: Mapping[str, Any], rules: Rules) -> None:
    """Raises BadRequest."""
    group_id = hints.get("group")
    if group_id is not None and not UUID.fullmatch(str(group_id)):
        raise BadRequest(f"The scheduler hint group is the UUID of a server group, got {group_id!r}.")
    try:
        refuse_unasked_hints(hints, rules)
    except UnusableSpec as error:
        raise BadRequest(str(error)) from error
    for name in ("same_host", "different_host"):
        named = hints.get(name, [])
        named = named if isinstance(named, list) else [named]
        if len(named) > MOST_HINTED:
            raise BadRequest(f"The scheduler hint {name} names {MOST_HINTED} servers at most, got {len(named)}.")
        for each in named:
            if not UUID.fullmatch(str(each)):
                raise BadRequest(f"The scheduler hint {name} names servers by UUID, got {each!r}.")
