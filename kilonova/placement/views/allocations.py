"""Allocations, candidates and usages as the newest version shows them."""

from collections.abc import Mapping
from typing import Any

from kilonova.placement.allocations import Holding
from kilonova.placement.candidates import Found
from kilonova.placement.usages import UNKNOWN_TYPE, TypeUsage


def holding_view(holding: Holding | None) -> dict[str, Any]:
    """By provider; a consumer that holds nothing has no owner and no generation to show."""
    if holding is None:
        return {"allocations": {}}
    by_provider: dict[str, dict[str, Any]] = {}
    for each in holding.allocations:
        generation = holding.provider_generations[each.provider_id]
        entry = by_provider.setdefault(each.provider_id, {"resources": {}, "generation": generation})
        entry["resources"][each.resource_class] = each.used
    return {
        "allocations": by_provider,
        "project_id": holding.consumer.project_id,
        "user_id": holding.consumer.user_id,
        "consumer_generation": holding.consumer.generation,
        "consumer_type": holding.consumer.consumer_type or UNKNOWN_TYPE,
    }


def candidates_view(found: Found) -> dict[str, Any]:
    return {
        "allocation_requests": [
            {
                "allocations": {
                    provider_id: {"resources": resources} for provider_id, resources in each.allocations.items()
                },
                "mappings": each.mappings,
            }
            for each in found.candidates
        ],
        "provider_summaries": found.summaries,
    }


def typed_usages_view(found: Mapping[str, TypeUsage]) -> dict[str, Any]:
    """By consumer type."""
    return {"usages": {name: {**each.resources, "consumer_count": each.consumer_count} for name, each in found.items()}}


def usages_view(found: Mapping[str, TypeUsage]) -> dict[str, Any]:
    """Before 1.38: all types together."""
    total: dict[str, int] = {}
    for each in found.values():
        for name, used in each.resources.items():
            total[name] = total.get(name, 0) + used
    return {"usages": total}
