"""Refuses hints and extra specs that no filter can obey, or whose filter the operator has not chosen. Pure.

What no filter goes by would be taken and missed. Source: compute admin guide, "Compute scheduler".
"""

from collections.abc import Mapping
from typing import Any

from kilonova.compute.scheduling import json_query
from kilonova.compute.scheduling.aggregate_filters import EXTRA_SPECS
from kilonova.compute.scheduling.filters import CIDR, NEAR, network_near
from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.rules import Rules

OF_FILTER: Mapping[str, str] = {
    "same_host": "SameHostFilter",
    "different_host": "DifferentHostFilter",
    json_query.HINT: "JsonFilter",
    NEAR: "SimpleCIDRAffinityFilter",
    CIDR: "SimpleCIDRAffinityFilter",
}
"""Hint → the filter that goes by it. Hints that are not named here or below are their users' notes."""
UNSERVED_HINTS = ("target_cell", "different_cell")


def refuse_unasked_hints(hints: Mapping[str, Any], rules: Rules) -> None:
    """Raises UnusableSpec."""
    for name in UNSERVED_HINTS:
        if name in hints:
            raise UnusableSpec(f"The scheduler hint {name} cannot be obeyed here yet.")
    for name, asked in OF_FILTER.items():
        if name in hints and asked not in rules.filters:
            raise UnusableSpec(f"The scheduler hint {name} is obeyed by {asked}, which is not enabled in this cloud.")
    if json_query.HINT in hints:
        try:
            json_query.parse(hints[json_query.HINT])
        except json_query.BadQuery as error:
            raise UnusableSpec(f"The scheduler hint {json_query.HINT} {error}.") from error
    if CIDR in hints and NEAR not in hints:
        raise UnusableSpec(f"The scheduler hint {CIDR} says how far from {NEAR}, which is not given.")
    if NEAR in hints:
        try:
            network_near(hints)
        except ValueError as error:
            raise UnusableSpec(f"The scheduler hints {NEAR} and {CIDR} make no network: {error}.") from error


def refuse_unasked_specs(extra_specs: Mapping[str, str], rules: Rules) -> None:
    """Raises UnusableSpec."""
    asked = "AggregateInstanceExtraSpecsFilter"
    for key in extra_specs:
        if key.startswith(f"{EXTRA_SPECS}:") and asked not in rules.filters:
            raise UnusableSpec(f"The flavor asks for {key}, which {asked} goes by: it is not enabled in this cloud.")
