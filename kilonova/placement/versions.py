"""Placement's microversions: every named change, in order.

Source: the Placement API's microversion history.
"""

from typing import Any

from kilonova.kit.http.versions import Change, VersionEdge, without

Body = dict[str, Any]


def _without_links(*relations: str) -> Any:
    def downgrade(provider: Body) -> None:
        provider["links"] = [link for link in provider.get("links", []) if link["rel"] not in relations]

    return downgrade


def _listed_allocations(candidates: Body) -> None:
    """Before 1.12 an allocation request lists its providers."""
    for request in candidates["allocation_requests"]:
        request["allocations"] = [
            {"resource_provider": {"uuid": provider_id}, "resources": each["resources"]}
            for provider_id, each in request["allocations"].items()
        ]


def _summaries_without(*keys: str) -> Any:
    def downgrade(candidates: Body) -> None:
        for summary in candidates["provider_summaries"].values():
            for key in keys:
                summary.pop(key, None)

    return downgrade


def _requested_resources_only(candidates: Body) -> None:
    """Before 1.27 summaries leave out what was not asked for."""
    requested = {
        name
        for request in candidates["allocation_requests"]
        for each in request["allocations"].values()
        for name in each["resources"]
    }
    for summary in candidates["provider_summaries"].values():
        summary["resources"] = {name: each for name, each in summary["resources"].items() if name in requested}


def _without_mappings(candidates: Body) -> None:
    for request in candidates["allocation_requests"]:
        request.pop("mappings", None)


def _without_generations_of_consumers(allocations: Body) -> None:
    for each in allocations["allocations"].values():
        each.pop("consumer_generation", None)


CHANGES = [
    Change("1.1", "aggregates", "providers are in aggregates", {"resource_provider": _without_links("aggregates")}),
    Change("1.2", "resource_classes", "resource classes can be listed and made"),
    Change("1.3", "providers_member_of", "providers are found by aggregate"),
    Change("1.4", "providers_resources", "providers are found by free resources"),
    Change("1.5", "delete_inventories", "a provider's whole inventory can be deleted"),
    Change("1.6", "traits", "providers have traits", {"resource_provider": _without_links("traits")}),
    Change("1.7", "ensure_resource_class", "PUT of a resource class makes it"),
    Change("1.8", "allocations_need_owner", "allocations name their project and user"),
    Change("1.9", "usages", "a project's usage can be asked for"),
    Change("1.10", "candidates", "allocation candidates"),
    Change(
        "1.11",
        "allocations_link",
        "providers link to allocations",
        {"resource_provider": _without_links("allocations")},
    ),
    Change(
        "1.12",
        "allocations_as_mapping",
        "allocations are written as they are read",
        {"holding": without("project_id", "user_id"), "candidates": _listed_allocations},
    ),
    Change("1.13", "batch_allocations", "several consumers' allocations change at once"),
    Change(
        "1.14",
        "nested_providers",
        "providers form trees",
        {"resource_provider": without("parent_provider_uuid", "root_provider_uuid")},
    ),
    Change("1.15", "cache_headers", "answers say when they last changed"),
    Change("1.16", "candidates_limit", "the number of candidates can be limited"),
    Change(
        "1.17", "candidates_required", "candidates are found by trait", {"candidates": _summaries_without("traits")}
    ),
    Change("1.18", "providers_required", "providers are found by trait"),
    Change(
        "1.19",
        "aggregates_generation",
        "aggregates are changed under the provider's generation",
        {"membership": without("resource_provider_generation")},
    ),
    Change("1.20", "provider_in_create_answer", "creating a provider answers with it"),
    Change("1.21", "candidates_member_of", "candidates are found by aggregate"),
    Change("1.22", "forbidden_traits", "traits can be forbidden"),
    Change("1.23", "error_codes", "errors have codes"),
    Change("1.24", "repeated_member_of", "member_of may be repeated"),
    Change("1.25", "granular_groups", "candidates are found by groups of resources"),
    Change("1.26", "reserved_equals_total", "all of an inventory may be reserved"),
    Change("1.27", "all_resources_in_summaries", "summaries are complete", {"candidates": _requested_resources_only}),
    Change(
        "1.28",
        "consumer_generation",
        "consumers have generations",
        {
            "holding": without("consumer_generation"),
            "provider_allocations": _without_generations_of_consumers,
        },
    ),
    Change(
        "1.29",
        "nested_candidates",
        "candidates take from several providers of a tree",
        {"candidates": _summaries_without("parent_provider_uuid", "root_provider_uuid")},
    ),
    Change("1.30", "reshaper", "inventory moves between providers"),
    Change("1.31", "candidates_in_tree", "candidates are found in one tree"),
    Change("1.32", "forbidden_aggregates", "aggregates can be forbidden"),
    Change("1.33", "named_groups", "groups have names"),
    Change("1.34", "mappings", "candidates say which group is served by whom", {"candidates": _without_mappings}),
    Change("1.35", "root_required", "traits can be required of the root"),
    Change("1.36", "same_subtree", "groups can be kept in one subtree"),
    Change("1.37", "reparenting", "providers can be given another parent"),
    Change("1.38", "consumer_types", "consumers have types", {"holding": without("consumer_type")}),
    Change("1.39", "any_traits", "one of several traits can be required"),
]

EDGE = VersionEdge("placement", "1.0", "1.39", CHANGES)
