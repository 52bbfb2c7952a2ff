"""Placement's default rules, under upstream's names: an operator's API, for administrators and the other services.

Tokens of the system's scope are refused, as upstream refuses them: placement's users act in a project.
"""

from kilonova.kit.auth import Rule

OPERATORS = "rule:admin_or_service_api"

_RESOURCES = {
    "resource_providers": ("list", "create", "show", "update", "delete"),
    "resource_classes": ("list", "create", "show", "update", "delete"),
    "resource_providers:inventories": ("list", "create", "show", "update", "delete"),
    "resource_providers:aggregates": ("list", "update"),
    "resource_providers:allocations": ("list",),
    "resource_providers:traits": ("list", "update", "delete"),
    "traits": ("list", "show", "update", "delete"),
    "allocations": ("manage", "list", "update", "delete"),
    "allocation_candidates": ("list",),
}

RULES = [
    Rule("admin_api", "role:admin and not system_scope:all", "Administrators"),
    Rule("service_api", "role:service and not system_scope:all", "Other services"),
    Rule("admin_or_service_api", "rule:admin_api or rule:service_api", "Most of this API"),
    Rule("project_reader_api", "role:reader and project_id:%(project_id)s", "People, about their own project"),
    *(Rule(f"placement:{resource}:{verb}", OPERATORS) for resource, verbs in _RESOURCES.items() for verb in verbs),
    Rule("placement:resource_providers:usages", OPERATORS),
    Rule("placement:rooms:list", OPERATORS, "What all hosts have and what of it is taken; Kilonova's own"),
    Rule("placement:usages", "rule:admin_or_service_api or rule:project_reader_api", "What a project holds"),
    Rule("placement:reshaper:reshape", "rule:service_api", "Moves inventory between providers with what is held of it"),
]
