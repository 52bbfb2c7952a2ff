"""Providers, inventories and resource classes as the newest version shows them."""

from collections.abc import Iterable, Mapping
from typing import Any

from kilonova.placement.tables import Allocation, Inventory, Provider

RELATIONS = ("inventories", "usages", "aggregates", "traits", "allocations")


def provider_view(provider: Provider) -> dict[str, Any]:
    url = f"/resource_providers/{provider.id}"
    return {
        "uuid": provider.id,
        "name": provider.name,
        "generation": provider.generation,
        "parent_provider_uuid": provider.parent_id,
        "root_provider_uuid": provider.root_id,
        "links": [
            {"rel": "self", "href": url},
            *({"rel": relation, "href": f"{url}/{relation}"} for relation in RELATIONS),
        ],
    }


def inventory_view(inventory: Inventory) -> dict[str, Any]:
    return {
        "total": inventory.total,
        "reserved": inventory.reserved,
        "min_unit": inventory.min_unit,
        "max_unit": inventory.max_unit,
        "step_size": inventory.step_size,
        "allocation_ratio": inventory.allocation_ratio,
    }


def resource_class_view(name: str) -> dict[str, Any]:
    return {"name": name, "links": [{"rel": "self", "href": f"/resource_classes/{name}"}]}


def provider_allocations_view(
    provider: Provider, held: Iterable[Allocation], consumer_generations: Mapping[str, int]
) -> dict[str, Any]:
    """By consumer."""
    by_consumer: dict[str, dict[str, Any]] = {}
    for each in held:
        entry = by_consumer.setdefault(
            each.consumer_id, {"resources": {}, "consumer_generation": consumer_generations[each.consumer_id]}
        )
        entry["resources"][each.resource_class] = each.used
    return {"allocations": by_consumer, "resource_provider_generation": provider.generation}
